"""Completions of the word at the cursor, a command or a file; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from qwen3_chat.chat import ThinkingMode

MAX_MATCHES = 50
"""More are no help: another letter is quicker than looking through them."""

_COMMAND = re.compile(r"/([a-z_]*)")
_FILE = re.compile(r"(?:^|(?<=\s))@(\S*)$")


class CompletionKind(StrEnum):
    """What is being typed."""

    COMMAND = "command"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class CompletionTrigger:
    """What is wanted, what of it is typed, the column where it begins."""

    kind: CompletionKind
    typed: str
    column: int


@dataclass(frozen=True, slots=True)
class PaletteCommand:
    """An action with the name to type after `/`; a mode's tag is no action but goes along with a message."""

    name: str
    description: str
    tag: ThinkingMode | None = None


def find_trigger(before_cursor: str, row: int) -> CompletionTrigger | None:
    """Tell what the line up to the cursor asks for: `/` at the very start a command, `@` anywhere a file."""
    if row == 0 and (match := _COMMAND.fullmatch(before_cursor)):
        return CompletionTrigger(CompletionKind.COMMAND, match[1], 0)
    if match := _FILE.search(before_cursor):
        return CompletionTrigger(CompletionKind.FILE, match[1], match.start(0))
    return None


def typed_command(text: str) -> str | None:
    """Return the name where a whole message is one command; a second slash or word makes it a text."""
    match = _COMMAND.fullmatch(text.strip())
    return match[1] if match and match[1] else None


def unescaped(text: str) -> str:
    """Take off the first of two slashes, which make a text of what looks like a command."""
    return text[1:] if text.startswith("//") and typed_command(text[1:]) else text


def matching_commands(typed: str, commands: Sequence[PaletteCommand]) -> list[PaletteCommand]:
    """Return the commands that begin so, then those that hold it."""
    beginning = [command for command in commands if command.name.startswith(typed)]
    return beginning + [command for command in commands if typed in command.name and command not in beginning]


def matching_files(typed: str, paths: Iterable[str], max_matches: int = MAX_MATCHES) -> list[str]:
    """Return the paths that hold the letters in their order, those that fit best first."""
    wanted = typed.lower()
    fitting = ((_match_rank(wanted, path.lower()), path) for path in paths)
    found = nsmallest(max_matches, ((distance, path) for distance, path in fitting if distance is not None))
    return [path for _, path in found]


def _match_rank(typed: str, path: str) -> tuple[int, int] | None:
    """Rank a path: its name begins so, holds it, the path holds it, holds its letters; then the shorter."""
    name = path.rpartition("/")[2]
    if name.startswith(typed):
        return 0, len(path)
    if typed in name:
        return 1, len(path)
    if typed in path:
        return 2, len(path)
    letters = iter(path)
    return (3, len(path)) if all(letter in letters for letter in typed) else None
