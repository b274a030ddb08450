"""The user's settings for the tools that reach out: what they may read, where they may write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct


class ToolSettings(Struct, frozen=True):
    """The settings of the tools; without any, they reach as little as possible.

    `chat_folder` returns the folder of a chat's files, made if need be, and raises `OSError`; without it,
    nothing is written. `folders` may be read, all but `private_paths`. `private_hosts` are the names and
    addresses that may be fetched though they are not on the public internet.
    """

    chat_folder: Callable[[int], Path] | None = None
    runs_unprotected: bool = False
    folders: tuple[Path, ...] = ()
    private_paths: tuple[Path, ...] = ()
    private_hosts: frozenset[str] = frozenset()


DEFAULT_TOOL_SETTINGS = ToolSettings()
