"""TOML files of the user, read within limits of size and nesting, and their statements in one pass."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError

MAX_TOML_BYTES = 512 * 1024
"""The limit for a file of settings, prompts or colours."""
MAX_TOML_LEVELS = 64
"""The limit for arrays and tables within each other, and for the parts of a dotted key."""
MAX_DIGITS = 1000
"""The limit for the digits of a number; Python itself refuses some thousands."""

_LINE_OF_ERROR = re.compile(r"\(at line (\d+)")
_TOKEN = re.compile(
    r"""
      (?P<blank>[^\S\n]++|\#[^\n]*+)
    | (?P<string>
          \"""(?:[^"\\]++|\\.|"(?!""))*\"""\"{0,2}+
        | '''(?:[^']++|'(?!''))*'''\'{0,2}+
        | (?!\""")"(?:[^"\\\n]++|\\[^\n])*"
        | (?!''')'[^'\n]*+'
      )
    | (?P<line_end>\n)
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<dot>\.)
    | (?P<separator>[,=])
    | (?P<digits>\d[\d_]*+)
    | (?P<word>[^\s\d\#"'\[\]{}.,=]++)
    """,
    re.VERBOSE | re.DOTALL,
)
"""A token of TOML, as far as the ends of statements depend on it; only an unclosed string has none."""


class TomlError(tomllib.TOMLDecodeError):
    """A text that is no TOML from `line` on, or goes beyond a limit there."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class TomlStatement(Struct, frozen=True):
    """A statement, its comment included: it sets a key, or is the header of a table; lines count from 1."""

    text: str
    line: int
    begin: int

    @property
    def is_header(self) -> bool:
        """True for `[table]` and `[[table]]`."""
        return self.text.lstrip().startswith("[")

    @property
    def values(self) -> dict[str, Any]:
        """The statement's own tables and values."""
        return tomllib.loads(self.text)


def read_toml_text(file: Path) -> str:
    """Read a file as text.

    Raises:
        OSError: it can't be read.
        UnicodeDecodeError: it is not UTF-8.
        ConfigError: it is too large.
    """
    with open(file, "rb", opener=_open_without_waiting) as stream:
        data = stream.read(MAX_TOML_BYTES + 1) or b""
    if len(data) > MAX_TOML_BYTES:
        raise ConfigError(ErrorCode.CONFIG_FILE_TOO_LARGE, file=file, limit=f"{MAX_TOML_BYTES // 1024} KiB")
    return data.decode("utf-8-sig").replace("\r\n", "\n")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a text.

    Raises:
        TomlError: it is no TOML, or goes beyond a limit.
    """
    with suppress(_UnclosedStringError):  # the parser may find another mistake before it
        for _ in split_statements(text):
            pass
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _LINE_OF_ERROR.search(str(error))
        line = int(match[1]) if match else len(text.rstrip("\n").split("\n"))
        raise TomlError(str(error), line) from error
    except (ValueError, RecursionError) as error:  # what the limits have not foreseen
        raise TomlError(str(error), 1) from error


def split_statements(text: str) -> Iterator[TomlStatement]:
    """Yield the statements of a text in one pass, before it is known whether each is valid.

    Raises:
        TomlError: a string is not closed, or the text goes beyond a limit.
    """
    begin = at = 0
    line = begins_at = 1
    depth = n_dots = 0
    is_blank = True
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _UnclosedStringError("Unterminated string", line)
        at = token.end()
        match token.lastgroup:
            case "blank":
                continue
            case "line_end":
                line += 1
                n_dots = 0
                if not depth:
                    if not is_blank:
                        yield TomlStatement(text[begin:at], begins_at, begin)
                    begin, begins_at, is_blank = at, line, True
                continue
            case "open":
                depth += 1
                n_dots = 0
            case "close":
                depth = max(0, depth - 1)
            case "dot":
                n_dots += 1
            case "separator":
                n_dots = 0
            case "string":
                line += token[0].count("\n")
            case "digits" if len(token[0]) > MAX_DIGITS:
                raise TomlError(f"More than {MAX_DIGITS} digits (at line {line})", line)
        is_blank = False
        if depth > MAX_TOML_LEVELS or n_dots > MAX_TOML_LEVELS:
            raise TomlError(f"More than {MAX_TOML_LEVELS} levels (at line {line})", line)
    if not is_blank:
        yield TomlStatement(text[begin:], begins_at, begin)


class _UnclosedStringError(TomlError):
    """A string without an end, before which there may be another mistake."""


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file, also a named pipe that nobody writes into."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
