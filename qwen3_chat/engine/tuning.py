"""The fastest settings of a model on this machine: trials, the choice among them, the file of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.record_copies import replace
from qwen3_chat.request import MAX_THREADS, KvType, PersistenceOptions

TUNING_FILE_NAME = "calibration.json"
_MAX_ENTRIES = 32
_PROMPT_TOKENS, _REPLY_TOKENS = 256, 512
"""A usual turn: the question and what idle time left of the prompt; the thinking and the answer."""
_CHANGE_THRESHOLD = 0.9
"""The fraction of the default's time below which other settings are worth a change."""


class TuningParameter(StrEnum):
    """The parameter that a trial varies."""

    ATTENTION = "attention"
    THREADS = "threads"
    UBATCH = "ubatch"


ThreadCount = Annotated[int, msgspec.Meta(ge=1, le=MAX_THREADS)]
UbatchSize = Annotated[int, msgspec.Meta(ge=1, le=1 << 14)]
Speed = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""The numbers of a file that llama.cpp gets, or that are computed with."""


class Trial(msgspec.Struct, frozen=True):
    """The settings of one run of a model with its speeds; a speed of 0 was not measured."""

    aim: TuningParameter
    flash_attention: bool
    kv_type: KvType
    n_ubatch: UbatchSize
    n_threads: ThreadCount
    reply_tokens_per_s: Speed = 0.0
    prompt_tokens_per_s: Speed = 0.0

    @property
    def turn_s(self) -> float:
        """The duration of a usual turn."""
        return _PROMPT_TOKENS / self.prompt_tokens_per_s + _REPLY_TOKENS / self.reply_tokens_per_s

    def has_same_settings(self, other: Trial) -> bool:
        """Return whether all but the speeds is the same."""
        unmeasured = [
            msgspec.structs.replace(trial, reply_tokens_per_s=0.0, prompt_tokens_per_s=0.0)
            for trial in (self, other)
        ]
        return unmeasured[0] == unmeasured[1]


class Tuning(msgspec.Struct, frozen=True):
    """The fastest settings of a model on a machine, measured after `depth` tokens, with all trials.

    Without `n_prompt_threads`, the default was not compared. `is_complete` is true if no trial was omitted
    for lack of time, memory or an idle processor.
    """

    flash_attention: bool
    kv_type: KvType
    n_ubatch: UbatchSize
    n_threads: ThreadCount
    n_prompt_threads: ThreadCount | None
    reply_tokens_per_s: Speed
    prompt_tokens_per_s: Speed
    depth: int
    trials: list[Trial]
    is_complete: bool = False

    @property
    def chosen_settings(self) -> tuple[object, ...]:
        """The settings that affect the speed of the model."""
        return self.flash_attention, self.kv_type, self.n_ubatch, self.n_threads, self.n_prompt_threads


def choose_tuning(
    defaults: Trial, n_prompt_threads: int, trials: Sequence[Trial], depth: int, is_complete: bool
) -> Tuning:
    """Choose the fastest settings; those only a little faster than the defaults are not worth a change.

    A quantised KV cache costs some quality, so it is never chosen for its speed. By default, prompts are
    evaluated with `n_prompt_threads`; if that was not measured, the default stays.
    """
    attention = best_attention(defaults, trials)
    thread_trials = _trials_varying(TuningParameter.THREADS, "n_threads", attention, trials)
    default = next((trial for trial in thread_trials if trial.n_threads == defaults.n_threads), attention)
    reply_trial = _fastest(default, thread_trials, lambda trial: trial.reply_tokens_per_s)
    prompt_trial = default
    prompt_default = next((trial for trial in thread_trials if trial.n_threads == n_prompt_threads), None)
    if prompt_default:
        prompt_trial = _fastest(prompt_default, thread_trials, lambda trial: trial.prompt_tokens_per_s)
    ubatch_trials = _trials_varying(TuningParameter.UBATCH, "n_ubatch", attention, trials)
    default = next((trial for trial in ubatch_trials if trial.n_ubatch == defaults.n_ubatch), attention)
    return Tuning(
        flash_attention=attention.flash_attention,
        kv_type=attention.kv_type,
        n_ubatch=_fastest(default, ubatch_trials, lambda trial: trial.prompt_tokens_per_s).n_ubatch,
        n_threads=reply_trial.n_threads,
        n_prompt_threads=prompt_trial.n_threads if prompt_default else None,
        reply_tokens_per_s=reply_trial.reply_tokens_per_s,
        prompt_tokens_per_s=prompt_trial.prompt_tokens_per_s,
        depth=depth,
        trials=list(trials),
        is_complete=is_complete,
    )


def best_attention(defaults: Trial, trials: Sequence[Trial]) -> Trial:
    """Choose between the default kind of attention and the other one, as measured."""
    candidates = [
        trial
        for trial in trials
        if trial.aim is TuningParameter.ATTENTION and trial.kv_type is defaults.kv_type
    ]
    default = next(
        (trial for trial in candidates if trial.flash_attention == defaults.flash_attention), defaults
    )
    other = next((trial for trial in candidates if trial is not default), None)
    is_better = other and default.turn_s * _CHANGE_THRESHOLD > other.turn_s
    return other if other and is_better else default


def _trials_varying(
    parameter: TuningParameter, field: str, base: Trial, trials: Sequence[Trial]
) -> list[Trial]:
    """Return the trials of a parameter that differ from `base` in its field alone."""
    base = msgspec.structs.replace(base, aim=parameter)
    return [
        trial
        for trial in trials
        if trial.has_same_settings(msgspec.structs.replace(base, **{field: getattr(trial, field)}))
    ]


def _fastest(default: Trial, trials: Sequence[Trial], speed: Callable[[Trial], float]) -> Trial:
    best = max(trials, key=speed, default=default)
    return best if speed(best) * _CHANGE_THRESHOLD > speed(default) else default


def apply_tuning(plan: LoadPlan, tuning: Tuning | None, default_n_ubatch: int) -> LoadPlan:
    """Return the plan with the fastest settings, as far as memory permits them."""
    if tuning is None:
        return plan
    if plan.kv_type is KvType.F16:
        plan = replace(plan, flash_attention=tuning.flash_attention)
    n_ubatch = tuning.n_ubatch if plan.n_ubatch == default_n_ubatch else min(plan.n_ubatch, tuning.n_ubatch)
    plan = replace(plan, n_ubatch=n_ubatch)
    return replace(plan, n_threads=tuning.n_threads, n_prompt_threads=tuning.n_prompt_threads)


class TuningFile:
    """The file of the latest tunings by key; a file that can't be read or written counts as missing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def from_options(cls, options: PersistenceOptions) -> TuningFile:
        """Return the file in the folder of the options."""
        return cls(Path(options.folder) / TUNING_FILE_NAME)

    def find(self, key: str) -> Tuning | None:
        """Return the tuning of a key, if there is one."""
        return self.read().get(key)

    def save(self, key: str, tuning: Tuning) -> None:
        """Store a tuning in place of the earlier one of its key."""
        others = {other: value for other, value in self.read().items() if other != key}
        latest: Sequence[tuple[str, Tuning]] = [*others.items(), (key, tuning)][-_MAX_ENTRIES:]
        partial_file = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial_file.write_bytes(msgspec.json.encode(dict(latest)))
            partial_file.replace(self._path)

    def read(self) -> dict[str, Tuning]:
        """Return all stored tunings."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Tuning])
        except (OSError, ValueError):  # msgspec's own errors are ValueErrors, and so are those of UTF-8
            return {}
