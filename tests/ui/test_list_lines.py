"""The rows of lists: a wrapped one goes on below its own beginning, in the dialogs and by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import Static

from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.textual_compat.list_lines import FittingLine, HangingLines
from tests.fakes import FakeEngine
from tests.harness import open_app
from tests.ui.test_sizes import DIALOGS


class Lines(App[None]):
    """An app that shows one row of a list."""

    def __init__(self, line: HangingLines | FittingLine) -> None:
        super().__init__()
        self.line = line

    def compose(self) -> ComposeResult:
        """Show the row."""
        yield Static(self.line)


async def rows(line: HangingLines | FittingLine, width: int) -> list[str]:
    """Return the rows of a line at a width."""
    app = Lines(line)
    async with app.run_test(size=(width, 12)):
        shown = app.query_one(Static)
        return [shown.render_line(y).text.rstrip() for y in range(shown.size.height)]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (40, ["● one two three", "  four five"]),
        (12, ["● one two", "  three", "  four five"]),
        (10, ["● one two", "  three", "  four", "  five"]),
    ],
)
async def test_a_wrapped_line_goes_on_below_its_text(width: int, expected: list[str]) -> None:
    lines = HangingLines([("● ", Content("one two three")), ("  ", Content("four five"))])
    assert await rows(lines, width) == expected


async def test_a_line_that_does_not_fit_has_fewer_columns() -> None:
    line = FittingLine(Content("name  words  7 tok/s"), Content("name  7 tok/s"))
    assert await rows(line, 30) == ["name  words  7 tok/s"]
    assert await rows(line, 15) == ["name  7 tok/s"]


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", ["tools", "servers"])
async def test_no_row_of_a_dialog_goes_on_at_its_border(
    tmp_path: Path, name: str, language: Language
) -> None:
    set_language(language)
    try:
        async with open_app(tmp_path, FakeEngine(), (60, 18)) as app:
            await DIALOGS[name](app)
            await app.until(lambda: app.app.screen is not app.screen)
            screen = app.app.screen
            assert isinstance(screen, ListDialog)
            await app.until(lambda: screen.options.virtual_size.height > 30)
            style = screen.options.get_visual_style("option-list--option")
            height = screen.options.virtual_size.height
            found = [screen.options._get_line(style, y).text for y in range(height)]
        assert len([row for row in found if row.startswith("  ")]) > 20
        assert [row for row in found if row[0] not in "✓·●◐○✗ " or row[1] != " "] == []
    finally:
        set_language(Language.EN)
