"""`ask --warm`, and what `doctor` tells and does about warm engines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from qwen3_chat import __version__
from qwen3_chat.config import Paths, find_paths
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size

if TYPE_CHECKING:
    from qwen3_chat.engine.warm_client import WarmEngine
    from qwen3_chat.engine.warm_messages import WarmStatus
    from qwen3_chat.engine.warm_socket import WarmSocket


def find_warm_socket(paths: Paths) -> WarmSocket:
    """Return where the warm engine of this home is talked to."""
    from qwen3_chat.engine.warm_socket import WarmSocket

    return WarmSocket.find(paths.config, __version__)


def choose_warm_engine(minutes: float | None, setting: float, paths: Paths) -> WarmEngine:
    """Return the use that a question makes of a warm engine, by `--warm` and the setting.

    Without either, it joins one that runs; with `--warm 0` it ends it, as everything but `ask` does.
    """
    from qwen3_chat.engine.warm_client import WarmEngine, WarmUse

    wanted = setting if minutes is None else minutes
    if wanted:
        return WarmEngine(find_warm_socket(paths), WarmUse.START, wanted)
    return WarmEngine(find_warm_socket(paths), WarmUse.JOIN if minutes is None else WarmUse.END)


def find_warm_engines(paths: Paths) -> list[WarmStatus]:
    """Return the warm engines of this home."""
    from qwen3_chat.engine.warm_client import list_warm_engines

    return asyncio.run(list_warm_engines(find_warm_socket(paths)))


def format_warm_engine(status: WarmStatus) -> str:
    """Write a warm engine as a line."""
    return t(
        "doctor.warm_line",
        model=status.model or "–",
        size=format_size(status.memory_bytes),
        minutes=f"{status.ends_in_s / 60:.1f}",
        pid=status.pid,
    )


def stop_warm_engine() -> None:
    """End the warm engines of this home, and say so."""
    from qwen3_chat.engine.warm_client import stop_warm_engines

    n_stopped = asyncio.run(stop_warm_engines(find_warm_socket(find_paths())))
    print(t("doctor.warm_stopped" if n_stopped else "doctor.no_warm"))
