from __future__ import annotations

import pytest

from qwen3_chat.cli.composition import probing_status


def test_a_terminal_shows_what_the_first_command_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with probing_status() as on_measure:
        on_measure()
    shown = capsys.readouterr()
    assert "Measuring how fast this machine is" in shown.err
    assert not shown.out


def test_a_log_of_a_command_has_nothing_of_that(capsys: pytest.CaptureFixture[str]) -> None:
    with probing_status() as on_measure:
        on_measure()
    assert capsys.readouterr() == ("", "")
