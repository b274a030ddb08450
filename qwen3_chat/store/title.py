"""The title of a chat that nobody named."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len, set_cell_size

from qwen3_chat.plain import plain

WIDTH_CELLS: Final = 40


def title_of(text: str) -> str:
    """Return the first line that says something, cut to 40 terminal cells."""
    lines = (" ".join(line.split()) for line in plain(text).splitlines())
    title = next((line for line in lines if line), "")
    if cell_len(title) <= WIDTH_CELLS:
        return title
    return set_cell_size(title, WIDTH_CELLS - 1).rstrip() + "…"
