"""Help pages in the user's language."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

from qwen3_chat.texts import t

HELP_PREFIX = "cli."
OWN_TEXTS = {
    "help": "cli.option.help",
    "install_completion": "cli.option.install_completion",
    "show_completion": "cli.option.show_completion",
}
"""Options that Typer adds by itself."""


HEADINGS = {
    "Usage:": "cli.heading.usage",
    "Arguments:": "cli.heading.arguments",
    "Options:": "cli.heading.options",
    "Commands:": "cli.heading.commands",
}
"""Lines of a help page that Typer writes by itself."""


class Command(TyperCommand):
    """A command whose help page speaks the user's language."""

    def get_help_option(self, ctx: Any) -> Any:
        """Translate the help option."""
        return translated(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """Translate the headings."""
        return _with_headings(super().get_help(ctx))


class Group(TyperGroup):
    """The command group, likewise."""

    def get_help_option(self, ctx: Any) -> Any:
        """Translate the help option."""
        return translated(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """Translate the headings."""
        return _with_headings(super().get_help(ctx))


def _with_headings(page: str) -> str:
    for heading, key in HEADINGS.items():
        page = re.sub(f"^{heading}", t(key), page, flags=re.MULTILINE)
    return page


def translated(parameter: Any) -> Any:
    """Put the text of its key in the place of a parameter's help."""
    if parameter is not None:
        text = OWN_TEXTS.get(parameter.name, getattr(parameter, "help", None))
        if text and text.startswith(HELP_PREFIX):
            parameter.help = t(text)
    return parameter
