"""How much moves on the screen, for readers whom movement disturbs."""

from __future__ import annotations

from qwen3_chat.ui.screens.reading import ReadingScreen
from qwen3_chat.ui.widgets.transcript import UPDATE_EVERY_S

TICK_S, CALM_TICK_S = 0.25, 2.0
"""How often what counts on by itself is written anew."""
UPDATE_S, CALM_UPDATE_S = UPDATE_EVERY_S, 1.0
"""How often a reply that is being written is shown further."""


def set_motion(screen: ReadingScreen, *, reduced: bool) -> None:
    """Keep the caret, scrolling and growing replies calm, or lively."""
    screen.app.animation_level = "none" if reduced else "full"
    screen.input.cursor_blink = not reduced
    screen.transcript.update_every_s = CALM_UPDATE_S if reduced else UPDATE_S
