"""The comparison of the native libraries with one model, each in a process apart.

The faster library has to begin its answer to a long prompt as the usual one does. Both are measured by the
calibration of their workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import psutil

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine import wire
from qwen3_chat.engine.library_choice import (
    LibraryChoices,
    Measurement,
    ModelKind,
    compare_tunings,
    is_library_failure,
    placement_text,
)
from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES, LoadPlan
from qwen3_chat.engine.native_libraries import IK_NAME, library_environment
from qwen3_chat.engine.tuning import Tuning
from qwen3_chat.engine.worker_process import error_from_message, one_off_worker
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import TurnFinished
from qwen3_chat.models.gguf_file_name import split_part_names
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LLAMA_CPP_NAME, ChatRequest, LoadSettings, PersistenceOptions
from qwen3_chat.sampling import SamplingParams

_N_CTX = 2048
_CHECKED_TOKENS: Final = 4
_SENTENCE = "The {number}th lamp in the long corridor is {colour}, and behind it a small door is {state}. "
_N_SENTENCES = 24
"""Some 600 tokens: more than one chunk of a prompt, where faults of attention show."""


@dataclass(frozen=True, slots=True)
class LibraryTrial:
    """A finished trial of a calibration with the library that it was done with."""

    library: str
    is_repacked: bool
    finished: wire.TrialFinished


TrialSink = Callable[[LibraryTrial], None]
"""The function that gets each measured trial."""


class FastLibraryFailedError(Exception):
    """A failure that speaks against the faster library; `error` is what happened."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(str(error))
        self.error = error


class _Extent(Enum):
    """The extent of a measurement."""

    ANSWER = auto()
    QUICK = auto()
    COMPLETE = auto()


@dataclass(frozen=True, slots=True)
class LibraryComparer:
    """The comparer of the libraries; `environment` are the variables of a worker of the usual one."""

    log_path: Path
    python: str
    folder: str
    environment: Mapping[str, str] | None = None

    async def compare(
        self,
        kind: ModelKind,
        settings: LoadSettings,
        plan: LoadPlan,
        known: Tuning | None = None,
        is_complete: bool = False,
        on_trial: TrialSink = lambda trial: None,
    ) -> Measurement | None:
        """Compare the libraries and store the result; return None where one could not be measured now.

        The faster one is measured with its weights as they are in the file, and repacked if there is room.
        A complete comparison takes minutes, less where the fastest settings of the usual library are known
        from such a calibration; another one takes some seconds.

        Raises:
            FastLibraryFailedError: the faster library failed.
            EngineError: the usual one failed, or there was no room for the other.
        """
        plan = replace(plan, n_ctx=_N_CTX)
        extent = _Extent.COMPLETE if is_complete else _Extent.QUICK
        run = partial(self._measure, settings=settings, on_trial=on_trial)
        usual_ids, usual = await run(LLAMA_CPP_NAME, plan=plan, extent=_Extent.ANSWER if known else extent)
        usual = known or usual
        measurements: list[Measurement] = []
        for repacks in (False, True) if has_room_to_repack(kind.path) else (False,):
            try:
                fast_ids, fast = await run(IK_NAME, plan=plan_for(IK_NAME, plan, repacks), extent=extent)
                if fast_ids != usual_ids:
                    raise EngineError(ErrorCode.FAST_CPU_ANSWERS_WRONGLY)
            except EngineError as error:
                if is_library_failure(error):
                    raise FastLibraryFailedError(error) from error
                raise
            compared = usual and fast and compare_tunings(usual, fast, kind.kv_type, repacks=repacks)
            measurements += [compared] if compared else []
        if not measurements:
            return None
        measurement = msgspec.structs.replace(
            max(measurements, key=lambda one: one.turn_speedup),
            placement=placement_text(settings, self.environment),
        )
        LibraryChoices(self.folder).record_measurement(kind, measurement)
        return measurement

    async def _measure(
        self, library: str, settings: LoadSettings, plan: LoadPlan, extent: _Extent, on_trial: TrialSink
    ) -> tuple[tuple[int, ...], Tuning | None]:
        """Return the first tokens of an answer, and the fastest settings.

        Raises:
            EngineError: the library failed.
        """
        environment = library_environment(library, self.environment)
        persistence = PersistenceOptions(self.folder, snapshots_bytes=0, calibrates=True)

        def on_message(message: wire.AnyWorkerMessage) -> None:
            if isinstance(message, wire.TrialFinished):
                on_trial(LibraryTrial(library, plan.repacks_weights, message))

        async with one_off_worker(self.log_path, self.python, environment) as worker:
            load = partial(wire.Load, settings=settings, plan=plan, persistence=persistence)
            message = await worker.ask(load)
            if not isinstance(message, wire.Loaded):
                raise error_from_message(message)
            message = await worker.ask(partial(wire.Generate, request=_check_request()))
            if not (isinstance(message, wire.EventEmitted) and isinstance(message.event, TurnFinished)):
                raise error_from_message(message)
            ids = message.event.token_ids
            if extent is _Extent.ANSWER:
                return ids, None
            measure = wire.WaitIdle if extent is _Extent.QUICK else wire.Calibrate
            message = await worker.ask(measure, on_message)
            if not isinstance(message, wire.Idle | wire.Calibrated):
                raise error_from_message(message)
            return ids, message.tuning


def plan_for(library: str, plan: LoadPlan, repacks: bool = False) -> LoadPlan:
    """Return the plan with the default attention of a library; a calibration may have found a better one."""
    return replace(plan, flash_attention=True, repacks_weights=repacks) if library == IK_NAME else plan


def has_room_to_repack(path: Path) -> bool:
    """Return whether the weights of a file fit into free memory as this program's own, beside a context."""
    names = split_part_names(path.name) or (path.name,)
    try:
        size_bytes = sum(path.with_name(name).stat().st_size for name in names)
    except OSError:
        return False
    return psutil.virtual_memory().available > size_bytes + 2 * SPARE_MEMORY_BYTES


def _check_request() -> ChatRequest:
    states, colours = ("open", "closed", "ajar"), ("red", "green", "blue", "white", "amber")
    text = "".join(
        _SENTENCE.format(number=i, colour=colours[i % len(colours)], state=states[i % len(states)])
        for i in range(4, 4 + _N_SENTENCES)
    )
    message = ChatMessage(Role.USER, f"{text}\n\nWhich colour is the 9th lamp?")
    greedy = SamplingParams(temperature=0, top_p=1, top_k=0)
    return ChatRequest(
        (message,), ThinkingMode.NO_THINK, greedy, seed=1, max_tokens=_CHECKED_TOKENS, guesses=False
    )
