"""JSON on stdout: in UTF-8 whatever the locale, and safe on a terminal."""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper

import msgspec

from qwen3_chat.texts.terminal_safe import escape_json


def json_line(value: object) -> str:
    """Encode a value as one line of JSON that no terminal obeys; a lone surrogate stays what it is."""
    try:
        encoded = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # msgspec refuses lone surrogates
        encoded = json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
    return escape_json(encoded)


def print_json(value: object) -> None:
    """Print a value as one line of JSON, at once."""
    use_utf8_for_output()
    print(json_line(value), flush=True)


def use_utf8_for_output() -> None:
    """Write UTF-8 to stdout from now on: programs read it, and they don't know the locale of ours."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
