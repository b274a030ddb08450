"""What this machine has for a model: memory, processors, GPUs, and which of them llama.cpp can use."""

from __future__ import annotations

from qwen3_chat.hardware.advice import Advice, advise
from qwen3_chat.hardware.probe import probe
from qwen3_chat.hardware.report import Hardware, Ram, SystemGpu, Vendor
from qwen3_chat.hardware.wanted import machine_like

__all__ = ["Advice", "Hardware", "Ram", "SystemGpu", "Vendor", "advise", "machine_like", "probe"]
