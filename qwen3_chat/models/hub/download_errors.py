"""The errors of a source, told apart by what helps.

(keep the tree)
"""

from __future__ import annotations

from qwen3_chat.errors import HubError


class SourceFailedError(HubError):
    """The same source may deliver a little later, not before `wait_s` where it said so."""

    def __init__(self, key: str, wait_s: float | None = None, **values: object) -> None:
        super().__init__(key, **values)
        self.wait_s = wait_s


class SourceRefusedError(HubError):
    """This source won't deliver; another one may."""


class DamagedError(HubError):
    """All bytes came, but they aren't those of the file."""
