"""The work that hostile Markdown makes, counted in steps of the parser."""

from __future__ import annotations

import pytest
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline

from qwen3_chat.transcript.markdown_parser import PARSER

CHARACTERS = 4_096
MAX_STEPS = 300_000


OPEN = ("[", "![", "[](", "![x](", "[a][", "[*a")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the parser has been in search of the ends of links, a position for each step."""
    positions = list[int]()
    skip_token = ParserInline.skipToken

    def counted(self: ParserInline, state: StateInline) -> None:
        positions.append(state.pos)
        skip_token(self, state)

    monkeypatch.setattr(ParserInline, "skipToken", counted)
    return positions


@pytest.mark.parametrize("n_brackets", [50, 100, 199, 499, 2_000])
@pytest.mark.parametrize("unit", OPEN)
def test_brackets_that_never_close_cost_few_steps(steps: list[int], unit: str, n_brackets: int) -> None:
    paragraph = unit * max(1, n_brackets // unit.count("["))
    PARSER.parse("\n\n".join([paragraph] * max(1, CHARACTERS // len(paragraph)))[:CHARACTERS])
    assert len(steps) < MAX_STEPS


@pytest.mark.parametrize("levels", [20, 100, 199, 499])
@pytest.mark.parametrize("mark", ["[", "!["])
def test_links_and_images_in_each_other_cost_few_steps(steps: list[int], mark: str, levels: int) -> None:
    paragraph = mark * levels + "a" + "](x)" * levels
    PARSER.parse("\n\n".join([paragraph] * max(1, CHARACTERS // len(paragraph))))
    assert len(steps) < MAX_STEPS


def test_a_link_is_found_after_brackets_that_never_close() -> None:
    (_, paragraph, _) = PARSER.parse("[" * 10 + "some words, then [a link](http://x) and [another](http://y)")
    assert [token.type for token in paragraph.children or ()].count("link_open") == 2


def test_images_are_read_in_links_and_in_each_other() -> None:
    (_, paragraph, _) = PARSER.parse("[![a ![b](c)](d)](http://e)")
    children = paragraph.children or []
    assert [token.type for token in children] == ["link_open", "image", "link_close"]
    assert [token.type for token in children[1].children or ()] == ["text", "image"]
