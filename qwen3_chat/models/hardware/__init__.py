"""The hardware of a machine: memory, processors, GPUs, and the devices that llama.cpp can use."""

from __future__ import annotations

from qwen3_chat.models.hardware.build_advice import BuildAdvice, advise_build
from qwen3_chat.models.hardware.hardware_probe import probe_hardware
from qwen3_chat.models.hardware.inventory import Hardware, SystemGpu, SystemRam, Vendor, override_machine

__all__ = [
    "BuildAdvice",
    "Hardware",
    "SystemGpu",
    "SystemRam",
    "Vendor",
    "advise_build",
    "override_machine",
    "probe_hardware",
]
