"""Help pages in the user's language."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

from qwen3_chat.texts import t

HELP_KEY_PREFIX = "cli."
TYPER_OPTION_KEYS = {
    "help": "cli.option.help",
    "install_completion": "cli.option.install_completion",
    "show_completion": "cli.option.show_completion",
}
"""Options that Typer adds by itself."""

HEADING_KEYS = {
    "Usage:": "cli.heading.usage",
    "Arguments:": "cli.heading.arguments",
    "Options:": "cli.heading.options",
    "Commands:": "cli.heading.commands",
}
"""Lines of a help page that Typer writes by itself."""


class TranslatedCommand(TyperCommand):
    """A command whose help page is in the user's language."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the help option, translated."""
        return translate_help(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help page with translated headings."""
        return _translate_headings(super().get_help(ctx))


class TranslatedGroup(TyperGroup):
    """A command group whose help page is in the user's language."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the help option, translated."""
        return translate_help(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help page with translated headings."""
        return _translate_headings(super().get_help(ctx))


def _translate_headings(page: str) -> str:
    for heading, key in HEADING_KEYS.items():
        page = re.sub(f"^{heading}", t(key), page, flags=re.MULTILINE)
    return page


def translate_help(parameter: Any) -> Any:
    """Replace the text key in a parameter's help by its text; return the parameter."""
    if parameter is not None:
        text = TYPER_OPTION_KEYS.get(parameter.name, getattr(parameter, "help", None))
        if text and text.startswith(HELP_KEY_PREFIX):
            parameter.help = t(text)
    return parameter
