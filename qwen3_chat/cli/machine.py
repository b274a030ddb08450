"""The machine that a command runs on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.hardware import Hardware, probe
from qwen3_chat.request import LoadSettings


def look(engine_log: Path) -> Hardware:
    """Probe this machine, with llama.cpp in a process that ends right after."""
    return asyncio.run(probed(engine_log))


async def probed(engine_log: Path) -> Hardware:
    """Probe this machine from within an event loop."""
    engine = LocalEngine(LoadSettings(path=""), engine_log)
    try:
        return await probe(engine.devices)
    finally:
        await engine.close()
