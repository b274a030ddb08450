"""The choice between the native libraries for a model on this machine, by what was measured here.

llama-cpp-python runs everything. The faster library runs a model only once it was tried with it on this
processor, in a process apart, and was measured to be faster with this very model.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec.structs import replace

from qwen3_chat.engine.cpu_cores import processor_name
from qwen3_chat.engine.llama_build import CHOSEN_BUILD_VARIABLE
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.native_libraries import (
    IK_NAME,
    IK_VERSION,
    LIBRARY_FILE_NAME,
    fast_library_build,
    has_fast_library,
)
from qwen3_chat.engine.tuning import Trial, Tuning, TuningParameter
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.private_file import write_private_file
from qwen3_chat.request import LLAMA_CPP_NAME, KvType, LoadSettings

MIN_SPEEDUP = 1.1
"""The times that a usual turn has to be faster for the library to be changed."""
ROUTED_ARCHITECTURES: Final = frozenset({"qwen2", "qwen3", "qwen3moe", "llama"})
ROUTED_QUANTS: Final = frozenset({"Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "F16"})
_LIBRARY_FAILURES: Final = (
    ErrorCode.CPU_UNSUPPORTED,
    ErrorCode.ENGINE_ABORTED,
    ErrorCode.LLAMA_CPP_BROKEN,
    ErrorCode.FAST_CPU_VERSION_UNSUPPORTED,
    ErrorCode.FAST_CPU_ANSWERS_WRONGLY,
    ErrorCode.MODEL_NOT_LOADABLE,
    ErrorCode.EVALUATION_FAILED,
    ErrorCode.UNEXPECTED_FAILURE,
)
"""The errors that always say something about the library."""
_CRASH_SIGNALS: Final = frozenset({"SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE"})
_MAX_ENTRIES, _MAX_FILE_BYTES = 64, 65_536
_KEY_CHARS = 32

_Key = Annotated[str, msgspec.Meta(max_length=_KEY_CHARS)]
_T = TypeVar("_T")


class Measurement(msgspec.Struct, frozen=True):
    """The comparison of the libraries with one model: how many times as fast the faster library was.

    The speeds are those after `depth` tokens, of llama-cpp-python first. With `repacks`, the faster library
    was fastest with its weights repacked. `placement` tells what had led to no GPU being used: the user's
    layers on it, and the build of llama-cpp-python.
    """

    turn_speedup: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    depth: int
    prompt_tokens_per_s: tuple[float, float]
    reply_tokens_per_s: tuple[float, float]
    repacks: bool = False
    placement: str = ""

    @property
    def favours_fast_library(self) -> bool:
        """True if the faster library is worth it."""
        return self.turn_speedup >= MIN_SPEEDUP


class _Record(msgspec.Struct, frozen=True):
    """The content of the file.

    `unusable` has the kinds of model, on a processor, with which the library failed, and how; `measured` the
    comparisons by model.
    """

    unusable: dict[_Key, str] = {}
    measured: dict[_Key, Measurement] = {}


@dataclass(frozen=True, slots=True)
class ModelKind:
    """A model as far as a library may fail with it: its architecture and its quant; and the file itself.

    Speeds depend on the type of its KV cache, too.
    """

    architecture: str
    quant: str
    path: Path
    kv_type: KvType = KvType.F16

    @classmethod
    def from_header(cls, header: GgufHeader, path: Path, kv_type: KvType = KvType.F16) -> ModelKind:
        """Return the kind of a model file."""
        return cls(header.architecture, header.quant, path, kv_type)

    @property
    def is_routed(self) -> bool:
        """True if the faster library is known to run such models."""
        return self.architecture in ROUTED_ARCHITECTURES and self.quant in ROUTED_QUANTS

    @property
    def kind_key(self) -> str:
        """The key of the kind with this processor and this build of the library."""
        return _digest(processor_name(), IK_VERSION, fast_library_build(), self.architecture, self.quant)

    @property
    def model_key(self) -> str:
        """The key of the file, and its KV cache, with this processor and this build of the library."""
        try:
            status = self.path.stat()
        except OSError:
            return ""
        return _digest(self.kind_key, str(self.path), status.st_size, status.st_mtime_ns, self.kv_type.value)


def placement_text(settings: LoadSettings, environment: Mapping[str, str] | None) -> str:
    """Return what decides, besides the machine, whether a GPU is used, as `Measurement.placement`."""
    variables = os.environ if environment is None else environment
    return f"{settings.n_gpu_layers},{settings.n_cpu_moe},{variables.get(CHOSEN_BUILD_VARIABLE, '')}"


class LibraryChoices:
    """The choices that were made on this machine, in a file; one that is damaged counts as empty."""

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder) / LIBRARY_FILE_NAME

    def choose(self, kind: ModelKind) -> str:
        """Return the name of the library to run a model with."""
        measurement = self.measurement(kind)
        is_faster = measurement is not None and measurement.favours_fast_library
        return IK_NAME if is_faster and self.failure(kind) is None else LLAMA_CPP_NAME

    def failure(self, kind: ModelKind) -> str | None:
        """Return the code of the error by which the faster library failed with such a model, if it did."""
        return self._read().unusable.get(kind.kind_key)

    def measurement(self, kind: ModelKind) -> Measurement | None:
        """Return the comparison with a model, None without one."""
        return self._read().measured.get(kind.model_key)

    def record_failure(self, kind: ModelKind, code: str) -> None:
        """Never use the faster library again for such models, on this processor and in this version."""
        record = self._read()
        self._write(_Record(_with_entry(record.unusable, kind.kind_key, code), record.measured))

    def record_measurement(self, kind: ModelKind, measurement: Measurement) -> None:
        """Store a comparison in place of an earlier one."""
        record = self._read()
        measured = _with_entry(record.measured, kind.model_key, measurement)
        self._write(_Record(record.unusable, measured))

    def _read(self) -> _Record:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=_Record)
        except (OSError, ValueError, RecursionError):  # msgspec's own errors are ValueErrors
            return _Record()

    def _write(self, record: _Record) -> None:
        with suppress(OSError):  # then it is measured, or fails, once more
            write_private_file(self._path, msgspec.json.encode(record))


def is_possible(kind: ModelKind, plan: LoadPlan) -> bool:
    """Return whether the faster library may run a model as planned: on the processor alone, as it is."""
    return has_fast_library() and kind.is_routed and not plan.n_gpu_layers and plan.yarn_factor == 1


def is_library_failure(error: EngineError) -> bool:
    """Return whether an error of a process with the faster library speaks against it."""
    if error.code is ErrorCode.ENGINE_ENDED_BY_SIGNAL:
        return error.values["name"] in _CRASH_SIGNALS
    if error.code is ErrorCode.ENGINE_EXITED:
        return error.values["status"] != 0
    return error.code in _LIBRARY_FAILURES


def compare_tunings(
    usual: Tuning, fast: Tuning, kv_type: KvType = KvType.F16, *, repacks: bool = False
) -> Measurement | None:
    """Compare the libraries by their fastest settings; None where something was not measured."""
    first, second = _best_speeds(usual, kv_type), _best_speeds(fast, kv_type)
    if first is None or second is None or usual.depth != fast.depth:
        return None
    return Measurement(
        first.turn_s / second.turn_s,
        usual.depth,
        (first.prompt_tokens_per_s, second.prompt_tokens_per_s),
        (first.reply_tokens_per_s, second.reply_tokens_per_s),
        repacks,
    )


def _best_speeds(tuning: Tuning, kv_type: KvType) -> Trial | None:
    """Return the fastest kind of attention, with the speed of its best chunk of a prompt.

    These are the trials that other programs can't disturb: they are timed by the processor's clock.
    """
    trials = [
        trial
        for trial in tuning.trials
        if trial.aim is TuningParameter.ATTENTION
        and trial.kv_type is kv_type
        and trial.prompt_tokens_per_s
        and trial.reply_tokens_per_s
    ]
    best = min(trials, key=lambda trial: trial.turn_s, default=None)
    if best is None:
        return None
    chunks = (
        trial.prompt_tokens_per_s
        for trial in tuning.trials
        if trial.aim is TuningParameter.UBATCH
        and (trial.flash_attention, trial.kv_type) == (best.flash_attention, kv_type)
    )
    return replace(best, prompt_tokens_per_s=max(chunks, default=best.prompt_tokens_per_s))


def _digest(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()[:_KEY_CHARS]


def _with_entry(entries: Mapping[str, _T], key: str, value: _T) -> dict[str, _T]:
    """Return the latest entries with another one."""
    others = [(other, entry) for other, entry in entries.items() if other != key]
    return dict([*others, (key, value)][-_MAX_ENTRIES:])
