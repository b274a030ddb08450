"""The description of a machine in one line."""

from __future__ import annotations

from qwen3_chat.models.fit import Machine
from qwen3_chat.models.hardware.inventory import Hardware
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe


def describe_hardware(hardware: Hardware) -> str:
    """Describe the hardware of this machine in one line."""
    parts = [
        t("hardware.cpu", name=terminal_safe(hardware.cpu_name), n_cores=hardware.n_cores),
        t(
            "hardware.ram",
            free=format_size(hardware.ram.available_bytes),
            total=format_size(hardware.ram.total_bytes),
        ),
    ]
    if hardware.ram.limit_bytes:
        parts.append(t("hardware.ram_limit", limit=format_size(hardware.ram.limit_bytes)))
    return SEPARATOR.join([*parts, *_gpu_parts(hardware.machine)])


def describe_machine(machine: Machine) -> str:
    """Describe a machine that the user states in one line."""
    return SEPARATOR.join(
        [t("hardware.ram_only", free=format_size(machine.ram_free_bytes)), *_gpu_parts(machine)]
    )


def _gpu_parts(machine: Machine) -> list[str]:
    """Describe each GPU with its free memory."""
    if not machine.gpus:
        return [t("hardware.no_gpu")]
    return [
        t(
            "hardware.gpu",
            name=terminal_safe(gpu.name) or t("hardware.a_gpu"),
            free=format_size(gpu.free_bytes),
        )
        for gpu in machine.gpus
    ]
