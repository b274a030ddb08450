"""What can be typed instead of a message: pure reading of a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Command(StrEnum):
    """A command by its name."""

    HELP = "help"
    NEW = "new"
    CHATS = "chats"
    OPEN = "open"
    AGAIN = "again"
    CONTINUE = "continue"
    EXPORT = "export"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Order:
    """A command with what follows it; None where there is none of that name."""

    command: Command | None
    argument: str


def order_of(line: str) -> Order | None:
    """Read a line as a command; None where it is a message: a path or `//` at its beginning is text."""
    word, _, argument = line.strip().partition(" ")
    if not word.startswith("/") or not word[1:].isalpha():
        return None
    name = word[1:].lower()
    return Order(Command(name) if name in set(Command) else None, argument.strip())
