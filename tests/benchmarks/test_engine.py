from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import engine
from benchmarks.random_model import Shape, write_model


@pytest.mark.full
def test_the_benchmark_prints_every_side_and_every_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.gguf"
    write_model(path, Shape(1, 64, 64, 2, 1, 32))
    arguments = ["--gguf", str(path), "--tokens", "8", "--prompt", "600", "--rounds", "2"]
    assert engine.main(arguments) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    first_words = [line.split()[0] for line in lines]
    assert first_words[1:] == [
        *("medians", "decode", "bare", "the", "the", "Llama.create_chat_completion"),
        *("second", "sent", "sent", "answered"),
        *("stopped", "while", "while"),
    ]
