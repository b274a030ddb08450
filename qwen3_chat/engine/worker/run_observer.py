"""The observation of what a loaded model really does: its speed by replies, the memory of this process."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from qwen3_chat.engine.observed_runs_file import ObservedRunsFile, observing_machine
from qwen3_chat.engine.wire import Device
from qwen3_chat.events import TurnFinished
from qwen3_chat.models.observed_runs import MIN_REPLY_TOKENS, ObservedRun, ObservedSpeed
from qwen3_chat.request import LoadedModel


class RunObserver:
    """The observer of one model, which writes to the file in `folder`."""

    def __init__(self, folder: str, devices: Sequence[Device]) -> None:
        self._file = ObservedRunsFile.in_folder(folder)
        self._machine = observing_machine(devices)

    def observe(self, model: LoadedModel, reply: TurnFinished) -> None:
        """Record a reply, unless it is too short, with an adapter or the demo model's."""
        usage = reply.usage
        n_tokens = usage.reasoning_tokens + usage.answer_tokens
        if model.is_demo or model.adapters or n_tokens < MIN_REPLY_TOKENS or reply.timings.tokens_per_s <= 0:
            return
        speed = ObservedSpeed(usage.prompt_tokens + n_tokens // 2, reply.timings.tokens_per_s)
        run = ObservedRun(
            architecture=model.architecture,
            parameters=model.parameters,
            size_bytes=model.size_bytes,
            n_gpu_layers=model.n_gpu_layers,
            n_cpu_moe=model.n_cpu_moe,
            kv_type=str(model.kv_type),
            n_ctx=model.n_ctx,
            held_bytes=_held_bytes(),
            speeds=(speed,),
            draft_parameters=model.draft_parameters,
            draft_speedup=min(reply.timings.draft_speedup, 1000),
        )
        self._file.record(self._machine, run)


def _held_bytes() -> int:
    """Return the memory of this process without pages of files, which the system can read again."""
    memory = psutil.Process().memory_info()
    shared: int | None = getattr(memory, "shared", None)
    return 0 if shared is None else max(0, memory.rss - shared)
