"""The parameters that llama.cpp loads a model and makes a context with, and all that they point to."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.llama_bindings import cpu_buffer_type

_EXPERTS_OF_LAYER = r"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps"  # as --n-cpu-moe in common.h


class _BufferOverride(ctypes.Structure):
    """`llama_model_tensor_buft_override` of llama.h, which the bindings lack."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


class ModelParams:
    """Keeps what `struct` points to alive; hold on to it until the model is loaded."""

    def __init__(self, plan: LoadPlan, architecture: str, progress: Callable[[float], bool]) -> None:
        self.struct = L.llama_model_default_params()
        self._progress = L.llama_progress_callback(lambda fraction, _: progress(fraction))
        self.struct.progress_callback = self._progress
        # llama.cpp counts the output as one more layer.
        self.struct.n_gpu_layers = plan.n_gpu_layers + 1 if plan.n_gpu_layers else 0
        if not plan.n_gpu_layers:  # else a GPU would still be given work, and need memory for it
            self._no_devices = (ctypes.c_void_p * 1)()
            self.struct.devices = ctypes.cast(self._no_devices, ctypes.c_void_p)
        if plan.n_cpu_moe:
            self._overrides = _experts_in_ram(plan.n_cpu_moe)
            self.struct.tensor_buft_overrides = ctypes.cast(self._overrides, ctypes.c_void_p)
        if plan.yarn_factor > 1:
            self._metadata = _yarn_metadata(architecture, plan.yarn_base_n_ctx)
            self.struct.kv_overrides = self._metadata


def _experts_in_ram(n_layers: int) -> ctypes.Array[_BufferOverride]:
    """List the tensors that stay in RAM; an empty entry ends the list."""
    patterns = [_EXPERTS_OF_LAYER.format(layer=layer).encode() for layer in range(n_layers)]
    ram = cpu_buffer_type()
    overrides = [_BufferOverride(pattern, ram) for pattern in patterns]
    return (_BufferOverride * (n_layers + 1))(*overrides)


def _yarn_metadata(architecture: str, n_ctx: int) -> ctypes.Array[L.llama_model_kv_override]:
    """Say what YaRN stretches: the files give a longer context than the models were made for."""
    # An empty entry ends the list.
    metadata: ctypes.Array[L.llama_model_kv_override] = (L.llama_model_kv_override * 2)()
    metadata[0].tag = L.LLAMA_KV_OVERRIDE_TYPE_INT
    metadata[0].key = f"{architecture}.rope.scaling.original_context_length".encode()
    metadata[0].value.val_i64 = n_ctx
    return metadata
