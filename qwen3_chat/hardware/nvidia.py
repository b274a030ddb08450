"""NVIDIA's GPUs, as the driver's own library tells them."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

from qwen3_chat.hardware.report import SystemGpu, Vendor


def nvidia_gpus(environ: Mapping[str, str] = os.environ) -> tuple[SystemGpu, ...]:
    """List the GPUs; none where there is no driver, or where the user hides them from CUDA."""
    if environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ()
    if sys.platform == "linux" and not _is_there("libnvidia-ml.so.1"):
        return ()
    import pynvml  # here: it takes longer than all other probing together

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        version = pynvml.nvmlSystemGetCudaDriverVersion()
        cuda_version = (version // 1000, version % 1000 // 10)
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_gpu(handle, cuda_version) for handle in handles)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _gpu(handle: object, cuda_version: tuple[int, int]) -> SystemGpu:
    """Describe one GPU; some don't tell their memory, because it is the RAM."""
    import pynvml

    name = pynvml.nvmlDeviceGetName(handle)
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        total_bytes, free_bytes = int(memory.total), int(memory.free)
    except pynvml.NVMLError:
        total_bytes = free_bytes = 0
    try:
        drives_display = bool(pynvml.nvmlDeviceGetDisplayActive(handle))
    except pynvml.NVMLError:
        drives_display = False
    return SystemGpu(
        Vendor.NVIDIA,
        name if isinstance(name, str) else name.decode(errors="replace"),
        total_bytes,
        free_bytes,
        drives_display,
        cuda_version=cuda_version,
    )
