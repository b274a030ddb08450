"""The tuning of the loaded model: applied by its load, measured while nobody waits, stored in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from qwen3_chat.engine.cpu_cores import default_prompt_threads, default_threads, threads_to_try
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.tuning import Trial, Tuning, TuningFile, TuningParameter, apply_tuning
from qwen3_chat.engine.wire import DeviceKind
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.calibration import FULL_PROFILE, IDLE_PROFILE, Calibration, CalibrationTarget
from qwen3_chat.engine.worker.fingerprint import model_fingerprint
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.native_library import NativeLibrary
from qwen3_chat.events import Notice
from qwen3_chat.request import DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH, LoadSettings, PersistenceOptions

CPU_UBATCHES, GPU_UBATCHES = (64, 128, 256), (256, 512, 1024)
"""The values of `n_ubatch` (tokens evaluated at once) that calibration may try."""


class Tuner:
    """The tuner of one model on this machine; without `persistence` its results end with the process.

    The user's settings take precedence over measured ones.
    """

    def __init__(
        self,
        library: NativeLibrary,
        settings: LoadSettings,
        plan: LoadPlan,
        persistence: PersistenceOptions | None,
    ) -> None:
        self._library = library
        self._settings = settings
        self._uses_gpu = bool(plan.n_gpu_layers)
        self._ubatches = GPU_UBATCHES if self._uses_gpu else CPU_UBATCHES
        self._default_n_ubatch = DEFAULT_GPU_UBATCH if self._uses_gpu else DEFAULT_CPU_UBATCH
        self._default_plan = plan
        self._file = TuningFile.from_options(persistence) if persistence else None
        self._key = _tuning_key(library, settings, plan) if self._file else ""
        self._may_calibrate = persistence is not None and persistence.calibrates
        self._idle_calibration: Calibration | None = None
        self.tuning = self._file.find(self._key) if self._file else None
        """The tuning in use, None without one."""

    @property
    def plan(self) -> LoadPlan:
        """The plan to load the model by."""
        return apply_tuning(self._default_plan, self.tuning, self._default_n_ubatch)

    def has_idle_work(self, model: LlamaModel) -> bool:
        """Return True if something is left to be measured; the demo model is not worth it.

        A trial context fills its cache with copies, which a model with states does not allow.
        """
        return (
            self._may_calibrate
            and not model.context.keeps_states
            and not model.description.is_demo
            and not self._get_idle_calibration(model).is_finished
        )

    def calibrate_in_idle_time(
        self, model: LlamaModel, abort: AbortFlag, on_notice: Callable[[Notice], None]
    ) -> None:
        """Measure for a few seconds at most; send a notice of the first start and of a new result.

        Raises:
            AbortedError: the flag was set.
            EngineError: llama.cpp could not evaluate.
        """
        calibration = self._get_idle_calibration(model)
        before = self.tuning
        if before is None:
            on_notice(Notice("engine.calibrating"))
        tuning: Tuning | None = None
        # Saved as complete first: if the measurement crashes the process, the next start does not repeat it.
        self._save(calibration.result(is_complete=True))
        try:
            tuning = calibration.run(abort, lambda trial: None)
        finally:
            self._save(tuning or calibration.result())
        if tuning and (before is None or tuning.chosen_settings != before.chosen_settings):
            on_notice(_calibrated_notice(tuning))

    def calibrate(
        self, model: LlamaModel, abort: AbortFlag, on_trial: Callable[[Trial, int, int], None]
    ) -> Tuning | None:
        """Measure everything anew; return None if there is no memory for it.

        Raises as `calibrate_in_idle_time`.
        """
        calibration = Calibration(self._make_target(model), FULL_PROFILE)
        tuning = calibration.run(
            abort, lambda trial: on_trial(trial, calibration.n_trials_done, calibration.n_trials)
        )
        if tuning:
            self._save(tuning)
        return tuning

    def _get_idle_calibration(self, model: LlamaModel) -> Calibration:
        if self._idle_calibration is None:
            self._idle_calibration = Calibration(self._make_target(model), IDLE_PROFILE, self.tuning)
        return self._idle_calibration

    def _save(self, tuning: Tuning) -> None:
        self.tuning = tuning
        if self._file:
            self._file.save(self._key, tuning)

    def _make_target(self, model: LlamaModel) -> CalibrationTarget:
        plan, n_threads = self._default_plan, self._settings.n_threads
        thread_counts = (n_threads,) if n_threads else threads_to_try()
        return CalibrationTarget(
            model=model.native,
            defaults=Trial(
                TuningParameter.ATTENTION,
                plan.flash_attention is not False,
                plan.kv_type,
                self._default_n_ubatch,
                n_threads or default_threads(),
            ),
            kv_bytes_per_token=model.kv_bytes_per_token,
            free_bytes=self._free_bytes,
            n_prompt_threads=n_threads or default_prompt_threads(),
            thread_counts=() if plan.is_all_on_gpu else thread_counts,
            ubatch_sizes=self._ubatches,
        )

    def _free_bytes(self) -> int:
        """Return the free memory of the GPUs, or of the machine where none is used."""
        if not self._uses_gpu:
            return psutil.virtual_memory().available
        return sum(
            device.free_bytes for device in self._library.list_devices() if device.kind is not DeviceKind.CPU
        )


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


def _tuning_key(library: NativeLibrary, settings: LoadSettings, plan: LoadPlan) -> str:
    """Return a hash of the machine, the model with its placement on it, and the build of the library."""
    machine = [(d.backend, d.description, d.total_bytes) for d in library.list_devices()]
    placement = (plan.n_gpu_layers, plan.n_cpu_moe, plan.kv_type)
    repacked = ",repacked" if plan.repacks_weights else ""
    layout = f"{machine},{threads_to_try()},{placement}{repacked}"
    return model_fingerprint(Path(settings.path), library.build, layout)[:32]
