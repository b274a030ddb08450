"""The routing of one model file to a native library, and the comparison that it rests on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from qwen3_chat.engine.library_choice import (
    LibraryChoices,
    Measurement,
    ModelKind,
    is_library_failure,
    is_possible,
    placement_text,
)
from qwen3_chat.engine.library_trial import (
    FastLibraryFailedError,
    LibraryComparer,
    TrialSink,
    has_room_to_repack,
    plan_for,
)
from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES, LoadPlan
from qwen3_chat.engine.native_libraries import IK_NAME, default_library, has_fast_library, has_llama_cpp
from qwen3_chat.engine.tuning import Tuning
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, ModelError
from qwen3_chat.events import Notice
from qwen3_chat.models import gguf
from qwen3_chat.request import LLAMA_CPP_NAME, KvType, LoadedModel, LoadSettings, PersistenceOptions
from qwen3_chat.texts import t


class LibraryRouter:
    """The router of one model file; without the faster library, it never does anything."""

    def __init__(
        self,
        settings: LoadSettings,
        persistence: PersistenceOptions,
        comparer: LibraryComparer,
        is_one_shot: bool = False,
    ) -> None:
        self._settings = settings
        self._calibrates = persistence.calibrates
        self._choices = LibraryChoices(persistence.folder)
        self._comparer = comparer
        self._is_one_shot = is_one_shot
        self._kind: ModelKind | None = None
        self._plan: LoadPlan | None = None
        self._is_left = False
        """True once the faster library has failed, whether or not that can be stored."""
        self._has_compared = False
        """True once a comparison has ended, whether or not it gave something to store."""

    async def expect(self) -> str:
        """Return the library that `choose` will probably name, so that the process of no other is started.

        It is the faster one only where nothing has changed by which a GPU would now be used, or where
        llama-cpp-python is not there.
        """
        if not self._has_llama_cpp:
            return default_library(self._comparer.environment)
        kind = await self._read_kind(self._settings.kv_type or KvType.F16)
        measured = self._choices.measurement(kind) if kind else None
        placement = placement_text(self._settings, self._comparer.environment)
        if kind is None or measured is None or measured.placement != placement:
            return LLAMA_CPP_NAME
        return self._choices.choose(kind)

    async def choose(self, plan: LoadPlan) -> tuple[str, LoadPlan]:
        """Return the name of the library to load the model with, and the plan to load it by."""
        library = await self._choose(plan)
        return library, plan_for(library, plan, library != LLAMA_CPP_NAME and self._repacks())

    def _repacks(self) -> bool:
        """Return whether to repack weights: what a single answer would gain, the load would take."""
        measured = self._choices.measurement(self._kind) if self._kind else None
        path = Path(self._settings.path)
        return (
            measured is not None and measured.repacks and not self._is_one_shot and has_room_to_repack(path)
        )

    async def _choose(self, plan: LoadPlan) -> str:
        self._kind = self._plan = None
        kind = await self._read_kind(plan.kv_type)
        if kind is None or not is_possible(kind, plan):
            return LLAMA_CPP_NAME
        self._kind, self._plan = kind, plan
        if not self._has_llama_cpp:  # there is nothing to compare with
            return IK_NAME if self._choices.failure(kind) is None else LLAMA_CPP_NAME
        return self._choices.choose(kind)

    @property
    def _has_llama_cpp(self) -> bool:
        return has_llama_cpp(self._comparer.environment)

    async def _read_kind(self, kv_type: KvType) -> ModelKind | None:
        """Return the kind of the file; None where the faster library is not there, or the file is broken."""
        has_extras = self._settings.adapters or self._settings.draft  # tried with the usual library alone
        if self._is_left or has_extras or not has_fast_library():
            return None
        path = Path(self._settings.path)
        try:
            header = await asyncio.to_thread(gguf.read_file, path)
        except ModelError:
            return None  # llama-cpp-python tells what is wrong with the file
        return ModelKind.from_header(header, path, kv_type)

    def leave(self, error: EngineError) -> Notice | None:
        """Give up the faster library if this error is its failure; return a notice then."""
        if not is_library_failure(error) or self._is_left:
            return None
        self._is_left = True
        if self._kind:
            self._choices.record_failure(self._kind, error.code.value)
        # the sentence of an illegal instruction is about llama-cpp-python
        is_illegal = error.code is ErrorCode.CPU_UNSUPPORTED
        return Notice(
            "engine.fast_cpu_left",
            {"reason": t("engine.fast_cpu_illegal") if is_illegal else str(error)},
        )

    def may_compare(self, model: LoadedModel) -> bool:
        """Return whether the libraries are still to be compared with the loaded model, and memory permits."""
        kind = self._kind
        return (
            self._calibrates
            and kind is not None
            and self._has_llama_cpp
            and not self._is_left
            and not self._has_compared
            and not model.is_demo
            and self._choices.measurement(kind) is None
            and self._choices.failure(kind) is None
            and psutil.virtual_memory().available > 2 * model.size_bytes + SPARE_MEMORY_BYTES
        )

    async def compare_completely(
        self, known: Tuning | None, on_trial: TrialSink
    ) -> Measurement | Notice | None:
        """Compare the libraries; `known` are the fastest settings of the usual one, if they were measured.

        Return a notice if the other one failed, None if it is not for this model.

        Raises:
            EngineError: the usual one failed.
        """
        kind, plan = self._kind, self._plan
        if kind is None or plan is None or not self._has_llama_cpp:
            return None
        if self._choices.failure(kind) is not None:
            return None
        try:
            return await self._comparer.compare(kind, self._settings, plan, known, True, on_trial)
        except FastLibraryFailedError as failure:
            return self.leave(failure.error)

    async def compare(self) -> Notice | None:
        """Compare the libraries; return a notice of what follows from it."""
        if self._kind is None or self._plan is None:
            return None
        try:
            measurement = await self._comparer.compare(self._kind, self._settings, self._plan)
        except FastLibraryFailedError as failure:
            return self.leave(failure.error)
        except EngineError:
            measurement = None
        self._has_compared = True
        if measurement is None or not measurement.favours_fast_library:
            return None
        return Notice("engine.fast_cpu_chosen", {"saved": round(100 - 100 / measurement.turn_speedup)})
