"""The plan that the worker is given to load a model by."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qwen3_chat.request import KvType


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Where a model of `n_layers` goes, and how its context is made.

    With `flash_attention` None llama.cpp uses it where the GPU can. YaRN stretches `yarn_base_n_ctx` tokens
    by its factor; 1 is without. Without a number of threads, it follows from that of the cores.
    """

    n_layers: int
    n_ctx: int
    kv_type: KvType = KvType.F16
    n_ubatch: int = 128
    flash_attention: bool | None = False
    n_gpu_layers: int = 0
    n_cpu_moe: int = 0
    yarn_factor: float = 1.0
    yarn_base_n_ctx: int = 0
    n_threads: int | None = None
    n_prompt_threads: int | None = None

    def with_placement(self, n_gpu_layers: int, n_cpu_moe: int) -> LoadPlan:
        """Put other parts of the model on the GPU, with what is fastest there, or without any."""
        is_quantised = self.kv_type is not KvType.F16
        flash_attention = is_quantised or (None if n_gpu_layers else False)
        return replace(self, n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe, flash_attention=flash_attention)
