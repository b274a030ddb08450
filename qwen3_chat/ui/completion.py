"""Completions of the word at the cursor, which is a command or a file; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from heapq import nsmallest

from msgspec import Struct

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.ui.command_names import match_rank

MAX_MATCHES = 50
"""The most completions offered: typing another letter is quicker than reading more of them."""

# Patterns as text: to compile a range of Chinese characters takes a millisecond, and no start needs them.
_COMMAND = r"/([a-z_]*|[\u4e00-\u9fff]{1,8}|[A-Za-z0-9_-]+:[\w.-]*)"
"""A command in Latin letters, or in Chinese: no name has more than eight characters, most texts have."""
_BEGUN_COMMAND = r"/([A-Za-z0-9_-]*(?::[\w.-]*)?|[\u4e00-\u9fff]{1,8})"
_FILE = re.compile(r"(?:^|(?<=\s))@(\S*)$")


class CompletionKind(StrEnum):
    """The kind of completion: a command or a file."""

    COMMAND = "command"
    FILE = "file"


class CompletionTrigger(Struct, frozen=True):
    """The start of a word that can be completed: its kind, the text typed so far, its column."""

    kind: CompletionKind
    typed: str
    column: int


class PaletteCommand(Struct, frozen=True):
    """A command to type after `/`: an action, or the tag of a thinking mode, which is sent with a message."""

    name: str
    description: str
    tag: ThinkingMode | None = None
    words: tuple[str, ...] = ()
    """Other words that find it: its labels, their pinyin, the words of other chats."""
    label: str = ""
    """The name to show, in the user's language; empty where it is the name itself."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every word that is the whole name."""
        return (self.name, *self.words)

    @property
    def shown(self) -> str:
        """The name to show and to insert."""
        return self.label or self.name


def find_trigger(before_cursor: str, row: int) -> CompletionTrigger | None:
    """Return the completion that a line up to the cursor calls for.

    A `/` at the very start of the text begins a command, an `@` anywhere begins a file.
    """
    if row == 0 and (match := re.fullmatch(_BEGUN_COMMAND, before_cursor)):
        return CompletionTrigger(CompletionKind.COMMAND, match[1], 0)
    if match := _FILE.search(before_cursor):
        return CompletionTrigger(CompletionKind.FILE, match[1], match.start(0))
    return None


def typed_command(text: str) -> str | None:
    """Return the command's name if the whole message is a command; a second slash or word makes it a text.

    A name with a colon is that of a prompt of a server.
    """
    match = re.fullmatch(_COMMAND, text.strip())
    return match[1] if match and match[1] else None


def unescaped(text: str) -> str:
    """Remove the first of two slashes, which marks as text what looks like a command."""
    return text[1:] if text.startswith("//") and typed_command(text[1:]) else text


def matching_commands(typed: str, commands: Sequence[PaletteCommand]) -> list[PaletteCommand]:
    """Return the commands that a text finds, the best matches first, otherwise in their order."""
    ranked = [(match_rank(typed, command.name, command.words), command) for command in commands]
    found = [(rank, command) for rank, command in ranked if rank is not None]
    return [command for _, command in sorted(found, key=lambda pair: pair[0])]


def command_by_name(typed: str, commands: Sequence[PaletteCommand]) -> PaletteCommand | None:
    """Return the command with exactly this name, in whichever language; None if there is none."""
    return next((command for command in matching_commands(typed, commands) if typed in command.names), None)


def matching_files(typed: str, paths: Iterable[str], max_matches: int = MAX_MATCHES) -> list[str]:
    """Return the paths that contain the typed letters in order, the best matches first."""
    lower = typed.lower()
    ranked = ((_match_rank(lower, path.lower()), path) for path in paths)
    best = nsmallest(max_matches, ((rank, path) for rank, path in ranked if rank is not None))
    return [path for _, path in best]


def _match_rank(typed: str, path: str) -> tuple[int, int] | None:
    """Return the rank of a path, the best lowest; None where it lacks the letters.

    First come the paths whose name starts with the text, then those whose name contains it, then those that
    contain it, then those that contain its letters in order; within each, the shorter first.
    """
    name = path.rpartition("/")[2]
    if name.startswith(typed):
        return 0, len(path)
    if typed in name:
        return 1, len(path)
    if typed in path:
        return 2, len(path)
    letters = iter(path)
    return (3, len(path)) if all(letter in letters for letter in typed) else None
