"""`qwen3-chat compare`: a suite of questions put to several models, their answers checked, one report.

Each model is loaded once. Every answer is written as it comes, so a comparison that was stopped goes on where
it was: what has an answer to the same question by the same model, mode and seed is not asked again.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import msgspec

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.cli.batch_command import end_last_line
from qwen3_chat.cli.engine_composition import resolve_model_file
from qwen3_chat.cli.interrupts import run_until_interrupt
from qwen3_chat.cli.json_output import json_line, print_json
from qwen3_chat.cli.question_worker import QuestionWorker, open_workers
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.comparison.answer_checks import CheckOutcome
from qwen3_chat.comparison.code_check import check_by_code
from qwen3_chat.comparison.report import conclusion_lines, html_report, markdown_report, score_lines
from qwen3_chat.comparison.results import (
    CaseResult,
    CheckResult,
    ModelScore,
    Regression,
    ResultKey,
    read_results,
    regressions,
    score,
)
from qwen3_chat.comparison.suite import Suite, SuiteCase, load_suite
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, ExportError, Qwen3ChatError
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

RESULTS_FILE: Final = "results.jsonl"
REGRESSION_STATUS, FAILED_STATUS = 1, 3
_ENDS: Final = frozenset({StopReason.END_OF_TURN, StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL})
"""The ends of answers that the model is to blame for."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """The options of a comparison; a target is a model or an endpoint, as the user named it."""

    targets: Mapping[str, ModelChoice]
    modes: tuple[ThinkingMode, ...]
    n_seeds: int
    max_tokens: int
    output: Path | None
    baseline: Path | None
    as_json: bool


class ScoreRow(msgspec.Struct, frozen=True):
    """A model in one mode in the output of `compare --json`; `low` and `high` bound the rate."""

    model: str
    mode: str
    passed: int
    of: int
    low: float
    high: float
    seconds_p50: float


class RegressionRow(msgspec.Struct, frozen=True):
    """A model that passes fewer questions than in the baseline, in the output of `compare --json`."""

    model: str
    mode: str
    passed: int
    of: int
    baseline_passed: int
    baseline_of: int


class ComparisonResult(msgspec.Struct, frozen=True):
    """The output of `compare --json`."""

    cases: int
    models: list[ScoreRow]
    regressions: list[RegressionRow]


@dataclass(frozen=True, slots=True)
class _Task:
    """A question for one model."""

    case: SuiteCase
    mode: ThinkingMode
    seed: int

    def key(self, target: str) -> ResultKey:
        """Return the key of its result."""
        return self.case.id, self.case.digest, target, self.mode.value, self.seed


class _Progress:
    """The line on a terminal that tells how far a comparison is, and how long it takes."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._started_s = total, 0, time.monotonic()
        self._is_shown = sys.stderr.isatty()

    def show(self, target: str) -> None:
        """Count an answer."""
        self._done += 1
        if self._is_shown:
            left_s = (time.monotonic() - self._started_s) / self._done * (self._total - self._done)
            minutes = max(1, round(left_s / 60))
            line = t("compare.progress", target=target, done=self._done, total=self._total, minutes=minutes)
            print(f"\r\x1b[K{terminal_safe(line)}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the line."""
        if self._is_shown and self._done:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def default_target() -> dict[str, ModelChoice]:
    """Return the model that is used where none is named, under the name of its file."""
    paths = find_paths()
    settings = read_settings(paths.settings_file).settings
    file = resolve_model_file(ModelChoice(), settings, paths.models)
    return {file.stem: ModelChoice()}


def run_compare(suite_name: str, options: CompareOptions) -> int:
    """Compare and print what came of it; return the status.

    Raises:
        UsageError: the suite or the baseline can't be used.
        ExportError: the results can't be written.
        Cancelled: it was interrupted; what is answered stays.
    """
    suite = load_suite(suite_name)
    baseline = read_results(options.baseline) if options.baseline else ()
    with ExitStack() as stack:
        folder = options.output
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qwen3-chat-")))
        try:
            results, failures = _answer_all(suite, folder, options)
            order = [(target, mode.value) for target in options.targets for mode in options.modes]
            scores = score(results, suite, order)
            lost = list(regressions(scores, baseline))
            if options.output is not None:
                (folder / "report.md").write_text(markdown_report(suite, scores, lost), "utf-8")
                (folder / "report.html").write_text(html_report(suite, scores, lost), "utf-8")
        except OSError as error:
            reason = error.strerror or error
            raise ExportError(ErrorCode.EXPORT_FAILED, path=folder, reason=reason) from error
    _print(suite, scores, lost, options)
    for sentence in failures:
        print(terminal_safe(sentence), file=sys.stderr)
    if failures or any(one.n_failed for one in scores):
        return FAILED_STATUS
    return REGRESSION_STATUS if lost else 0


def _answer_all(
    suite: Suite, folder: Path, options: CompareOptions
) -> tuple[Collection[CaseResult], list[str]]:
    """Have the questions answered that have no answer yet.

    Return all results, and a sentence for each model that can't answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULTS_FILE
    known = read_results(path) if path.exists() else ()
    seeds = range(1, options.n_seeds + 1)
    tasks = [_Task(case, mode, seed) for mode in options.modes for seed in seeds for case in suite.cases]
    asked = {task.key(target) for target in options.targets for task in tasks}
    results = {row.key: row for row in known if row.key in asked and row.error is None}
    progress, failures = _Progress(len(asked) - len(results)), list[str]()
    try:
        with path.open("a+", encoding="utf-8") as stream:
            end_last_line(stream)
            for target, choice in options.targets.items():
                waiting = [task for task in tasks if task.key(target) not in results]
                one = _Target(target, choice, stream, results, progress, options.max_tokens)
                if not waiting:
                    continue
                try:
                    if asyncio.run(run_until_interrupt(one.answer(waiting))):
                        raise Cancelled(ErrorCode.INTERRUPTED)
                except Cancelled:
                    raise
                except Qwen3ChatError as error:
                    failures.append(f"{target}: {error}")
    finally:
        progress.close()
    return results.values(), failures


class _Target:
    """A model that answers the questions which are waiting for it."""

    def __init__(
        self,
        name: str,
        choice: ModelChoice,
        stream: TextIO,
        results: dict[ResultKey, CaseResult],
        progress: _Progress,
        max_tokens: int,
    ) -> None:
        self._name, self._choice = name, choice
        self._stream, self._results, self._progress = stream, results, progress
        self._options = TurnOptions(max_tokens=max_tokens, tools=())

    async def answer(self, tasks: Sequence[_Task]) -> None:
        """Load the model, and write the result of each task as it comes.

        Raises:
            Qwen3ChatError: it can't be loaded, or the server not be reached.
        """
        waiting = iter(tasks)

        async def work(worker: QuestionWorker) -> None:
            for task in waiting:  # shared: each goes to whoever is free
                self._write(await self._result(worker, task))

        async with (
            open_workers(self._choice, None, self._options, len(tasks)) as workers,
            asyncio.TaskGroup() as group,
        ):
            for worker in workers:
                group.create_task(work(worker))

    async def _result(self, worker: QuestionWorker, task: _Task) -> CaseResult:
        case = task.case
        options = replace(self._options, seed=task.seed)
        outcome = await worker.ask(case.text, case.system, task.mode, options)
        model = worker.session.engine.model
        result = CaseResult(
            *task.key(self._name),
            model=model.title if model else "",
            answer=outcome.answer,
            reasoning=outcome.reasoning,
            seconds=round(outcome.seconds, 3),
            answer_tokens=outcome.usage.answer_tokens,
            reasoning_tokens=outcome.usage.reasoning_tokens,
            parameters=(model.parameters or 0) if model else 0,
            error=outcome.error,
        )
        if outcome.error is not None:
            if outcome.stop_reason not in _ENDS:
                return result
            lacking = CheckResult("answer", False, outcome.error)  # it thought until nothing was left
            return msgspec.structs.replace(result, checks=(lacking,), passed=False, error=None)
        checks = [_check_result(check) for check in case.checks.outcomes(outcome.answer)]
        if case.checks.python is not None:
            checks.append(_check_result(await check_by_code(case.checks.python, outcome.answer)))
        passes = {check.passed for check in checks}
        passed = False if False in passes else None if None in passes else True
        return msgspec.structs.replace(result, checks=tuple(checks), passed=passed)

    def _write(self, result: CaseResult) -> None:
        self._results[result.key] = result
        self._stream.write(f"{json_line(result)}\n")
        self._stream.flush()
        self._progress.show(self._name)


def _check_result(outcome: CheckOutcome) -> CheckResult:
    return CheckResult(outcome.check, outcome.passed, outcome.reason)


def _print(
    suite: Suite, scores: Sequence[ModelScore], lost: Sequence[Regression], options: CompareOptions
) -> None:
    if options.as_json:
        rows = [_regression_row(one) for one in lost]
        print_json(ComparisonResult(len(suite.cases), [_score_row(one) for one in scores], rows))
        return
    for line in (*score_lines(scores), *conclusion_lines(scores, lost)):
        print(terminal_safe(line))
    if options.output is not None:
        print(terminal_safe(t("compare.written", path=options.output / "report.html")), file=sys.stderr)


def _score_row(one: ModelScore) -> ScoreRow:
    rate, (low, high) = one.rate, one.rate.interval
    bounds = round(low, 4), round(high, 4)
    return ScoreRow(one.target, one.mode, rate.passed, rate.of, *bounds, one.seconds_p50)


def _regression_row(one: Regression) -> RegressionRow:
    now, before = one.now, one.before
    return RegressionRow(one.target, one.mode, now.passed, now.of, before.passed, before.of)
