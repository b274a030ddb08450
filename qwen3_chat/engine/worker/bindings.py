"""Whether the bindings of llama.cpp fit the library that they are loaded with."""

from __future__ import annotations

import ctypes

import llama_cpp
from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.errors import EngineError

_MODEL_PARAMS_BYTES, _CONTEXT_PARAMS_BYTES = 80, 160  # in llama.h of the llama.cpp that 0.3.36 vendors
_DEFAULT_N_CTX, _DEFAULT_N_BATCH = 512, 2048


def check() -> None:
    """See that the structs and where the library puts its defaults are what this code was written for.

    Raises:
        EngineError: another version of llama-cpp-python is installed.
    """
    sizes = (ctypes.sizeof(L.llama_model_params), ctypes.sizeof(L.llama_context_params))
    defaults = L.llama_context_default_params()
    fits = (
        sizes == (_MODEL_PARAMS_BYTES, _CONTEXT_PARAMS_BYTES)
        and (defaults.n_ctx, defaults.n_batch) == (_DEFAULT_N_CTX, _DEFAULT_N_BATCH)
        and defaults.offload_kqv
        and not defaults.embeddings
        and L.llama_model_default_params().n_gpu_layers == -1
    )
    if not fits:
        raise EngineError("engine.bindings_differ", version=llama_cpp.__version__)
