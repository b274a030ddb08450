"""Limits that a process sets to itself, where the system has them: memory, files, processes."""

from __future__ import annotations

from contextlib import suppress


def set_limit(name: str, value: int) -> None:
    """Set a limit of this process, such as `RLIMIT_AS` in bytes; do nothing where there is no such limit."""
    with suppress(ImportError, AttributeError, ValueError, OSError):  # unknown here, or lower already
        import resource

        resource.setrlimit(getattr(resource, name), (value, value))
