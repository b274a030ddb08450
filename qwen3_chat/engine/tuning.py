"""The fastest settings of a model on this machine: trials, the choice among them, the file that remembers
it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import msgspec

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.request import KvType, PersistenceOptions

TUNING_FILE_NAME = "calibration.json"
_MAX_ENTRIES = 32
_PROMPT_TOKENS, _REPLY_TOKENS = 256, 512
"""What a turn is like: the question with what idle time didn't get to, and thinking with answer."""
_CHANGE_THRESHOLD = 0.9


class TuningParameter(StrEnum):
    """What a trial is to find out."""

    ATTENTION = "attention"
    THREADS = "threads"
    UBATCH = "ubatch"


class Trial(msgspec.Struct, frozen=True):
    """One way to run a model, and how fast that was; a speed of 0 was not measured."""

    aim: TuningParameter
    flash_attention: bool
    kv_type: KvType
    n_ubatch: int
    n_threads: int
    reply_tokens_per_s: float = 0.0
    prompt_tokens_per_s: float = 0.0

    @property
    def turn_s(self) -> float:
        """How long a usual turn takes."""
        return _PROMPT_TOKENS / self.prompt_tokens_per_s + _REPLY_TOKENS / self.reply_tokens_per_s

    def has_same_settings(self, other: Trial) -> bool:
        """Tell whether it is the same but for the speeds."""
        unmeasured = [
            msgspec.structs.replace(trial, reply_tokens_per_s=0.0, prompt_tokens_per_s=0.0)
            for trial in (self, other)
        ]
        return unmeasured[0] == unmeasured[1]


class Tuning(msgspec.Struct, frozen=True):
    """What was found to be fastest for a model on a machine, after `depth` tokens, with all that was tried.

    Without `n_prompt_threads` the default was not compared. `is_complete` where nothing was left out for lack
    of time, memory or an idle processor.
    """

    flash_attention: bool
    kv_type: KvType
    n_ubatch: int
    n_threads: int
    n_prompt_threads: int | None
    reply_tokens_per_s: float
    prompt_tokens_per_s: float
    depth: int
    trials: list[Trial]
    is_complete: bool = False

    @property
    def chosen_settings(self) -> tuple[object, ...]:
        """What makes a difference to how the model runs."""
        return self.flash_attention, self.kv_type, self.n_ubatch, self.n_threads, self.n_prompt_threads


def choose_tuning(
    defaults: Trial, n_prompt_threads: int, trials: Sequence[Trial], depth: int, is_complete: bool
) -> Tuning:
    """Choose what was fastest; what is only a little faster than the defaults is not worth a change.

    A quantised KV cache costs some quality, so it is never chosen for its speed. By default prompts are
    evaluated with `n_prompt_threads`; where that was not measured, they stay with it.
    """
    attention = best_attention(defaults, trials)
    best = msgspec.structs.replace(attention, aim=TuningParameter.THREADS)
    threads = [
        trial
        for trial in trials
        if trial.has_same_settings(msgspec.structs.replace(best, n_threads=trial.n_threads))
    ]
    default = next((trial for trial in threads if trial.n_threads == defaults.n_threads), best)
    of_reply = _fastest(default, threads, lambda trial: trial.reply_tokens_per_s)
    of_prompt = default
    default_of_prompt = next((trial for trial in threads if trial.n_threads == n_prompt_threads), None)
    if default_of_prompt:
        of_prompt = _fastest(default_of_prompt, threads, lambda trial: trial.prompt_tokens_per_s)
    best = msgspec.structs.replace(attention, aim=TuningParameter.UBATCH)
    chunks = [
        trial
        for trial in trials
        if trial.has_same_settings(msgspec.structs.replace(best, n_ubatch=trial.n_ubatch))
    ]
    default = next((trial for trial in chunks if trial.n_ubatch == defaults.n_ubatch), best)
    return Tuning(
        flash_attention=attention.flash_attention,
        kv_type=attention.kv_type,
        n_ubatch=_fastest(default, chunks, lambda trial: trial.prompt_tokens_per_s).n_ubatch,
        n_threads=of_reply.n_threads,
        n_prompt_threads=of_prompt.n_threads if default_of_prompt else None,
        reply_tokens_per_s=of_reply.reply_tokens_per_s,
        prompt_tokens_per_s=of_prompt.prompt_tokens_per_s,
        depth=depth,
        trials=list(trials),
        is_complete=is_complete,
    )


def best_attention(defaults: Trial, trials: Sequence[Trial]) -> Trial:
    """Choose between attention as it is by default and the other way, as measured."""
    found = [
        trial
        for trial in trials
        if trial.aim is TuningParameter.ATTENTION and trial.kv_type is defaults.kv_type
    ]
    default = next((trial for trial in found if trial.flash_attention == defaults.flash_attention), defaults)
    other = next((trial for trial in found if trial is not default), None)
    is_better = other and default.turn_s * _CHANGE_THRESHOLD > other.turn_s
    return other if other and is_better else default


def _fastest(default: Trial, trials: Sequence[Trial], speed: Callable[[Trial], float]) -> Trial:
    best = max(trials, key=speed, default=default)
    return best if speed(best) * _CHANGE_THRESHOLD > speed(default) else default


def apply_tuning(plan: LoadPlan, tuning: Tuning | None, default_n_ubatch: int) -> LoadPlan:
    """Load as was measured to be fastest, as far as memory didn't decide otherwise."""
    if tuning is None:
        return plan
    if plan.kv_type is KvType.F16:
        plan = replace(plan, flash_attention=tuning.flash_attention)
    n_ubatch = tuning.n_ubatch if plan.n_ubatch == default_n_ubatch else min(plan.n_ubatch, tuning.n_ubatch)
    plan = replace(plan, n_ubatch=n_ubatch)
    return replace(plan, n_threads=tuning.n_threads, n_prompt_threads=tuning.n_prompt_threads)


class TuningFile:
    """Remembers tunings by key, the latest of them; a file that can't be read or written is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def from_options(cls, options: PersistenceOptions) -> TuningFile:
        """Find it where an engine keeps what it keeps."""
        return cls(Path(options.folder) / TUNING_FILE_NAME)

    def find(self, key: str) -> Tuning | None:
        """Look for what was measured."""
        return self.read().get(key)

    def save(self, key: str, tuning: Tuning) -> None:
        """Put in what was measured, in place of what was there."""
        known = {other: value for other, value in self.read().items() if other != key}
        latest: Sequence[tuple[str, Tuning]] = [*known.items(), (key, tuning)][-_MAX_ENTRIES:]
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(dict(latest)))
            draft.replace(self._path)

    def read(self) -> dict[str, Tuning]:
        """Return all that is remembered."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Tuning])
        except (OSError, msgspec.MsgspecError):
            return {}
