"""The dialog in which two to four models are chosen to answer a question side by side."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.comparison.votes import contender_name
from qwen3_chat.models.picker import ServerRow
from qwen3_chat.models.picker.contenders import ContenderList
from qwen3_chat.session.blind_comparison import MAX_ENTRANTS, MIN_ENTRANTS
from qwen3_chat.store.records import Entrant
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.widgets.key_bar import KeyBar

_MARKS = {True: "✓", False: "·"}


class ComparisonChoiceScreen(ListDialog[tuple[Entrant, ...]]):
    """The models in their modes; the result is the chosen ones.

    `servers` yields the rows of the servers as they answer; `sentences` say how the votes stand so far.
    """

    BINDINGS = [
        key_binding("begin_comparison", "enter", "begin", priority=True),
        key_binding("choose_entrant", "space", "choose", priority=True),
        key_binding("close", "escape", "close"),
    ]
    TITLE_KEY = "ui.compare.choose"
    DEFAULT_CSS = """
    ComparisonChoiceScreen {
        #votes { height: auto; max-height: 4; padding: 0 2; color: $foreground 75%; }
        &.-short #votes { display: none; }
    }
    """

    def __init__(
        self,
        contenders: ContenderList,
        chosen: Sequence[Entrant],
        servers: Callable[[], AsyncGenerator[Sequence[ServerRow], None]],
        sentences: Sequence[str],
    ) -> None:
        self._contenders, self._servers = contenders, servers
        self._wanted = tuple(chosen)
        """The models to choose once they are listed: a server may not have answered yet."""
        self.entrants = contenders.with_servers(())
        self.chosen = tuple(entrant for entrant in chosen if entrant in self.entrants)
        self._votes = Static("\n".join(sentences), id="votes", markup=False)
        self._votes.display = bool(sentences)
        first = self.entrants.index(self.chosen[0]) if self.chosen else 0
        super().__init__(*map(self._option, self.entrants), highlighted=first)

    def compose(self) -> ComposeResult:
        """Lay out the list, the votes so far and the keys."""
        with self.box:
            self.box.border_title = t(self.TITLE_KEY)
            yield self.options
            yield self._votes
            yield KeyBar()

    def on_mount(self) -> None:
        """Show how many are chosen, and ask the servers."""
        self._show_count()
        self._ask_servers()

    @work(exclusive=True, group="servers", exit_on_error=False)
    async def _ask_servers(self) -> None:
        async with aclosing(self._servers()) as updates:
            async for rows in updates:
                before = self.entrants
                self.entrants = self._contenders.with_servers(rows)
                new = [entrant for entrant in self.entrants if entrant not in before]
                self.chosen += tuple(entrant for entrant in new if entrant in self._wanted)
                if new:
                    self._show()

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Choose the clicked model, or no longer."""
        self.action_choose()

    def action_choose(self) -> None:
        """Choose the highlighted model, or no longer."""
        entrant = self.entrants[self.options.highlighted or 0]
        self._wanted = ()
        if entrant in self.chosen:
            self.chosen = tuple(other for other in self.chosen if other != entrant)
        elif len(self.chosen) < MAX_ENTRANTS:
            self.chosen = (*self.chosen, entrant)
        else:
            self._tell_count()
        self._show()

    def action_begin(self) -> None:
        """Have the chosen models answer."""
        if MIN_ENTRANTS <= len(self.chosen) <= MAX_ENTRANTS:
            self.dismiss(self.chosen)
        else:
            self._tell_count()

    def _tell_count(self) -> None:
        self.notify(t("ui.compare.how_many", least=MIN_ENTRANTS, most=MAX_ENTRANTS), severity="warning")

    def _show(self) -> None:
        highlighted = self.options.highlighted or 0
        self.options.set_options(map(self._option, self.entrants))
        self.options.highlighted = min(highlighted, self.options.option_count - 1)
        self._show_count()

    def _show_count(self) -> None:
        count = len(self.chosen)
        key = "enough" if count >= MIN_ENTRANTS else "chosen"
        self.box.border_subtitle = t(f"ui.compare.{key}", count=count, least=MIN_ENTRANTS, most=MAX_ENTRANTS)

    def _option(self, entrant: Entrant) -> Option:
        is_chosen = entrant in self.chosen
        name = contender_name(label_of_name(entrant.title), entrant.mode.value)
        return Option(Content.assemble(f"{_MARKS[is_chosen]} ", (name, "bold" if is_chosen else "")))
