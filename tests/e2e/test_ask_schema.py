"""`ask --schema`: JSON of a schema on stdout, or one sentence and nothing there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3_chat.cli.answer_schema import AnswerSchema
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, UsageError
from tests.e2e.conftest import Program

SCHEMA = {
    "type": "object",
    "properties": {"letter": {"enum": ["r", "草"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["letter", "count"],
    "additionalProperties": False,
}


def write(folder: Path, schema: object) -> Path:
    path = folder / "schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema), "utf-8")
    return path


def test_the_answer_is_json_of_the_schema_and_the_thinking_stays_out_of_it(
    program: Program, tmp_path: Path
) -> None:
    question = (
        "--schema",
        str(write(tmp_path, SCHEMA)),
        "--max-tokens",
        "400",
        "How many r's in strawberry?",
    )
    done = program.run("ask", "--demo", "--think", *question)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"letter", "count"}
    assert done.stderr.startswith("<think>\n")


@pytest.mark.full
def test_an_answer_that_does_not_fit_is_a_failure_and_is_not_printed(
    program: Program, tmp_path: Path
) -> None:
    path = write(tmp_path, {"type": "string", "maxLength": 3, "pattern": "^[0-9]{7}$"})
    done = program.run("ask", "--demo", "--no-think", "--schema", str(path), "Hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "The answer does not fit the schema" in done.stderr


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$ref": "other.json#/a"},
        {"type": "nonsense"},
        {"pattern": "("},
        {"properties": {str(n): {"type": "string"} for n in range(3000)}},
        [],
        "{",
        "[" * 100_000,
    ],
    ids=range(9),
)
def test_a_schema_that_cannot_be_used_is_one_sentence(tmp_path: Path, schema: object) -> None:
    with pytest.raises(UsageError) as caught:
        AnswerSchema(write(tmp_path, schema))
    assert caught.value.code is ErrorCode.SCHEMA_INVALID
    assert len(str(caught.value)) < 900


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(UsageError):
            AnswerSchema(path)


def test_a_pattern_that_takes_for_ever_ends(tmp_path: Path) -> None:
    schema = AnswerSchema(write(tmp_path, {"pattern": r"^(a+)+\1$"}))
    with pytest.raises(EngineError):
        schema.check(json.dumps("a" * 40_000 + "b"))


def test_references_within_the_schema_are_followed(tmp_path: Path) -> None:
    schema = AnswerSchema(write(tmp_path, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}))
    schema.check("3")
    for answer in ('"3"', "", "nonsense", "[" * 100_000):
        with pytest.raises(EngineError) as caught:
            schema.check(answer)
        assert caught.value.code is ErrorCode.ANSWER_NOT_OF_SCHEMA


@pytest.mark.full
def test_a_schema_with_tools_is_refused(program: Program, tmp_path: Path) -> None:
    path = write(tmp_path, SCHEMA)
    done = program.run("ask", "--demo", "--schema", str(path), "--tools", "now", "Hello")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
