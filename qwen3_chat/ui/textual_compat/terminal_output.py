"""The one gate to the terminal: what a widget draws becomes bytes here, and steers nothing.

A text that is drawn may come from a model, a file or a server. Whatever widget shows it, a character that
could steer the terminal is drawn as U+FFFD, one cell wide; what the widget holds, copies or stores stays as
it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import rich.cells
import textual._wrap
import textual.widgets._input
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip

from qwen3_chat.texts.terminal_safe import DIRECTION_MARKS, REPLACEMENT, UNSAFE_CHARACTERS

# 0 cells wide: tabs and line ends, which Textual has laid out already; the bell and its like, which Rich
# leaves out of a text; the marks of direction
_DROPPED_CHARACTERS: Final = rf"\x07-\x0d{DIRECTION_MARKS}"
_DROPPED: Final = re.compile(f"[{_DROPPED_CHARACTERS}]")
_REPLACED: Final = re.compile(f"(?![{_DROPPED_CHARACTERS}])[{UNSAFE_CHARACTERS}]")
_STEERING: Final = re.compile(f"[{_DROPPED_CHARACTERS}{UNSAFE_CHARACTERS}]")

_render_strip = Strip.render
_character_cells = rich.cells.get_character_cell_size


def install_output_gate() -> None:
    """Let every strip be drawn without characters that steer, and lay them out one cell wide.

    Textual has no place for either. Each row of each widget becomes bytes in `Strip.render`; the width of
    each character is found by `get_character_cell_size` of Rich, which says 0 for most of those that we
    replace. The modules that measure call it through `rich.cells`, but for two with a name of their own for
    it. We know of no upstream issue.
    """
    Strip.render = render_safely  # type: ignore[method-assign, assignment]
    for module in (rich.cells, textual._wrap, textual.widgets._input):
        module.get_character_cell_size = character_cells  # type: ignore[attr-defined]
    rich.cells.cached_cell_len.cache_clear()


@lru_cache(maxsize=4096)
def character_cells(character: str, unicode_version: str = "auto") -> int:
    """Return the cells that a character takes on the screen; 1 if it is drawn as U+FFFD."""
    return 1 if _REPLACED.match(character) else _character_cells(character, unicode_version)


def render_safely(strip: Strip, console: Console) -> str:
    """Return the bytes of a strip, as text, in which only the styles steer the terminal."""
    if strip._render_cache is None and not _is_safe(strip):
        safe = Strip(map(_safe_segment, strip), strip.cell_length)
        strip._render_cache = _render_strip(safe, console)
    return _render_strip(strip, console)


def _is_safe(strip: Strip) -> bool:
    text = "".join([text for text, _, _ in strip._segments])
    if not text.isprintable() and _STEERING.search(text):  # the first is the quicker one
        return False
    links = [style._link for _, style, _ in strip._segments if style is not None and style._link]
    return not links or all(map(str.isprintable, links))


def _safe_segment(segment: Segment) -> Segment:
    text, style, _ = segment
    if style is not None and style.link is not None and not style.link.isprintable():
        style = style.update_link(None)
    return Segment(_REPLACED.sub(REPLACEMENT, _DROPPED.sub("", text)), style)
