from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import engine
from benchmarks.random_model import Shape, write_model
from benchmarks.ratios import Row, table
from qwen3_chat.engine.native_libraries import has_fast_library
from qwen3_chat.record_copies import replace

SMALLEST = replace(
    engine.QUICK, alternations=2, decoded=8, prompt=40, thinking=12, answer=12, stops=6, long_reply=(200, 400)
)


def test_a_row_is_the_median_of_the_rounds() -> None:
    row = Row("speed", "tok/s", [10, 30, 20], [20, 20, 10], ">=1.5")
    assert (row.ratios, row.ratio, row.is_met) == ([0.5, 1.5, 2.0], 1.5, True)
    assert Row("time", "ms", [3], [2], "<=1.1").is_met is False


def test_the_table_marks_what_is_not_as_wanted() -> None:
    rows = [Row("first", "ms", [3.0, 4.0], [2.0, 2.0], "<=1"), Row("second", "", [3.0], [2.0])]
    lines = table(rows).splitlines()
    assert lines[1].split() == ["first", "3.5", "ms", "2", "ms", "1.750", "1.625", "to", "1.875", "<=1", "!"]
    assert lines[2].split() == ["second", "3", "2", "1.500"]


LIBRARY_ROWS = ("decode at depth 0", "evaluate 512 tokens", "decode at depth 512")


@pytest.mark.full
def test_the_benchmark_prints_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.gguf"
    write_model(path, Shape(1, 64, 64, 2, 1, 32))
    monkeypatch.setattr(engine, "QUICK", SMALLEST)
    assert engine.main(["--gguf", str(path), "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line[: line.index(" : ")] for line in lines if " : " in line]
    assert rows == [
        *("decode 8 after 40, worker", "decode 8 after 40, client's event", "decode 8 after 40, Llama class"),
        *("text that repeats, guessed", "answer held to a schema, a text"),
        *("answer held to a schema, numbers, each token drawn again", "client's cost of token 400"),
        *("second turn's first token, rested", "second turn evaluates", "regenerate evaluates"),
        *(f"stop in {name}, p99 of 2" for name in ("prompt evaluation", "decoding", "idle evaluation")),
        *(f"{kv}, {row}" for kv in ("f16", "q8_0") for row in LIBRARY_ROWS if has_fast_library()),
    ]
