"""The errors of a source, by their remedy: the same source later, another source, the file once more."""

from __future__ import annotations

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError


class SourceFailedError(HubError):
    """A failure of a source that may deliver later, not before `wait_s` where it gave a time."""

    def __init__(self, code: ErrorCode, wait_s: float | None = None, **values: object) -> None:
        super().__init__(code, **values)
        self.wait_s = wait_s


class SourceRefusedError(HubError):
    """A refusal by a source; another source may deliver."""


class SourceCrawlsError(HubError):
    """A source that delivers, but so slowly that another one is worth asking."""


class DamagedError(HubError):
    """A download of the full length whose bytes are not those of the file."""
