"""`ask --batch`: questions of a file, answers as JSON Lines; what is answered already is not asked again.

No chat is stored: the questions run in a store that ends with the command.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TextIO

import msgspec

from qwen3_chat.chat import StopReason
from qwen3_chat.cli.ask_command import AskOptions
from qwen3_chat.cli.interrupts import run_until_interrupt
from qwen3_chat.cli.json_output import json_line
from qwen3_chat.cli.question_files import assemble_prompt
from qwen3_chat.cli.question_worker import QuestionWorker, open_workers
from qwen3_chat.cli.shared_options import ModelChoice, parse_think_option
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, ExportError, Qwen3ChatError, UsageError
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import storable, terminal_safe

MAX_BATCH_BYTES: Final = 256 << 20
MAX_QUESTIONS: Final = 100_000


class BatchQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the file of questions; `files` are relative to it, or addresses."""

    id: str | int
    prompt: str
    system: str = ""
    files: tuple[str, ...] = ()


class BatchAnswer(msgspec.Struct, frozen=True):
    """A line of the file of answers; `error` is a sentence where there is no whole answer."""

    id: str | int
    answer: str = ""
    reasoning: str = ""
    stop_reason: StopReason = StopReason.ERROR
    error: str | None = None


AskOne = Callable[[BatchQuestion], Awaitable[BatchAnswer]]
"""A function that answers one question at a time."""


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The outcome of a batch: how many questions were answered, failed, and were answered before."""

    answered: int
    failed: int
    skipped: int


def read_questions(path: Path) -> tuple[BatchQuestion, ...]:
    """Read the questions of a file.

    Raises:
        UsageError: it can't be read, a line is no question, or two have one id.
    """
    questions, ids = list[BatchQuestion](), set[str | int]()
    for number, line in _lines(path):
        try:
            question = msgspec.convert(json.loads(line), BatchQuestion)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise UsageError(ErrorCode.BATCH_LINE_INVALID, file=path, number=number, reason=error) from error
        if question.id in ids or len(ids) >= MAX_QUESTIONS:
            raise UsageError(ErrorCode.BATCH_ID_TWICE, file=path, number=number, id=question.id)
        ids.add(question.id)
        questions.append(question)
    return tuple(questions)


def read_answered_ids(path: Path) -> frozenset[str | int]:
    """Return the ids that a file of answers has a whole answer of; none where there is no file.

    A line that was cut off when the command was stopped is no answer.
    """
    ids = set[str | int]()
    if not path.exists():
        return frozenset()
    for _number, line in _lines(path):
        try:
            answer = msgspec.convert(json.loads(line), BatchAnswer)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            continue
        if answer.error is None:
            ids.add(answer.id)
    return frozenset(ids)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BATCH_BYTES + 1)
        if len(content) > MAX_BATCH_BYTES:
            raise UsageError(ErrorCode.BATCH_UNREADABLE, file=path, reason=f"> {MAX_BATCH_BYTES:,}")
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(ErrorCode.BATCH_UNREADABLE, file=path, reason=error) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


async def answer_all(
    questions: Sequence[BatchQuestion], workers: Sequence[AskOne], write: Callable[[BatchAnswer], None]
) -> tuple[int, int]:
    """Have the workers answer the questions, each one at a time; return how many succeeded and failed."""
    waiting, counts = iter(questions), {True: 0, False: 0}

    async def work(ask: AskOne) -> None:
        for question in waiting:  # shared: each question goes to whoever is free
            answer = await ask(question)
            counts[answer.error is None] += 1
            write(answer)

    async with asyncio.TaskGroup() as group:
        for worker in workers[: len(questions)]:
            group.create_task(work(worker))
    return counts[True], counts[False]


def run_batch(file: Path, output: Path, choice: ModelChoice, options: AskOptions) -> int:
    """Answer the questions of a file that have no answer yet, each written as it comes; return the status.

    Raises:
        UsageError: a file can't be read, or holds something else.
        ExportError: the answers can't be written.
    """
    questions = read_questions(file)
    answered = read_answered_ids(output)
    open_questions = [question for question in questions if question.id not in answered]
    try:
        with output.open("a+", encoding="utf-8") as stream:
            end_last_line(stream)
            counts = asyncio.run(_run(open_questions, file.parent, stream, choice, options))
    except OSError as error:
        raise ExportError(ErrorCode.EXPORT_FAILED, path=output, reason=error.strerror or error) from error
    counts = replace(counts, skipped=len(questions) - len(open_questions))
    print(
        t("cli.batch_done", answered=counts.answered, failed=counts.failed, skipped=counts.skipped),
        file=sys.stderr,
    )
    return 1 if counts.failed else 0


def end_last_line(stream: TextIO) -> None:
    """End the line that a killed command may have left open."""
    size = stream.seek(0, 2)
    if size:
        stream.buffer.seek(size - 1)
        if stream.buffer.read(1) != b"\n":
            stream.write("\n")


async def _run(
    questions: Sequence[BatchQuestion], folder: Path, stream: TextIO, choice: ModelChoice, options: AskOptions
) -> BatchCounts:
    counts = [BatchCounts(0, 0, 0)]

    def write(answer: BatchAnswer) -> None:
        stream.write(f"{json_line(answer)}\n")
        stream.flush()

    async def work() -> None:
        async with open_workers(choice, options.system, options.turn, len(questions)) as workers:
            asks = [partial(_ask, worker, folder, options) for worker in workers]
            counts[0] = BatchCounts(*await answer_all(questions, asks, write), 0)

    if questions and await run_until_interrupt(work()):
        raise Cancelled(ErrorCode.INTERRUPTED)
    return counts[0]


async def _ask(
    worker: QuestionWorker, folder: Path, options: AskOptions, question: BatchQuestion
) -> BatchAnswer:
    """Answer a question; whatever goes wrong is a sentence in the answer."""
    try:
        text = await asyncio.to_thread(assemble_prompt, storable(question.prompt), "", question.files, folder)
    except Qwen3ChatError as error:
        return BatchAnswer(question.id, error=terminal_safe(str(error)))
    mode = parse_think_option(options.think)
    outcome = await worker.ask(text, question.system, mode, options.turn, options.schema)
    return BatchAnswer(question.id, outcome.answer, outcome.reasoning, outcome.stop_reason, outcome.error)
