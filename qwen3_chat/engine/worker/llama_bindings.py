"""The bindings of llama.cpp: a check that they fit the library, and the functions that they lack."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker
from llama_cpp._ggml import libggml

from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError

_MODEL_PARAMS_BYTES, _CONTEXT_PARAMS_BYTES = 80, 160  # in llama.h of the llama.cpp that 0.3.36 vendors
_DEFAULT_N_CTX, _DEFAULT_N_BATCH = 512, 2048
# ggml_backend_dev_type in ggml-backend.h
_DEVICE_KINDS = (
    DeviceKind.CPU,
    DeviceKind.GPU,
    DeviceKind.INTEGRATED_GPU,
    DeviceKind.ACCELERATOR,
    DeviceKind.META,
)
_SOURCE_FOLDER = re.compile(r"^\S*[/\\](?=[^/\\\s]+:\d+: )")
_ABORT_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


def check_bindings() -> None:
    """Check that the structs, and the fields that hold the defaults, are what this code was written for.

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
        raise EngineError(ErrorCode.LLAMA_CPP_VERSION_UNSUPPORTED, version=llama_cpp.__version__)


def list_ggml_devices() -> tuple[Device, ...]:
    """Return the devices that this build of llama.cpp can compute on, with the memory that is free now."""
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    count = ggml_function("ggml_backend_dev_count", size)
    get = ggml_function("ggml_backend_dev_get", pointer, size)
    name = ggml_function("ggml_backend_dev_name", text, pointer)
    description = ggml_function("ggml_backend_dev_description", text, pointer)
    kind = ggml_function("ggml_backend_dev_type", ctypes.c_int, pointer)
    memory = ggml_function(
        "ggml_backend_dev_memory", None, pointer, ctypes.POINTER(size), ctypes.POINTER(size)
    )
    registry = ggml_function("ggml_backend_dev_backend_reg", pointer, pointer)
    registry_name = ggml_function("ggml_backend_reg_name", text, pointer)
    devices = []
    for index in range(count()):
        device, free, total = get(index), size(), size()
        memory(device, ctypes.byref(free), ctypes.byref(total))
        devices.append(
            Device(
                name=name(device).decode(errors="replace"),
                description=description(device).decode(errors="replace").strip(),
                backend=registry_name(registry(device)).decode(errors="replace"),
                kind=_DEVICE_KINDS[kind(device)],
                free_bytes=free.value,
                total_bytes=total.value,
            )
        )
    return tuple(devices)


def cpu_buffer_type() -> int | None:
    """Return the type of the buffers for weights in RAM."""
    buffer_type: int | None = ggml_function("ggml_backend_cpu_buffer_type", ctypes.c_void_p)()
    return buffer_type


def set_abort_listener(listener: Callable[[str], None]) -> object:
    """Have `listener` called with the reason just before ggml aborts the process.

    The returned object is the callback: it has to be kept alive.
    """
    callback = _ABORT_CALLBACK(
        lambda message: listener(_SOURCE_FOLDER.sub("", message.decode(errors="replace")))
    )
    ggml_function("ggml_set_abort_callback", ctypes.c_void_p, _ABORT_CALLBACK)(callback)
    return callback


def ggml_device(index: int) -> Any:
    """Return a device of ggml by its index in `list_ggml_devices`."""
    return ggml_function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)(index)


def ggml_function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of ggml by its name, the type of its result and those of its arguments."""
    function = getattr(libggml, name, None) or getattr(_base_library(), name)
    function.restype, function.argtypes = result, list(arguments)
    return function


def _base_library() -> ctypes.CDLL:
    """Open the library that ggml's depends on: on Windows a lookup does not search it."""
    name = {"win32": "ggml-base.dll", "darwin": "libggml-base.dylib"}.get(sys.platform, "libggml-base.so")
    return ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / name))
