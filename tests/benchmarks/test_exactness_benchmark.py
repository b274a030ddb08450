from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import exactness
from benchmarks.exactness import Noise, Tally
from benchmarks.random_model import Shape, write_model
from tests.engine.agreement import NOISE_LOGITS


def test_the_table_counts_what_is_not_the_best() -> None:
    tally = Tally()
    tally.add([0.0, 0.25, 0.0])
    tally.add([0.0, 0.0])
    lines = exactness.table({"again": tally}, [Noise(5, 0.5, 1), Noise(5, 0.25, 0)]).splitlines()
    assert lines[1].split() == ["again", "2", "1", "5", "1", "0.2500"]
    assert lines[2].split()[-5:] == ["2", "1", "10", "1", "0.5000"]


@pytest.mark.full
def test_each_way_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.gguf"
    write_model(path, Shape(2, 64, 64, 2, 1, 32))
    exactness.main(["--gguf", str(path), "--conversations", "2"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert [line[:32].strip() for line in lines[2:6]] == [
        "after idle time",
        "answered again",
        "after another chat",
        "from a snapshot",
    ]
    assert all(float(line.split()[-1]) < NOISE_LOGITS for line in lines[2:7])
