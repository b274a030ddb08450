"""The model screen: which Qwen3 fits this machine, why, how fast it will be; get it, use it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual import on, work
from textual.binding import Binding
from textual.widgets import Input, OptionList

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.fit import Fit
from qwen3_chat.library import Removal
from qwen3_chat.session import LocalModel
from qwen3_chat.shelf import ModelRow, Offer, Phase, ServerRow
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t
from qwen3_chat.ui.keys import key
from qwen3_chat.ui.model_list import CONTEXT_STEPS, DemoRow, Heading, offer_of
from qwen3_chat.ui.screens.shelf import ShelfScreen
from qwen3_chat.ui.telling import telling


class ModelsScreen(ShelfScreen):
    """Typing searches; the chat behind goes on, and so do downloads when the screen is left."""

    BINDINGS = [
        key("use_model", "enter", "choose", priority=True),
        key("quant", "tab", "quant(1)", priority=True),
        Binding("shift+tab", "quant(-1)", show=False, priority=True),
        key("context", "right", "context(1)", priority=True),
        Binding("left", "context(-1)", show=False, priority=True),
        key("pause", "f3", "pause", priority=True),
        key("delete_model", "ctrl+d", "delete", priority=True),
        key("close", "escape,f7", "close", priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
    ]

    _confirmed: Callable[[], object] | None = None
    """What Enter does while it is asked for."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        line = self.highlighted
        match action:
            case "quant":
                return isinstance(line, ModelRow) and len(line.offers) > 1
            case "context":
                return self.machine is not None
            case "pause":
                download = (
                    self.desk.downloads.states.get(self.offer(line).key)
                    if isinstance(line, ModelRow)
                    else None
                )
                return download is not None and download.phase is not Phase.DONE
            case "delete":
                return isinstance(line, ModelRow) and self._can_delete(self.offer(line))
            case _:
                return True

    @on(Input.Changed)
    def search_changed(self) -> None:
        """Search as the user types."""
        self._take_back()
        self.fill()

    @on(OptionList.OptionSelected)
    def clicked(self) -> None:
        """Choose the line that was clicked."""
        self.action_choose()

    def action_move(self, step: int) -> None:
        """Move the highlight over the headings while the search keeps the focus."""
        self._take_back()
        choosable = [at for at, line in enumerate(self.lines.values()) if not isinstance(line, Heading)]
        if choosable:
            now = self.options.highlighted
            place = choosable.index(now) + step if now in choosable else 0
            self.options.highlighted = choosable[max(0, min(len(choosable) - 1, place))]

    def action_quant(self, step: int) -> None:
        """Go to the model's next quant."""
        self._take_back()
        if isinstance(row := self.highlighted, ModelRow):
            at = (offer_of(row, self.quants) + step) % len(row.offers)
            self.quants[row.model.name] = row.offers[at].assessment.quant
            self.options.replace_option_prompt(self.highlighted_id or "", self.prompt(row))
            self.show_detail()

    @work(exclusive=True, group="context")
    async def action_context(self, step: int) -> None:
        """Ask for more or less context; what fits is reckoned anew."""
        self._take_back()
        self.n_ctx_step = max(0, min(len(CONTEXT_STEPS) - 1, self.n_ctx_step + step))
        self.show_detail()
        await self.lay_out()

    def action_choose(self) -> None:
        """Use the highlighted model, or fetch it; ask first where it does not fit."""
        if (confirmed := self._confirmed) is not None:
            self._take_back()
            confirmed()
            return
        match self.highlighted:
            case DemoRow(choice=choice) | ServerRow(choice=choice):
                self.dismiss(choice)
            case ModelRow() as row:
                self._choose(self.offer(row))

    def _choose(self, offer: Offer) -> None:
        download = self.desk.downloads.states.get(offer.key)
        does: Callable[[], object]
        if offer.file is not None:
            does = partial(self.dismiss, LocalModel(offer.file.path, CONTEXT_STEPS[self.n_ctx_step]))
            key_of_question = "ui.models.use_anyway"
        elif download is not None and download.is_running:
            return
        else:
            does = partial(self._fetch, offer)
            key_of_question = "ui.models.fetch_anyway"
        if offer.assessment.fit is Fit.TOO_LARGE:
            self._ask(t(key_of_question, reason=offer.assessment.reason), does)
        else:
            does()

    @work(exclusive=True, group="pause")
    async def action_pause(self) -> None:
        """Stop the download of the highlighted model, or go on with it."""
        if isinstance(row := self.highlighted, ModelRow):
            offer = self.offer(row)
            download = self.desk.downloads.states.get(offer.key)
            if download is not None and download.is_running:
                await self.desk.downloads.pause(offer.key)
            else:
                self._fetch(offer)

    def _fetch(self, offer: Offer) -> None:
        """Fetch a model, or go on with the very file that was begun."""
        begun = self.desk.downloads.states.get(offer.key)
        self.desk.downloads.start(begun.wanted if begun else offer.wanted, offer.key, offer.size_bytes)

    def action_delete(self) -> None:
        """Ask whether the highlighted model, or what arrived of it, is to be deleted."""
        row = self.highlighted
        if not isinstance(row, ModelRow):
            return
        offer = self.offer(row)
        if self.is_in_use(offer):
            self.notify(t("ui.models.in_use"), severity="warning")
            return
        with telling(self):
            try:
                removal = self.desk.removal(offer.key)
            except Qwen3ChatError:
                if offer.key not in self.desk.downloads.states:
                    raise
                removal = Removal((), 0)  # nothing has arrived yet
            size = write_size(removal.freed_bytes)
            what = "ui.models.delete" if offer.file is not None else "ui.models.give_up"
            question = t(what, name=" ".join(offer.key), size=size)
            self._ask(question, partial(self._delete, offer))

    @work(exclusive=True, group="delete")
    async def _delete(self, offer: Offer) -> None:
        with telling(self):
            if offer.key in self.desk.downloads.states:
                await self.desk.downloads.forget(offer.key)
            try:
                removal = self.desk.removal(offer.key)
            except Qwen3ChatError:
                removal = Removal((), 0)
            self.desk.remove(removal)
            self.disk = await self.desk.disk()
            await self.lay_out()

    def action_close(self) -> None:
        """Take a question back, or return to the chat."""
        if not self._take_back():
            self.dismiss(None)

    def _ask(self, question: str, does: Callable[[], object]) -> None:
        self._confirmed, self.asking = does, question
        self.show_detail()

    def _take_back(self) -> bool:
        """Forget what was asked; tell whether something was."""
        was_asked = self._confirmed is not None
        self._confirmed, self.asking = None, ""
        if was_asked:
            self.show_detail()
        return was_asked

    def _can_delete(self, offer: Offer) -> bool:
        download = self.desk.downloads.states.get(offer.key)
        return offer.file is not None or (download is not None and download.phase is not Phase.DONE)
