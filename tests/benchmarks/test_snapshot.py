from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import snapshot
from benchmarks.random_model import Shape, write_model


@pytest.mark.full
def test_a_chat_from_its_snapshot_needs_next_to_no_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.gguf"
    write_model(path, Shape(2, 64, 64, 2, 1, 32))
    assert snapshot.main(["--gguf", str(path), "--prompt", "600", "--rounds", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    anew, resumed = (int(line[32:].split()[0]) for line in lines[2:4])
    assert anew > 600
    assert resumed < 40
    assert lines[-1] == "same greedy tokens: 2 of 2"
