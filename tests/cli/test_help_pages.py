"""Help pages: within the terminal's columns, in one language, the same words for the same things."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.cells import cell_len
from typer._click.core import Context

from qwen3_chat.cli.commands import build_command_tree
from qwen3_chat.texts import Language, set_language

COLUMNS = (52, 60, 80, 100)


@pytest.fixture(params=list(Language))
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    set_language(request.param)
    yield request.param
    set_language(Language.EN)


def commands(node: Any, parent: Any = None) -> Iterator[tuple[Any, Any]]:
    """Yield each command with the context of its help page."""
    context = Context(node, info_name=node.name, parent=parent)
    yield node, context
    for child in getattr(node, "commands", {}).values():
        yield from commands(child, context)


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_help_page_fits_the_terminal_and_breaks_no_word(
    language: Language, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for command, context in commands(build_command_tree()):
        page = command.get_help(context)
        for line in page.splitlines():
            is_name_alone = re.fullmatch(r" *(-\S+ )*\S+( \[COMMAND\]…)?", line) is not None
            assert cell_len(line) <= min(columns, 80) or is_name_alone
            assert line == line.rstrip()
        words = {word for parameter in command.params for word in _words(getattr(parameter, "help", ""))}
        assert words <= _words(page)
        assert set(" ".join(command.collect_usage_pieces(context)).split()) <= set(page.split())
        assert re.findall(r"[\[（](?:default:|默认：)[^]）]*$", page, re.MULTILINE) == []


def _words(text: str | None) -> set[str]:
    """Return what may not be broken: the names and numbers of a text, hyphens and dots in them."""
    return set(re.findall(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*[A-Za-z0-9_]", text or ""))


def test_a_help_page_is_in_one_language(language: Language) -> None:
    for command, context in commands(build_command_tree()):
        page = command.get_help(context)
        typers_own = ("Usage", "Options", "[OPTIONS]", "COMMAND [ARGS]", "default:", "required", "<=")
        if language is Language.ZH:
            assert not [word for word in typers_own if word in page]
            assert "： " not in page
        assert "<=" not in page


def test_a_usage_line_has_braces_for_alternatives_only(language: Language) -> None:
    usages = {
        context.command_path: command.get_help(context).splitlines()[0]
        for command, context in commands(build_command_tree())
    }
    begin, options = ("Usage: ", "[OPTIONS]") if language is Language.EN else ("用法：", "[选项]")
    assert usages["qwen3-chat rm"] == (
        f"{begin}qwen3-chat rm {options} {{NAME[:QUANT]|REPOSITORY[:FILE-OR-QUANT]}}"
    )
    assert usages["qwen3-chat import"] == f"{begin}qwen3-chat import {options} FILE"
    assert usages["qwen3-chat ask"] == f"{begin}qwen3-chat ask {options} [PROMPT]"
    for path in ("qwen3-chat", "qwen3-chat tools", "qwen3-chat mcp"):  # each does something by itself
        assert re.fullmatch(rf"{begin}{path} \S+ \[\S+ \[\S+\]…\]", usages[path])


def test_what_can_be_given_again_says_so(language: Language) -> None:
    sentence = "Can be given several times." if language is Language.EN else "可多次给出。"
    for command, _ in commands(build_command_tree()):
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.multiple == (parameter.help or "").endswith(sentence)


def test_an_option_is_told_in_the_same_words_by_all_commands(language: Language) -> None:
    helps: dict[str, set[str]] = {}
    for command, _ in commands(build_command_tree()):
        for parameter in command.params:
            if parameter.param_type_name == "option":
                helps.setdefault(parameter.opts[-1], set()).add(parameter.help or "")
    own = {
        "--json",
        "--output",
        "--model",
        "--endpoint",
        "--tools",
        "--ctx",
        "--think",
    }  # mean other things there
    assert [name for name, texts in helps.items() if len(texts) > 1 and name not in own] == []
