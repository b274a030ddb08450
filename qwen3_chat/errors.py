"""The errors that reach a user; `str(error)` is a sentence in the language in use.

(the tree of classes stays)
"""

from __future__ import annotations

from qwen3_chat.texts import t


class Qwen3ChatError(Exception):
    """Something a user must know, as a key of the text catalogue with its values."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key, values)
        self.key = key
        self.values = values

    def __str__(self) -> str:
        return t(self.key, **self.values)


class UsageError(Qwen3ChatError):
    """The request itself makes no sense."""


class ModelError(Qwen3ChatError):
    """A model file is missing, broken or does not suit."""


class EngineError(Qwen3ChatError):
    """The engine could not do what was asked."""


class EngineDied(EngineError):
    """The engine's process ended by itself."""


class Cancelled(EngineError):
    """The user stopped what was going on."""


class StoreError(Qwen3ChatError):
    """Chats could not be read or written."""


class HubError(Qwen3ChatError):
    """A model could not be fetched."""


class ExportError(Qwen3ChatError):
    """A transcript could not be written."""


class ConfigError(Qwen3ChatError):
    """The configuration could not be read."""
