"""Batches: questions of a file, answers on lines, nothing asked twice, many at once on a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from qwen3_chat.cli.batch_command import (
    BatchAnswer,
    BatchQuestion,
    answer_all,
    read_answered_ids,
    read_questions,
)
from qwen3_chat.cli.question_worker import SERVER_SLOTS
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from tests.e2e.conftest import Program, program

__all__ = ["program"]

QUESTIONS = tuple(BatchQuestion(number, f"q{number}") for number in range(500))


class PacedServer:
    """A server that ends a round of answers only when all its slots are taken, or nothing else comes."""

    def __init__(self, slots: int) -> None:
        self.slots, self.rounds, self.most = slots, 0, 0
        self._asked: list[asyncio.Future[None]] = []

    async def ask(self, question: BatchQuestion) -> BatchAnswer:
        turn = asyncio.get_running_loop().create_future()
        self._asked.append(turn)
        self.most = max(self.most, len(self._asked))
        if len(self._asked) == self.slots:
            self.rounds += 1
            for waiting in self._asked:
                waiting.set_result(None)
            self._asked = []
        await turn
        return BatchAnswer(question.id, question.prompt.upper())


async def test_a_server_with_eight_slots_is_given_eight_questions_at_once() -> None:
    server, written = PacedServer(SERVER_SLOTS), list[BatchAnswer]()
    questions = QUESTIONS[: 500 - 500 % SERVER_SLOTS]
    counts = await answer_all(questions, [server.ask] * SERVER_SLOTS, written.append)
    assert counts == (len(questions), 0)
    assert (server.most, server.rounds) == (SERVER_SLOTS, len(questions) // SERVER_SLOTS)
    assert {answer.id for answer in written} == {question.id for question in questions}


async def test_a_failure_is_counted_and_does_not_end_the_batch() -> None:
    async def ask(question: BatchQuestion) -> BatchAnswer:
        return BatchAnswer(question.id, error="no" if question.id == 3 else None)

    assert await answer_all(QUESTIONS, [ask] * 3, lambda answer: None) == (499, 1)


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join(f"{v if isinstance(v, str) else json.dumps(v)}\n" for v in values), "utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", ErrorCode.BATCH_LINE_INVALID),
        ({"id": 1}, ErrorCode.BATCH_LINE_INVALID),
        ({"id": None, "prompt": "a"}, ErrorCode.BATCH_LINE_INVALID),
        ({"id": 1, "prompt": "a", "file": "b"}, ErrorCode.BATCH_LINE_INVALID),
        ({"id": "a", "prompt": "a"}, ErrorCode.BATCH_ID_TWICE),
        ("[" * 100_000, ErrorCode.BATCH_LINE_INVALID),
    ],
    ids=range(6),
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: object, code: ErrorCode) -> None:
    file = lines(tmp_path / "in.jsonl", {"id": "a", "prompt": "x"}, "", line)
    with pytest.raises(UsageError) as caught:
        read_questions(file)
    assert caught.value.code is code
    assert "3" in str(caught.value)
    with pytest.raises(UsageError):
        read_questions(tmp_path / "missing.jsonl")


def test_answers_are_known_by_their_ids_and_failures_are_asked_again(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "out.jsonl",
        {"id": 1, "answer": "a", "stop_reason": "end_of_turn", "error": None},
        {"id": "1", "error": "no"},
        '{"id": 2, "answer": "cut o',
    )
    assert read_answered_ids(file) == {1}
    assert read_answered_ids(tmp_path / "missing.jsonl") == frozenset()


def test_a_batch_is_answered_and_goes_on_where_it_was_stopped(program: Program, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("Hello", "utf-8")
    file = lines(
        tmp_path / "in.jsonl",
        {"id": 1, "prompt": "3 + 4?"},
        {"id": "二", "prompt": "草莓里有几个字母？", "system": "Be brief.", "files": ["note.txt"]},
        {"id": 3, "prompt": "Hello", "files": ["missing.txt"]},
    )
    output = tmp_path / "out.jsonl"
    output.write_text('{"id": 1, "answer": "7", "error": null}\n{"id": "二", "ans', "utf-8")
    command = ("ask", "--demo", "--no-think", "--max-tokens", "60", "--batch", str(file), "-o", str(output))
    done = program.run(*command)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Answered: 1 · failed: 1 · answered before: 1"
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines() if not line.endswith("ans")]
    assert [row["id"] for row in rows] == [1, "二", 3]
    assert set(rows[1]) == {"id", "answer", "reasoning", "stop_reason", "error"}
    assert rows[1]["answer"]
    assert "missing.txt" in rows[2]["error"]
    assert json.loads(program.run("chats", "--json").stdout) == [], "no chat is stored"


@pytest.mark.full
def test_a_batch_with_a_question_is_wrong_usage(program: Program, tmp_path: Path) -> None:
    file = lines(tmp_path / "in.jsonl", {"id": 1, "prompt": "3 + 4?"})
    for rest in ((), ("-o", str(tmp_path / "out.jsonl"), "Hello")):
        done = program.run("ask", "--demo", "--batch", str(file), *rest)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
