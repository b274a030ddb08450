"""The parameters with which llama.cpp loads a model and makes a context, and all that they point to."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.engine.cpu_cores import default_prompt_threads, default_threads
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.llama_bindings import cpu_buffer_type
from qwen3_chat.request import KvType

_EXPERTS_OF_LAYER = r"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps"  # as --n-cpu-moe in common.h
_FLASH_ATTENTION_TYPES = {
    None: L.LLAMA_FLASH_ATTN_TYPE_AUTO,
    False: L.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    True: L.LLAMA_FLASH_ATTN_TYPE_ENABLED,
}


def context_params(plan: LoadPlan, n_sequences: int, n_outputs: int) -> Any:
    """Return the parameters of a context, with `n_sequences` that share its cells.

    A batch has at most `n_outputs` tokens with an output.
    """
    params = L.llama_context_default_params()
    params.n_ctx = plan.n_ctx
    params.n_batch = params.n_ubatch = plan.n_ubatch
    params.n_seq_max, params.kv_unified = n_sequences, True
    params.n_outputs_max = n_outputs
    params.n_threads = plan.n_threads or default_threads()
    params.n_threads_batch = plan.n_prompt_threads or default_prompt_threads()
    params.flash_attn_type = _FLASH_ATTENTION_TYPES[plan.flash_attention]
    if plan.kv_type is KvType.Q8_0:
        params.type_k = params.type_v = L.GGML_TYPE_Q8_0
    if plan.yarn_factor > 1:
        params.rope_scaling_type = L.LLAMA_ROPE_SCALING_TYPE_YARN
        params.rope_freq_scale = 1 / plan.yarn_factor
        params.yarn_orig_ctx = plan.yarn_base_n_ctx
    return params


class _BufferOverride(ctypes.Structure):
    """`llama_model_tensor_buft_override` of llama.h, which the bindings lack."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


class ModelParams:
    """The parameters to load a model with, as `struct`; to be kept alive until the model is loaded.

    The object owns all that `struct` points to. `progress` gets fractions and returns False to stop the load.
    """

    def __init__(self, plan: LoadPlan, architecture: str, progress: Callable[[float], bool]) -> None:
        self.struct = L.llama_model_default_params()
        self._progress = L.llama_progress_callback(lambda fraction, _: progress(fraction))
        self.struct.progress_callback = self._progress
        # llama.cpp counts the output as one more layer.
        self.struct.n_gpu_layers = plan.n_gpu_layers + 1 if plan.n_gpu_layers else 0
        if not plan.n_gpu_layers:  # otherwise a GPU would still get work, and need memory for it
            self._no_devices = (ctypes.c_void_p * 1)()
            self.struct.devices = ctypes.cast(self._no_devices, ctypes.c_void_p)
        if plan.n_cpu_moe:
            self._overrides = _experts_in_ram(plan.n_cpu_moe)
            self.struct.tensor_buft_overrides = ctypes.cast(self._overrides, ctypes.c_void_p)
        if plan.yarn_factor > 1:
            self._metadata = _yarn_metadata(architecture, plan.yarn_base_n_ctx)
            self.struct.kv_overrides = self._metadata


def _experts_in_ram(n_layers: int) -> ctypes.Array[_BufferOverride]:
    """Return the patterns of the expert tensors that stay in RAM; an empty entry ends the list."""
    patterns = [_EXPERTS_OF_LAYER.format(layer=layer).encode() for layer in range(n_layers)]
    ram = cpu_buffer_type()
    overrides = [_BufferOverride(pattern, ram) for pattern in patterns]
    return (_BufferOverride * (n_layers + 1))(*overrides)


def _yarn_metadata(architecture: str, n_ctx: int) -> ctypes.Array[L.llama_model_kv_override]:
    """Return the metadata that gives YaRN the context to stretch; an empty entry ends the list.

    The files state a longer context than the models were trained for.
    """
    metadata: ctypes.Array[L.llama_model_kv_override] = (L.llama_model_kv_override * 2)()
    metadata[0].tag = L.LLAMA_KV_OVERRIDE_TYPE_INT
    metadata[0].key = f"{architecture}.rope.scaling.original_context_length".encode()
    metadata[0].value.val_i64 = n_ctx
    return metadata
