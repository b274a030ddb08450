"""The hardware of a machine: memory, processors, GPUs, and the devices that llama.cpp can use."""

from __future__ import annotations

from qwen3_chat.models.hardware.build_advice import Build, BuildAdvice, System, advise_build, find_pip
from qwen3_chat.models.hardware.hardware_probe import probe_hardware
from qwen3_chat.models.hardware.inventory import Hardware, SystemGpu, SystemRam, Vendor, override_machine

__all__ = [
    "Build",
    "BuildAdvice",
    "Hardware",
    "System",
    "SystemGpu",
    "SystemRam",
    "Vendor",
    "advise_build",
    "find_pip",
    "override_machine",
    "probe_hardware",
]
