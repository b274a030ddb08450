"""The plan by which the worker loads a model.

The module stands alone because the wire and the worker need it without the catalog and the fit.
"""

from __future__ import annotations

from msgspec import Struct

from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType
from qwen3_chat.texts.formatting import GIB

SPARE_MEMORY_BYTES = GIB
"""Memory left free beside a context: for buffers, and for other programs."""


class LoadPlan(Struct, frozen=True):
    """The placement of a model of `n_layers`, and the parameters of its context.

    With `flash_attention` None, llama.cpp uses it if the GPU supports it. YaRN stretches `yarn_base_n_ctx`
    tokens by its factor; a factor of 1 means no YaRN. Without a number of threads, it follows from the number
    of cores. Weights that are repacked for the processor are no longer mapped from the file: the load takes
    longer, and their memory is this process's own. A draft model that nobody named is used with
    `auto_draft_gpu_layers` on the GPU, and with no other number.
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
    repacks_weights: bool = False
    auto_draft_gpu_layers: int | None = None

    @property
    def drafts_by_itself(self) -> bool:
        """True if a draft model that nobody named is used."""
        return self.auto_draft_gpu_layers == self.n_gpu_layers

    @property
    def is_all_on_gpu(self) -> bool:
        """True if no layer is left to the CPU."""
        return self.n_gpu_layers == self.n_layers and not self.n_cpu_moe

    def with_placement(self, n_gpu_layers: int, n_cpu_moe: int) -> LoadPlan:
        """Return the plan with other parts of the model on the GPU, and flash attention to match."""
        is_quantised = self.kv_type is not KvType.F16
        flash_attention = is_quantised or (None if n_gpu_layers else False)
        return replace(self, n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe, flash_attention=flash_attention)
