"""The rows of lists that adapt to the width: wrapped below their own beginning, or with fewer columns.

A list takes any `Visual` for a row, the protocol by which Textual draws its own texts and which it does not
document: there is no other way to a hanging indent. `tests/ui/test_list_lines.py` has the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.css.styles import RulesMap
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

MIN_TEXT_CELLS = 8
"""The width below which a text is not indented: it would be a column of letters."""


class HangingLines(Visual):
    """Texts one below the other, each after a beginning such as `✓ `, under which it never goes on."""

    def __init__(self, lines: Sequence[tuple[str | Content, Content]]) -> None:
        self._lines = [(Content(begin) if isinstance(begin, str) else begin, text) for begin, text in lines]

    @property
    def plain(self) -> str:
        """The lines as text."""
        return "\n".join(beginning.plain + text.plain for beginning, text in self._lines)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """Return the width at which nothing is wrapped."""
        return max(map(cell_len, self.plain.split("\n")), default=0)

    def get_height(self, rules: RulesMap, width: int) -> int:
        """Return the number of rows at a width."""
        return sum(text.get_height(rules, _rest(beginning, width)) for beginning, text in self._lines)

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """Draw each text beside its beginning."""
        strips: list[Strip] = []
        for beginning, text in self._lines:
            rest = _rest(beginning, width)
            rows = text.render_strips(rest, None, style, options)
            for number, row in enumerate(rows):
                shown = beginning if number == 0 else Content("")
                cells = beginning.cell_length
                (indent,) = shown.render_strips(cells, 1, style, options) or [Strip([])]
                indent = indent.adjust_cell_length(cells, style.rich_style)
                strips.append(Strip.join([indent, row]).crop(0, width))
        return strips[:height]


class FittingLine(Visual):
    """One line that has fewer columns where the whole one does not fit."""

    def __init__(self, whole: Content, short: Content) -> None:
        self.whole, self.short = whole, short

    def _at(self, width: int) -> Content:
        return self.whole if self.whole.cell_length <= width else self.short

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """Return the width of the whole line."""
        return self.whole.cell_length

    def get_height(self, rules: RulesMap, width: int) -> int:
        """Return the number of rows at a width."""
        return self._at(width).get_height(rules, width)

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """Draw the line that fits."""
        return self._at(width).render_strips(width, height, style, options)


def _rest(beginning: Content, width: int) -> int:
    return max(MIN_TEXT_CELLS, width - beginning.cell_length)
