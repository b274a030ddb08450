"""The checks of answers: right, wrong and hostile ones."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qwen3_chat.comparison.answer_checks import AnswerChecks, CheckInvalidError, first_json, last_number
from qwen3_chat.comparison.code_check import can_check_code, check_by_code

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TABLE: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"exact": "42"}, ["42", " 42\n"], ["42.", "", "4 2"]),
    ({"contains": "草莓"}, ["两个草莓"], ["蓝莓", ""]),
    ({"contains": ["10:30", "16:15"]}, ["from 10:30 to 16:15"], ["from 10:30", "16:15"]),
    ({"regex": r"(?i)^\W*no\b"}, ["No.", "**no**, there is none"], ["Nope", "I know no such book"]),
    ({"number": 3}, ["3", "There are 2 + 1 = 3.", "**3** r's", "３个", "3.0"], ["", "three", "3 of 4", "-3"]),
    ({"number": 1234.5}, ["1,234.5", "It is 1234.5 €"], ["1.2345"]),
    ({"number": -2}, ["-2", "x = −2"], ["5-2", "2"]),
    ({"number": 3.14, "tolerance": 0.01}, ["3.1416", "3.15"], ["3.2"]),
    ({"json_schema": OBJECT}, ['{"a": 1}', 'Here:\n```json\n{"a": 1}\n```'], ["{}", "none", '[{"a": "1"}]']),
    ({"contains": "a", "number": 1}, ["a 1"], ["a", "1"]),
]
HOSTILE = ["9" * 100_000, "[" * 100_000, "{" * 100_000, "a" * 300_000, "1e999", "\x00\ud800", "1," * 50_000]


def passes(checks: AnswerChecks, answer: str) -> bool:
    return all(outcome.passed for outcome in checks.outcomes(answer))


@pytest.mark.parametrize(("entry", "right", "wrong"), TABLE, ids=lambda value: str(value)[:30])
def test_right_answers_pass_and_wrong_ones_do_not(
    entry: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    checks = msgspec.convert(entry, AnswerChecks)
    assert [answer for answer in right if not passes(checks, answer)] == []
    assert [answer for answer in wrong if passes(checks, answer)] == []
    failed = [outcome for outcome in checks.outcomes(wrong[0]) if not outcome.passed]
    assert all(outcome.reason for outcome in failed)


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_fail_within_their_limits(answer: str) -> None:
    for entry, _, _ in TABLE:
        assert not passes(msgspec.convert(entry, AnswerChecks), answer)


def test_a_pattern_that_explodes_ends() -> None:
    assert not passes(AnswerChecks(regex=r"^(a+)+\1$"), "a" * 50_000 + "b")


@pytest.mark.parametrize(
    "entry", [{"regex": "("}, {"json_schema": {"type": "nonsense"}}, {"contains": []}, {"tolerance": -1}]
)
def test_a_check_that_cannot_be_made_is_an_error(entry: dict[str, Any]) -> None:
    with pytest.raises(CheckInvalidError):
        msgspec.convert(entry, AnswerChecks).require_usable()


def test_the_last_number_and_the_first_json_are_found() -> None:
    assert last_number("no number") is None
    assert last_number("12,345 and 6e2") == 600
    assert first_json('x {"a"} then [1, 2] {"b": 3}') == (True, [1, 2])
    assert first_json("7") == (True, 7)
    assert first_json("{") == (False, None)


CODE_TABLE = [
    ("assert answer == 'Hi'", "Hi", True),
    ("assert answer == 'Hi'", "Ho", False),
    ("exec(code)\nassert double(2) == 4", "```python\ndef double(n):\n    return 2 * n\n```", True),
    ("exec(code)\nassert double(2) == 4", "```python\ndef double(n):\n    return n\n```", False),
    ("exec(code)\nassert double(2) == 4", "no code", False),
    ("import sys; sys.exit(0)", "", True),
    ("import sys; sys.exit(1)", "", False),
    ("import os; os._exit(0)", "", True),
    ("open('/etc/passwd')", "", False),
    ("import socket; socket.create_connection(('127.0.0.1', 1))", "", False),
    ("exec(code)", "```python\nwhile True:\n    pass\n```", False),
    ("exec(code)", "```python\nx = 'a' * 10**11\n```", False),
    ("assert len(answer) == 3", "'\\\n", True),
]


@pytest.mark.full
@pytest.mark.skipif(not can_check_code(), reason="needs a jail: Linux with Landlock, or macOS")
async def test_code_checks_in_the_jail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3_chat.comparison.code_check.MAX_CHECK_S", 3.0)
    for source, answer, passed in CODE_TABLE:
        outcome = await check_by_code(source, answer)
        assert outcome.passed is passed, (source, answer, outcome)


async def test_without_a_jail_nothing_runs_and_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3_chat.comparison.code_check.jail_problem", lambda: "kernel")
    outcome = await check_by_code("raise SystemExit", "")
    assert outcome.passed is None
