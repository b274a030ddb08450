"""The errors that reach a user; `str(error)` is a sentence in the language in use.

Qwen3ChatError
├── UsageError          the request itself makes no sense; exit status 2
├── ModelError          a model file is missing, broken or does not suit
├── EngineError         the engine could not do what was asked
│   ├── EngineDied      its process ended by itself
│   └── Cancelled       the user stopped it
├── StoreError          chats could not be read or written
├── HubError            a model could not be fetched
├── ExportError         a transcript could not be written
├── ChatImportError     chats of a file could not be read
├── McpError            an MCP server could not be used
└── ConfigError         the configuration could not be read
"""

from __future__ import annotations

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.texts import t

MAX_QUOTE_CHARACTERS = 500
"""The most that a sentence quotes of a reason, a name or a path."""


class Qwen3ChatError(Exception):
    """The base of all errors for a user: a code with the values of its sentence."""

    def __init__(self, code: ErrorCode, **values: object) -> None:
        values = {name: shorten_quote(value) for name, value in values.items()}
        super().__init__(code, values)
        self.code = code
        self.values = values

    def __str__(self) -> str:
        return t(self.code.text_key, **self.values)

    @property
    def plain_values(self) -> dict[str, str | int | float]:
        """The values as text and numbers, which JSON can carry."""
        return {
            key: value if isinstance(value, str | int | float) else str(value)
            for key, value in self.values.items()
        }


def shorten_quote(value: object) -> object:
    """Return a value of a sentence; one that is too long as a text without its middle.

    Files and servers write texts of any length. The beginning says what is wrong; the end may be a file name.
    """
    text = str(value)
    if len(text) <= MAX_QUOTE_CHARACTERS:
        return value
    n_last = MAX_QUOTE_CHARACTERS // 4
    return f"{text[: MAX_QUOTE_CHARACTERS - n_last - 1]}…{text[-n_last:]}"


class UsageError(Qwen3ChatError):
    """A request that makes no sense."""


class ModelError(Qwen3ChatError):
    """A model file that is missing, broken or unsuitable."""


class EngineError(Qwen3ChatError):
    """A request that the engine could not fulfil."""


class EngineDied(EngineError):
    """The unexpected end of the engine's process."""


class Cancelled(EngineError):
    """A load or a reply that the user stopped."""


class StoreError(Qwen3ChatError):
    """A failure to read or write stored chats."""


class HubError(Qwen3ChatError):
    """A failure to fetch a model."""


class ExportError(Qwen3ChatError):
    """A failure to write a transcript."""


class ChatImportError(Qwen3ChatError):
    """A failure to read chats that were exported, here or by another program, or a backup."""


class McpError(Qwen3ChatError):
    """A failure of an MCP server, or to describe or start one."""


class ConfigError(Qwen3ChatError):
    """A failure to read the configuration."""
