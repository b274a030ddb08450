"""What was measured of a model on this machine: applied when it is loaded, completed while nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.tuning import Aim, Trial, Tuning, TuningFile, tuned
from qwen3_chat.engine.wire import DeviceKind
from qwen3_chat.engine.worker import cores
from qwen3_chat.engine.worker.abort import AbortFlag
from qwen3_chat.engine.worker.calibration import IN_FULL, IN_IDLE_TIME, Calibration, Subject
from qwen3_chat.engine.worker.ggml import list_devices
from qwen3_chat.engine.worker.model import Model
from qwen3_chat.engine.worker.origin import origin_of
from qwen3_chat.events import Notice
from qwen3_chat.request import Keeping, LoadSettings

CPU_UBATCHES, GPU_UBATCHES = (64, 128, 256), (256, 512, 1024)
"""What may be tried."""
DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH = 256, 512
"""What `fit` plans with where memory is plenty; importing that would delay the process."""


class Tuner:
    """Knows how one model runs fastest here; without `keeping` it forgets that with the process.

    What the user wants wins over what was measured.
    """

    def __init__(self, settings: LoadSettings, plan: LoadPlan, keeping: Keeping | None) -> None:
        self._settings = settings
        self._uses_gpu = bool(plan.n_gpu_layers)
        self._ubatches = GPU_UBATCHES if self._uses_gpu else CPU_UBATCHES
        self._default_n_ubatch = DEFAULT_GPU_UBATCH if self._uses_gpu else DEFAULT_CPU_UBATCH
        self._default_plan = plan
        self._file = TuningFile.of(keeping) if keeping else None
        self._key = _key(settings, plan) if self._file else ""
        self._calibrates = keeping is not None and keeping.calibrates
        self._idle: Calibration | None = None
        self.tuning = self._file.find(self._key) if self._file else None
        """What is known."""

    @property
    def plan(self) -> LoadPlan:
        """Return how to load the model."""
        return tuned(self._default_plan, self.tuning, self._default_n_ubatch)

    def wants_idle_time(self, model: Model) -> bool:
        """Tell whether something is left to be measured; of the toy, nothing is worth it."""
        return self._calibrates and not model.description.is_demo and not self._in_idle_time(model).is_over

    def use_idle_time(self, model: Model, abort: AbortFlag, tell: Callable[[Notice], None]) -> None:
        """Measure for a few seconds at most; tell of it where it is new to the user.

        Raises:
            AbortedError: the flag went up.
            EngineError: llama.cpp could not do it.
        """
        calibration = self._in_idle_time(model)
        before = self.tuning
        if before is None:
            tell(Notice("engine.calibrating"))
        found: Tuning | None = None
        self._remember(calibration.result(is_complete=True))  # not tried again if it ends this process
        try:
            found = calibration.run(abort, lambda trial: None)
        finally:
            self._remember(found or calibration.result())
        if found and (before is None or found.choice != before.choice):
            tell(_in_words(found))

    def calibrate(
        self, model: Model, abort: AbortFlag, tell: Callable[[Trial, int, int], None]
    ) -> Tuning | None:
        """Measure everything anew; raises as above. None where there is no memory for it."""
        calibration = Calibration(self._subject(model), IN_FULL)
        found = calibration.run(abort, lambda trial: tell(trial, calibration.n_done, calibration.n_trials))
        if found:
            self._remember(found)
        return found

    def _in_idle_time(self, model: Model) -> Calibration:
        if self._idle is None:
            self._idle = Calibration(self._subject(model), IN_IDLE_TIME, self.tuning)
        return self._idle

    def _remember(self, tuning: Tuning) -> None:
        self.tuning = tuning
        if self._file:
            self._file.remember(self._key, tuning)

    def _subject(self, model: Model) -> Subject:
        plan = self._default_plan
        all_on_gpu = plan.n_gpu_layers == plan.n_layers and not plan.n_cpu_moe
        wanted = self._settings.n_threads
        return Subject(
            pointer=model.pointer,
            defaults=Trial(
                Aim.ATTENTION,
                plan.flash_attention is not False,
                plan.kv_type,
                self._default_n_ubatch,
                wanted or cores.default_threads(),
            ),
            kv_bytes_per_token=model.kv_bytes_per_token,
            free_bytes=self._free_bytes,
            n_prompt_threads=wanted or cores.default_prompt_threads(),
            threads=() if all_on_gpu else (wanted,) if wanted else cores.threads_to_try(),
            ubatches=self._ubatches,
        )

    def _free_bytes(self) -> int:
        ram = psutil.virtual_memory().available
        if not self._uses_gpu:
            return ram
        return sum(device.free_bytes for device in list_devices() if device.kind is not DeviceKind.CPU)


def _in_words(tuning: Tuning) -> Notice:
    key = "engine.calibrated_with" if tuning.flash_attention else "engine.calibrated_without"
    return Notice(
        key,
        {
            "threads": tuning.n_threads,
            "speed": f"{tuning.reply_tokens_per_s:.3g}",
            "depth": tuning.depth,
        },
    )


def _key(settings: LoadSettings, plan: LoadPlan) -> str:
    """Name the machine, the model with its place on it, and the build of llama.cpp, as a hash."""
    machine = [(d.backend, d.description, d.total_bytes) for d in list_devices()]
    place = (plan.n_gpu_layers, plan.n_cpu_moe, plan.kv_type)
    return origin_of(Path(settings.path), f"{machine},{cores.threads_to_try()},{place}")[:32]
