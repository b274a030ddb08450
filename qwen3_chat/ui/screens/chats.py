"""The list of stored chats: find one, go on with it, put the list in order."""

from __future__ import annotations

from datetime import datetime

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import var
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.plain import plain
from qwen3_chat.store import Store
from qwen3_chat.store.records import ChatSummary
from qwen3_chat.texts import t
from qwen3_chat.ui.figures import day
from qwen3_chat.ui.keys import key
from qwen3_chat.ui.telling import telling
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ChatsScreen(ModalScreen[int | None]):
    """Pinned ones first, then the newest; typing searches titles, messages and thinking."""

    BINDINGS = [
        key("resume", "enter", "resume", priority=True),
        key("rename", "f2", "rename"),
        key("pin", "f3", "pin"),
        key("delete", "ctrl+d", "delete", priority=True),
        key("undo", "ctrl+z", "undo", priority=True),
        key("close", "escape", "close"),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    ChatsScreen {
        align: center middle;
        #chats-box {
            width: 90%;
            max-width: 100;
            height: 80%;
            min-height: 10;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        Input, Input:focus { border: none; height: 1; padding: 0 1; margin-bottom: 1; background: $boost; }
        OptionList, OptionList:focus { border: none; height: 1fr; background: $surface; padding: 0; }
        OptionList > .option-list--option { padding: 0 1; }
        KeyBar { background: $surface; }
        #chats-empty { height: 1fr; padding: 1 2; color: $foreground 68%; display: none; }
        &.-empty #chats-empty { display: block; }
        &.-empty OptionList { display: none; }
    }
    """

    renaming: var[int | None] = var(None, init=False)
    """The chat whose title is being typed."""

    line = getters.query_one(Input)
    options = getters.query_one(OptionList)
    empty = getters.query_one("#chats-empty", Static)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._summaries: dict[int, ChatSummary] = {}
        self.deleted: list[int] = []
        """The chats that were deleted here, the latest last."""
        self._search = ""

    def compose(self) -> ComposeResult:
        """Lay out search, list and keys."""
        with Vertical(id="chats-box"):
            yield Input(placeholder=t("ui.chats.search"))
            yield OptionList()
            yield Static(id="chats-empty", markup=False)
            yield KeyBar()

    def on_mount(self) -> None:
        """List all chats."""
        self.query_one("#chats-box").border_title = t("ui.chats.title")
        self.line.focus()
        self.find()

    def watch_renaming(self, chat_id: int | None) -> None:
        """Turn the search line into one for the title, or back."""
        title = self._summaries[chat_id].title if chat_id is not None else None
        with self.prevent(Input.Changed):
            self.line.value = self._search if title is None else plain(title)
        self.query_one("#chats-box").border_title = t(
            "ui.chats.title" if title is None else "ui.chats.renaming"
        )

    @on(Input.Changed)
    def search_changed(self, message: Input.Changed) -> None:
        """Search as the user types."""
        if self.renaming is None:
            self._search = message.value
            self.find()

    @work(exclusive=True, group="find")
    async def find(self, chosen: int | None = None) -> None:
        """Fill the list; highlight the chosen chat, or the first."""
        text = self._search.strip()
        found: tuple[ChatSummary, ...] = ()
        with telling(self):
            found = await self._store.chats(search=text or None)
        self._summaries = {summary.id: summary for summary in found}
        self.set_class(not found, "-empty")
        self.empty.update(t("ui.chats.none_found") if text else t("ui.chats.none"))
        self.options.clear_options()
        self.options.add_options(self._option(summary) for summary in found)
        if found:
            self.options.highlighted = list(self._summaries).index(chosen) if chosen in self._summaries else 0
        self.refresh_bindings()

    def _option(self, summary: ChatSummary) -> Option:
        when = day(summary.updated_at.astimezone(), datetime.now().astimezone())
        detail = t("ui.chats.detail", when=when, count=summary.message_count, id=summary.id)
        pin = f"{t('ui.chats.pinned')} · " if summary.pinned else ""
        title = plain(summary.title) or t("ui.untitled")
        return Option(Content.assemble(title, "\n", (pin + detail, "$foreground 68%")), id=str(summary.id))

    @property
    def highlighted(self) -> ChatSummary | None:
        """The chat that the keys act on."""
        option = self.options.highlighted_option
        return self._summaries.get(int(option.id)) if option is not None and option.id else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        match action:
            case "undo":
                return bool(self.deleted)
            case "rename" | "pin" | "delete":
                return self.renaming is None and bool(self._summaries)
            case "resume":
                return bool(self._summaries)
            case _:
                return True

    def action_move(self, step: int) -> None:
        """Move the highlight while the search keeps the focus."""
        if self.options.option_count and self.renaming is None:
            place = (self.options.highlighted or 0) + step
            self.options.highlighted = max(0, min(self.options.option_count - 1, place))

    async def action_resume(self) -> None:
        """Go on with the highlighted chat, or take over the title that was typed."""
        if (chat_id := self.renaming) is not None:
            with telling(self):
                if title := self.line.value.strip():
                    await self._store.set_title(chat_id, title)
            self.renaming = None
            self.find(chat_id)
        elif summary := self.highlighted:
            self.dismiss(summary.id)

    @on(OptionList.OptionSelected)
    def chosen(self, message: OptionList.OptionSelected) -> None:
        """Go on with the chat that was clicked."""
        self.dismiss(int(message.option.id or 0))

    def action_rename(self) -> None:
        """Type another title."""
        if summary := self.highlighted:
            self.renaming = summary.id
            self.refresh_bindings()

    async def action_pin(self) -> None:
        """Keep the chat at the top, or no longer."""
        if summary := self.highlighted:
            with telling(self):
                await self._store.set_pinned(summary.id, not summary.pinned)
            self.find(summary.id)

    async def action_delete(self) -> None:
        """Take the chat off the list; it can be brought back."""
        if summary := self.highlighted:
            with telling(self):
                await self._store.delete_chat(summary.id)
                self.deleted.append(summary.id)
                self.notify(t("ui.chats.deleted", title=summary.title or t("ui.untitled")))
            self.find()

    async def action_undo(self) -> None:
        """Bring back the chat deleted last."""
        if self.deleted:
            with telling(self):
                await self._store.restore_chat(self.deleted[-1])
                self.find(self.deleted.pop())

    def action_close(self) -> None:
        """Leave the title as it was, or return to the chat that was open."""
        if self.renaming is not None:
            self.renaming = None
            self.refresh_bindings()
        else:
            self.dismiss(None)
