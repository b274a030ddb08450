"""The results of a comparison: a line of JSON for each answer, and the pass rates that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from qwen3_chat.comparison.pass_rates import PassRate
from qwen3_chat.comparison.suite import Suite
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError

ResultKey = tuple[str, str, str, str, int]
"""The key of a result: case, digest, target, mode, seed."""

MAX_RESULTS_BYTES: Final = 256 << 20


class CheckResult(msgspec.Struct, frozen=True):
    """The outcome of one check; `passed` is null where it could not be made."""

    check: str
    passed: bool | None
    reason: str = ""


class CaseResult(msgspec.Struct, frozen=True):
    """A line of `results.jsonl`: one answer with its checks.

    `target` is the model as the command named it, `model` as it calls itself. `passed` is null where a check
    could not be made, or there is no answer; `error` then is the sentence.
    """

    case: str
    digest: str
    target: str
    mode: str
    seed: int
    model: str = ""
    passed: bool | None = None
    checks: tuple[CheckResult, ...] = ()
    answer: str = ""
    reasoning: str = ""
    seconds: float = 0.0
    answer_tokens: int = 0
    reasoning_tokens: int = 0
    parameters: int = 0
    error: str | None = None

    @property
    def key(self) -> ResultKey:
        """The question and whom it was put to: of results with one key the last counts."""
        return self.case, self.digest, self.target, self.mode, self.seed


def read_results(path: Path) -> tuple[CaseResult, ...]:
    """Read the results of a file; of several with one key the last, a line that was cut off is none.

    Raises:
        UsageError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RESULTS_BYTES + 1)
    except OSError as error:
        raise UsageError(ErrorCode.RESULTS_UNREADABLE, file=path, reason=error.strerror or error) from error
    if len(content) > MAX_RESULTS_BYTES:
        raise UsageError(ErrorCode.RESULTS_UNREADABLE, file=path, reason=f"> {MAX_RESULTS_BYTES:,}")
    results = dict[ResultKey, CaseResult]()
    n_lines = 0
    for line in content.splitlines():
        n_lines += bool(line.strip())
        try:
            result = msgspec.json.decode(line, type=CaseResult)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        results[result.key] = result
    if n_lines > 1 and not results:
        raise UsageError(ErrorCode.RESULTS_UNREADABLE, file=path, reason="JSON Lines")
    return tuple(results.values())


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The results of one model in one mode."""

    target: str
    mode: str
    results: tuple[CaseResult, ...] = field(repr=False)

    @property
    def model(self) -> str:
        """The model as it calls itself, else as the command named it."""
        return next((result.model for result in self.results if result.model), self.target)

    @property
    def parameters(self) -> int:
        """The number of parameters; 0 where it is not known."""
        return max((result.parameters for result in self.results), default=0)

    @property
    def rate(self) -> PassRate:
        """The answers that passed, of those that were checked."""
        checked = [result.passed for result in self.results if result.passed is not None]
        return PassRate(sum(checked), len(checked))

    @property
    def seconds_p50(self) -> float:
        """The median time of an answer, in seconds."""
        return median([result.seconds for result in self.results if result.error is None] or [0.0])

    @property
    def n_failed(self) -> int:
        """The number of questions that have no answer."""
        return sum(result.error is not None for result in self.results)

    @property
    def n_skipped(self) -> int:
        """The number of answers with a check that could not be made."""
        return sum(result.passed is None and result.error is None for result in self.results)


def score(results: Iterable[CaseResult], suite: Suite, order: Sequence[tuple[str, str]]) -> list[ModelScore]:
    """Return the scores in an order of targets and modes, of the suite's cases as they are now."""
    digests = {case.id: case.digest for case in suite.cases}
    current = [result for result in results if digests.get(result.case) == result.digest]
    scores = (
        ModelScore(target, mode, tuple(r for r in current if (r.target, r.mode) == (target, mode)))
        for target, mode in order
    )
    return [one for one in scores if one.results]


@dataclass(frozen=True, slots=True)
class Regression:
    """A model that passes fewer of the same questions than it did in the baseline."""

    target: str
    mode: str
    now: PassRate
    before: PassRate


def regressions(scores: Iterable[ModelScore], baseline: Sequence[CaseResult]) -> Iterator[Regression]:
    """Yield the models that pass fewer questions than the baseline allows, of those that both have."""
    for now in scores:
        earlier = [row for row in baseline if (row.target, row.mode) == (now.target, now.mode)]
        shared = {(row.case, row.digest) for row in earlier} & {(row.case, row.digest) for row in now.results}
        rates = [
            ModelScore(now.target, now.mode, tuple(r for r in rows if (r.case, r.digest) in shared)).rate
            for rows in (now.results, earlier)
        ]
        if rates[0].is_regression_from(rates[1]):
            yield Regression(now.target, now.mode, *rates)


def smallest_good_enough(scores: Sequence[ModelScore]) -> ModelScore | None:
    """Return the smallest model that is not clearly worse than the best; None where sizes are not known."""
    known = [one for one in scores if one.parameters and one.rate.of]
    if not known:
        return None
    best = max(known, key=lambda one: one.rate.rate)
    good = [one for one in known if one is best or one.rate.is_noise_beside(best.rate)]
    return min(good, key=lambda one: (one.parameters, one.seconds_p50))
