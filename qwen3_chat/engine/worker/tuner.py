"""The tuning of the loaded model: applied when it is loaded, completed by calibration while nobody waits,
remembered in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from qwen3_chat.engine import cpu_cores
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.tuning import Trial, Tuning, TuningFile, TuningParameter, apply_tuning
from qwen3_chat.engine.wire import DeviceKind
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.calibration import FULL_PROFILE, IDLE_PROFILE, Calibration, CalibrationTarget
from qwen3_chat.engine.worker.fingerprint import model_fingerprint
from qwen3_chat.engine.worker.llama_bindings import list_ggml_devices
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.events import Notice
from qwen3_chat.request import LoadSettings, PersistenceOptions

CPU_UBATCHES, GPU_UBATCHES = (64, 128, 256), (256, 512, 1024)
"""What may be tried."""
DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH = 256, 512
"""What `fit` plans with where memory is plenty; importing that would delay the process."""


class Tuner:
    """Knows how one model runs fastest here; without `keeping` it forgets that with the process.

    What the user wants wins over what was measured.
    """

    def __init__(
        self, settings: LoadSettings, plan: LoadPlan, persistence: PersistenceOptions | None
    ) -> None:
        self._settings = settings
        self._uses_gpu = bool(plan.n_gpu_layers)
        self._ubatches = GPU_UBATCHES if self._uses_gpu else CPU_UBATCHES
        self._default_n_ubatch = DEFAULT_GPU_UBATCH if self._uses_gpu else DEFAULT_CPU_UBATCH
        self._default_plan = plan
        self._file = TuningFile.from_options(persistence) if persistence else None
        self._key = _tuning_key(settings, plan) if self._file else ""
        self._may_calibrate = persistence is not None and persistence.calibrates
        self._idle_calibration: Calibration | None = None
        self.tuning = self._file.find(self._key) if self._file else None
        """What is known."""

    @property
    def plan(self) -> LoadPlan:
        """Return how to load the model."""
        return apply_tuning(self._default_plan, self.tuning, self._default_n_ubatch)

    def has_idle_work(self, model: LlamaModel) -> bool:
        """Tell whether something is left to be measured; of the toy, nothing is worth it."""
        return (
            self._may_calibrate
            and not model.description.is_demo
            and not self._get_idle_calibration(model).is_finished
        )

    def calibrate_in_idle_time(
        self, model: LlamaModel, abort: AbortFlag, on_notice: Callable[[Notice], None]
    ) -> None:
        """Measure for a few seconds at most; tell of it where it is new to the user.

        Raises:
            AbortedError: the flag went up.
            EngineError: llama.cpp could not do it.
        """
        calibration = self._get_idle_calibration(model)
        before = self.tuning
        if before is None:
            on_notice(Notice("engine.calibrating"))
        found: Tuning | None = None
        self._save(calibration.result(is_complete=True))  # not tried again if it ends this process
        try:
            found = calibration.run(abort, lambda trial: None)
        finally:
            self._save(found or calibration.result())
        if found and (before is None or found.chosen_settings != before.chosen_settings):
            on_notice(_calibrated_notice(found))

    def calibrate(
        self, model: LlamaModel, abort: AbortFlag, on_trial: Callable[[Trial, int, int], None]
    ) -> Tuning | None:
        """Measure everything anew; raises as above. None where there is no memory for it."""
        calibration = Calibration(self._make_target(model), FULL_PROFILE)
        found = calibration.run(
            abort, lambda trial: on_trial(trial, calibration.n_trials_done, calibration.n_trials)
        )
        if found:
            self._save(found)
        return found

    def _get_idle_calibration(self, model: LlamaModel) -> Calibration:
        if self._idle_calibration is None:
            self._idle_calibration = Calibration(self._make_target(model), IDLE_PROFILE, self.tuning)
        return self._idle_calibration

    def _save(self, tuning: Tuning) -> None:
        self.tuning = tuning
        if self._file:
            self._file.save(self._key, tuning)

    def _make_target(self, model: LlamaModel) -> CalibrationTarget:
        plan = self._default_plan
        all_on_gpu = plan.n_gpu_layers == plan.n_layers and not plan.n_cpu_moe
        wanted = self._settings.n_threads
        return CalibrationTarget(
            pointer=model.pointer,
            defaults=Trial(
                TuningParameter.ATTENTION,
                plan.flash_attention is not False,
                plan.kv_type,
                self._default_n_ubatch,
                wanted or cpu_cores.default_threads(),
            ),
            kv_bytes_per_token=model.kv_bytes_per_token,
            free_bytes=self._free_bytes,
            n_prompt_threads=wanted or cpu_cores.default_prompt_threads(),
            thread_counts=() if all_on_gpu else (wanted,) if wanted else cpu_cores.threads_to_try(),
            ubatch_sizes=self._ubatches,
        )

    def _free_bytes(self) -> int:
        ram = psutil.virtual_memory().available
        if not self._uses_gpu:
            return ram
        return sum(device.free_bytes for device in list_ggml_devices() if device.kind is not DeviceKind.CPU)


def _calibrated_notice(tuning: Tuning) -> Notice:
    key = "engine.calibrated_with" if tuning.flash_attention else "engine.calibrated_without"
    return Notice(
        key,
        {
            "threads": tuning.n_threads,
            "speed": f"{tuning.reply_tokens_per_s:.3g}",
            "depth": tuning.depth,
        },
    )


def _tuning_key(settings: LoadSettings, plan: LoadPlan) -> str:
    """Name the machine, the model with its place on it, and the build of llama.cpp, as a hash."""
    machine = [(d.backend, d.description, d.total_bytes) for d in list_ggml_devices()]
    place = (plan.n_gpu_layers, plan.n_cpu_moe, plan.kv_type)
    return model_fingerprint(Path(settings.path), f"{machine},{cpu_cores.threads_to_try()},{place}")[:32]
