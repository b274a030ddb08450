"""The calibration of a model on this machine: attention, threads and chunk sizes, measured in small steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Timer
from typing import Any

import psutil
from msgspec.structs import replace

from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES
from qwen3_chat.engine.tuning import Trial, Tuning, TuningParameter, best_attention, choose_tuning
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.native_library import NativeModel
from qwen3_chat.engine.worker.trial_context import TIMED_TOKENS, TrialContext, TrialPlan
from qwen3_chat.request import KvType

_BUSY_PERCENT = 25.0
_CPU_CHECK_S, _N_CPU_CHECKS = 0.02, 10
_MAX_SHARE_PER_TRIAL = 0.25  # of the whole time, for one number of threads
_NO_SPEEDS: dict[str, Any] = {"reply_tokens_per_s": 0.0, "prompt_tokens_per_s": 0.0}


@dataclass(frozen=True, slots=True)
class CalibrationProfile:
    """The extent of a calibration: the depth in tokens, the size of prompts, the time for all trials."""

    depth: int
    prompt_tokens: int
    budget_s: float
    with_q8_0: bool = False


IDLE_PROFILE = CalibrationProfile(depth=1024, prompt_tokens=32, budget_s=10.0)
FULL_PROFILE = CalibrationProfile(depth=2048, prompt_tokens=128, budget_s=600.0, with_q8_0=True)


@dataclass(frozen=True, slots=True)
class CalibrationTarget:
    """The model to calibrate, as it is loaded, with the settings to try.

    `defaults` are the settings that it would run with otherwise; prompts are then evaluated with
    `n_prompt_threads`. If all is on a GPU, there are no `thread_counts` to try, and elapsed time is measured.
    """

    model: NativeModel
    defaults: Trial
    kv_bytes_per_token: int
    free_bytes: Callable[[], int]
    n_prompt_threads: int
    thread_counts: tuple[int, ...]
    ubatch_sizes: tuple[int, ...]


class Calibration:
    """A calibration in small steps, which continues where it was after an interruption.

    Attention and chunk sizes are compared by the processor time that they take, so that other work on the
    machine has no influence. The best number of threads can be found only while there is little other work.
    """

    def __init__(
        self, target: CalibrationTarget, profile: CalibrationProfile, known: Tuning | None = None
    ) -> None:
        self._target = target
        self._profile = profile
        self._known = known if known and known.depth >= profile.depth else None
        self._trials = list(self._known.trials) if self._known else []
        self._remaining_s = profile.budget_s
        self._end_s = 0.0
        self._is_busy: bool | None = None
        self._context: TrialContext | None = None
        self._context_key: tuple[bool, KvType] | None = None
        self.is_finished = bool(self._known and self._known.is_complete)
        """True once there is nothing left that can be measured now."""

    @property
    def n_trials_done(self) -> int:
        """The number of trials that are done."""
        return len(self._trials)

    @property
    def n_trials(self) -> int:
        """The number of all trials."""
        return (
            len(self._attention_trials()) + len(self._target.thread_counts) + len(self._target.ubatch_sizes)
        )

    def run(self, abort: AbortFlag, on_trial: Callable[[Trial], None]) -> Tuning | None:
        """Measure until all is known or the time is used up; return None if there was no memory for it.

        The end of the time sets the flag, too.

        Raises:
            AbortedError: the flag was set before the end of the time.
            EngineError: llama.cpp could not evaluate.
        """
        pending: Trial | None = None
        self._end_s = time.perf_counter() + self._remaining_s
        timer = Timer(self._remaining_s, abort.set)
        timer.start()
        try:
            for pending in self._missing_trials(abort):
                measured = self._measure(pending, abort) if self._has_time(pending) else None
                if measured is None:
                    break
                self._trials.append(measured)
                on_trial(measured)
            else:
                pending = None
        except AbortedError:
            if timer.is_alive():
                raise
        finally:
            timer.cancel()
            self._remaining_s = max(0.0, self._end_s - time.perf_counter())
            self._close()
        self.is_finished = True
        is_complete = pending is None and not self._is_busy
        return self.result(is_complete) if self._trials else None

    def result(self, is_complete: bool = False) -> Tuning:
        """Choose the tuning by the trials so far."""
        target = self._target
        return choose_tuning(
            target.defaults, target.n_prompt_threads, self._trials, self._profile.depth, is_complete
        )

    def _missing_trials(self, abort: AbortFlag) -> Iterator[Trial]:
        """Yield the trials that are not done yet; later ones depend on the results of the earlier."""
        yield from filter(self._is_new, self._attention_trials())
        best = replace(best_attention(self._target.defaults, self._trials), **_NO_SPEEDS)
        threads = [
            replace(best, aim=TuningParameter.THREADS, n_threads=count)
            for count in self._target.thread_counts
        ]
        new = list(filter(self._is_new, threads))
        if new:
            self._is_busy = _is_busy(abort)
            yield from () if self._is_busy else new
        chunks = (
            replace(best, aim=TuningParameter.UBATCH, n_ubatch=count) for count in self._target.ubatch_sizes
        )
        yield from filter(self._is_new, chunks)

    def _attention_trials(self) -> list[Trial]:
        """Return the trials of attention, with all types of cache that may be tried."""
        first = self._target.defaults
        if first.kv_type is not KvType.F16:
            return [first]  # which needs flash attention
        second = replace(first, flash_attention=not first.flash_attention)
        quantised = replace(first, flash_attention=True, kv_type=KvType.Q8_0)
        return [first, second, quantised] if self._profile.with_q8_0 else [first, second]

    def _is_new(self, trial: Trial) -> bool:
        return not any(trial.has_same_settings(done) for done in self._trials)

    def _has_time(self, trial: Trial) -> bool:
        """Return True if a trial fits into the remaining time, estimated by an earlier one."""
        done = next((done for done in self._trials if done.aim is TuningParameter.ATTENTION), None)
        if done is None:
            return True
        estimated_s = self._prompt_tokens(trial) / done.prompt_tokens_per_s
        if trial.aim is not TuningParameter.UBATCH:
            estimated_s += TIMED_TOKENS / done.reply_tokens_per_s
        return time.perf_counter() + estimated_s <= self._end_s

    def _prompt_tokens(self, trial: Trial) -> int:
        return trial.n_ubatch if trial.aim is TuningParameter.UBATCH else self._profile.prompt_tokens

    def _measure(self, trial: Trial, abort: AbortFlag) -> Trial | None:
        """Return a trial with its speeds; None if there is no memory for it."""
        context = self._context_for(trial, abort)
        if context is None:
            return None
        uses_cpu_time = bool(self._target.thread_counts) and trial.aim is not TuningParameter.THREADS
        token_s = 0.0
        if trial.aim is not TuningParameter.UBATCH:
            limit_s = _MAX_SHARE_PER_TRIAL * self._profile.budget_s
            token_s = context.time_token_s(trial.n_threads, limit_s, uses_cpu_time)
        prompt_s = context.time_prompt_token_s(trial.n_threads, self._prompt_tokens(trial), uses_cpu_time)
        return replace(
            trial, reply_tokens_per_s=1 / token_s if token_s else 0.0, prompt_tokens_per_s=1 / prompt_s
        )

    def _context_for(self, trial: Trial, abort: AbortFlag) -> TrialContext | None:
        """Return the context for a trial, the one in use if it fits; None if there is no memory for it."""
        key = (trial.flash_attention, trial.kv_type)
        if self._context_key == key:
            return self._context
        self._close()
        n_ubatch = max(self._profile.prompt_tokens, *self._target.ubatch_sizes)
        plan = TrialPlan(trial.flash_attention, trial.kv_type, n_ubatch, self._profile.depth)
        if plan.n_ctx * self._target.kv_bytes_per_token + SPARE_MEMORY_BYTES > self._target.free_bytes():
            return None
        self._context = TrialContext(self._target.model, plan, trial.n_threads, abort)
        self._context_key = key
        self._context.fill()
        return self._context

    def _close(self) -> None:
        if self._context:
            self._context.close()
        self._context = self._context_key = None


def _is_busy(abort: AbortFlag) -> bool:
    """Watch the processors for a moment; return True if other programs use them.

    Raises:
        AbortedError: the flag was set.
    """
    psutil.cpu_percent()
    for _ in range(_N_CPU_CHECKS):
        if abort.is_set():
            raise AbortedError
        time.sleep(_CPU_CHECK_S)
    return psutil.cpu_percent() > _BUSY_PERCENT
