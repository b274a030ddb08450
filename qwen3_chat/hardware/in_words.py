"""A machine in one line, as it is told to people."""

from __future__ import annotations

from qwen3_chat.fit import Machine
from qwen3_chat.hardware.report import Hardware
from qwen3_chat.plain import plain
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t
from qwen3_chat.wording import SEPARATOR


def hardware_line(hardware: Hardware) -> str:
    """Write the machine in one line."""
    parts = [
        t("hardware.cpu", name=plain(hardware.cpu_name), n_cores=hardware.n_cores),
        t(
            "hardware.ram",
            free=write_size(hardware.ram.available_bytes),
            total=write_size(hardware.ram.total_bytes),
        ),
    ]
    if hardware.ram.limit_bytes:
        parts.append(t("hardware.ram_limit", limit=write_size(hardware.ram.limit_bytes)))
    return SEPARATOR.join([*parts, *gpu_parts(hardware.machine)])


def machine_line(machine: Machine) -> str:
    """Write a machine that was described in one line."""
    return SEPARATOR.join(
        [t("hardware.ram_only", free=write_size(machine.ram_free_bytes)), *gpu_parts(machine)]
    )


def gpu_parts(machine: Machine) -> list[str]:
    """Write each GPU with its memory."""
    if not machine.gpus:
        return [t("hardware.no_gpu")]
    return [
        t("hardware.gpu", name=plain(gpu.name) or t("hardware.a_gpu"), free=write_size(gpu.free_bytes))
        for gpu in machine.gpus
    ]
