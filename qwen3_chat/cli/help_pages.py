"""Help pages in the user's language, in the columns that the terminal has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from typer._click.formatting import HelpFormatter
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
    "Arguments": "cli.heading.arguments",
    "Options": "cli.heading.options",
    "Commands": "cli.heading.commands",
}
"""Headings of a help page that Typer writes by itself."""

_OPTIONS, _SUBCOMMAND = "[OPTIONS]", "COMMAND [ARGS]..."
"""Typer's words in a usage line; each of our groups does something without a command, too."""
_MAX_SHARE_OF_NAMES: Final = 0.4
"""The part of a page's width that the names of options take at most; a longer name has a line of its own."""
_FACTS: Final = re.compile(r"  \[(?P<facts>[^\[\]]+)\]$")
"""Typer's addition to the help of an option: its default, its bounds, whether it must be given."""
_BOUNDS: Final = re.compile(r"(?P<low>-?[\d.]+)<=x<=(?P<high>[\d.]+)")
_MIN_NAME_CELLS, _MIN_TEXT_CELLS, _USAGE_INDENT_CELLS = 10, 20, 4


class HelpPage(HelpFormatter):
    """A help page whose lines are measured in cells, and broken where each language allows it."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line; what does not fit behind the command stands below it."""
        beginning = f"{t('cli.heading.usage')}{prog} "
        column = self._cells(beginning)
        if max(map(self._cells, args.split()), default=0) > self.width - column:
            self._write_column("", beginning, column=0)
            beginning, column = "", _USAGE_INDENT_CELLS
        self._write_column(beginning, args, column=column)

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        self.write(f"{'':{self.current_indent}}{t(HEADING_KEYS[heading])}\n")

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        self._write_column("", text, column=0)

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 0, col_spacing: int = 2) -> None:
        """Write options, arguments or commands with what they are, in two columns."""
        limit = col_max or int(self.width * _MAX_SHARE_OF_NAMES)
        fitting = (cells for name, _ in rows if (cells := self._cells(name)) <= limit)
        column = max(fitting, default=_MIN_NAME_CELLS) + col_spacing
        for name, about in rows:
            if self._cells(name) + col_spacing > column:
                self.write(f"{'':{self.current_indent}}{name}\n")
                name = ""
            self._write_column(name, *_split_facts(about), column=column)

    def _write_column(self, name: str, text: str, facts: str = "", *, column: int) -> None:
        """Write a name and, from a column on, a text that is broken into lines; the facts stay in one."""
        from qwen3_chat.transcript.cells import wrap  # here: few starts show a help page

        indent = " " * self.current_indent
        width = max(self.width - self.current_indent - column, _MIN_TEXT_CELLS)
        lines = [text[start:end].rstrip() for start, end in wrap(text, width)]
        if self._cells(lines[-1] + facts) <= width:
            lines[-1] += facts
        else:
            facts = facts.lstrip()
            lines += [facts[start:end].rstrip() for start, end in wrap(facts, width)]
        for line in lines:
            gap = " " * (column - self._cells(name))
            self.write(f"{indent}{name}{gap}{line}".rstrip() + "\n")
            name = ""

    @staticmethod
    def _cells(text: str) -> int:
        from qwen3_chat.transcript.cells import cell_width

        return cell_width(text)


class TranslatedCommand(TyperCommand):
    """A command whose help page is in the user's language."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the help option, translated."""
        return translate_help(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help page."""
        return _help_page(self.format_help, ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return list(_translate_usage(super().collect_usage_pieces(ctx)))


class TranslatedGroup(TyperGroup):
    """A command group whose help page is in the user's language."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the help option, translated."""
        return translate_help(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help page."""
        return _help_page(self.format_help, ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return list(_translate_usage(super().collect_usage_pieces(ctx)))


def _help_page(write: Callable[[Any, HelpFormatter], None], ctx: Any) -> str:
    page = HelpPage(width=ctx.terminal_width, max_width=ctx.max_content_width)
    write(ctx, page)
    return page.getvalue().rstrip("\n")


def _translate_usage(pieces: Sequence[str]) -> Iterator[str]:
    """Yield the parts of a usage line; only alternatives need Typer's braces around what must be given."""
    for piece in pieces:
        if piece == _OPTIONS:
            yield t("cli.usage.options")
        elif piece == _SUBCOMMAND:
            yield t("cli.usage.subcommand")
        elif piece.startswith("{") and "|" not in piece:
            yield piece[1:-1]
        else:
            yield piece


def _split_facts(about: str) -> tuple[str, str]:
    """Return the help of an option, and what Typer appended to it in the user's language."""
    match = _FACTS.search(about)
    if match is None:
        return about, ""
    facts = t("cli.help.separator").join(map(_translate_fact, match["facts"].split("; ")))
    return about[: match.start()], t("cli.help.facts", facts=facts)


def _translate_fact(fact: str) -> str:
    if fact == "required":
        return t("cli.help.required")
    if fact.startswith("default: "):
        return t("cli.help.default", value=fact.removeprefix("default: "))
    if bounds := _BOUNDS.fullmatch(fact):
        return t("cli.help.bounds", **bounds.groupdict())
    return fact


def translate_help(parameter: Any) -> Any:
    """Replace the text key in a parameter's help by its text; return the parameter."""
    if parameter is not None:
        text = TYPER_OPTION_KEYS.get(parameter.name, getattr(parameter, "help", None))
        if text and text.startswith(HELP_KEY_PREFIX):
            parameter.help = t(text)
    return parameter
