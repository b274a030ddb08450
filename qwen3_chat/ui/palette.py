"""The command palette in the user's language."""

from __future__ import annotations

from textual.command import CommandList, CommandPalette
from textual.widgets.option_list import Option

from qwen3_chat.texts import t


class Palette(CommandPalette):
    """Textual's own, whose one English sentence is said in ours."""

    def __init__(self) -> None:
        super().__init__(id="--command-palette", placeholder=t("ui.palette.search"))

    def _start_no_matches_countdown(self, search_value: str) -> None:
        # As in the class above, which has its sentence inside the function.
        self._stop_no_matches_countdown()

        def tell() -> None:
            if search_value:
                options = self.query_one(CommandList)
                options.add_option(Option(t("ui.palette.none"), disabled=True, id=self._NO_MATCHES))
            self._list_visible = bool(search_value)

        self._no_matches_timer = self.set_timer(self._NO_MATCHES_COUNTDOWN, tell)
