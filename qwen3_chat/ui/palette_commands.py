"""The commands of the palette, in the order in which they are declared, found in either language."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from qwen3_chat.texts import t
from qwen3_chat.ui.command_names import command_words, match_rank
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS, MESSAGE_KEYS

FIRST_FUZZY_RANK = 3
"""The ranks from this one on are left to the palette's own fuzzy search."""

FIRST_WORD_SCORE = 1000.0
"""The score of a command that a text fits as a word, far above any of the fuzzy search."""


class PaletteCommands(Provider):
    """The app's commands for the palette.

    Textual sorts them by their names, which makes an order of code points of Chinese ones, and finds them by
    their names alone.
    """

    async def discover(self) -> Hits:
        """Yield every command, as they are declared."""
        for name, help_text, run, is_discovered in self.app.get_system_commands(self.screen):
            if is_discovered:
                yield DiscoveryHit(name, run, help=help_text)

    async def search(self, query: str) -> Hits:
        """Yield the commands that fit a text by their names, or by another word for them."""
        matcher = self.matcher(query)
        typed = query.strip().lower().replace(" ", "_")
        words = {
            t(binding.description): (binding.id or "", command_words(binding.id or "", binding.description))
            for binding in (*CHAT_KEYS, *APP_KEYS, *MESSAGE_KEYS)
        }
        for name, help_text, run, _ in self.app.get_system_commands(self.screen):
            score = matcher.match(name)
            rank = match_rank(typed, *words[name]) if typed and name in words else None
            if rank is not None and rank < FIRST_FUZZY_RANK:
                score = FIRST_WORD_SCORE - rank
            if score > 0:
                yield Hit(score, matcher.highlight(name), partial(run), help=help_text)


__all__ = ["PaletteCommands"]
