from __future__ import annotations

import pytest

from benchmarks import ui
from benchmarks.ui_streams import TEXTS


@pytest.mark.full
def test_every_side_and_every_stream_is_in_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        ui.main(["--answers", "3", "--rounds", "2", "--widgets", "1", "--tokens", "800", "--starts", "1"])
        == 0
    )
    printed = capsys.readouterr().out
    for row in (*ui.MEASURES, "widgets", "memory, MB", *TEXTS, "nothing", "input", "--help", "--version"):
        assert f"\n{row}" in printed
