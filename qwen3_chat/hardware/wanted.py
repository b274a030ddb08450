"""A machine that a user describes instead of this one."""

from __future__ import annotations

import re

from qwen3_chat.catalog.bandwidth import gpu_bandwidth, ram_bandwidth
from qwen3_chat.errors import UsageError
from qwen3_chat.fit import Gpu, Machine
from qwen3_chat.sizes import MIB, read_size


def machine_like(vram: str | None, ram: str | None, this: Machine | None) -> Machine:
    """Make the machine of `--vram` and `--ram`; what isn't given is taken from `this`.

    `vram` may hold several GPUs, `12GiB+12GiB`, and 0 for none. Both are free memory, before any margin.

    Raises:
        UsageError: one of them is no size.
    """
    gpus = this.gpus if this else ()
    if vram is not None:
        sizes = [_size(part, "--vram") for part in re.split(r"[+,]", vram)]
        gpus = tuple(Gpu("", size, size, gpu_bandwidth("", size)) for size in sizes if size)
    ram_bytes = _size(ram, "--ram") if ram is not None else this.ram_free_bytes if this else 0
    # Of another machine's processor nothing is known, so it is an ordinary one.
    return Machine(ram_bytes, ram_bandwidth(), gpus)


def _size(text: str, option: str) -> int:
    size_bytes = read_size(text)
    if size_bytes is None or 0 < size_bytes < MIB:  # a number without its unit
        raise UsageError("hardware.bad_size", option=option, text=text)
    return size_bytes
