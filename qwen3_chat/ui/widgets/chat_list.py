"""The list of stored chats, searched and chosen on a screen of its own or in the sidebar."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from qwen3_chat.chat import Role
from qwen3_chat.store import ChatStore, SearchHit
from qwen3_chat.store.records import ChatSummary
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_day, format_message_count
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.error_notices import notify_errors, notify_worker_failure
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.textual_compat import MAX_LINE_CHARACTERS, SteadyOptionList
from qwen3_chat.ui.textual_compat.list_lines import HangingLines
from qwen3_chat.ui.themes import DIM

MAX_HITS = 500
OPEN_MARK = "● "


class ChatChoice(Struct, frozen=True):
    """The chat to go on with; if a search found it, with the query and the hits in its messages."""

    chat_id: int
    query: str = ""
    hits: tuple[SearchHit, ...] = ()


class ChatList(Vertical):
    """The stored chats, pinned ones first, then the newest; typing searches titles, messages and thinking."""

    BINDINGS = [
        key_binding("resume", "enter", "resume", priority=True),
        key_binding("rename", "f2", "rename"),
        key_binding("pin", "f3", "pin"),
        key_binding("delete", "ctrl+d", "delete", priority=True),
        key_binding("undo", "ctrl+z", "undo", priority=True),
        key_binding("close", "escape", "close"),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    ChatList {
        background: $surface;
        Input, Input:focus { border: none; height: 1; padding: 0 1; margin-bottom: 1; background: $boost; }
        OptionList, OptionList:focus {
            border: none; height: 1fr; background: $surface; padding: 0;
            text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1;
        }
        OptionList > .option-list--option { padding: 0 1; }
        .chat-list--empty { height: 1fr; padding: 1 2; color: $foreground 68%; display: none; }
        &.-empty .chat-list--empty { display: block; }
        &.-empty OptionList { display: none; }
    }
    """

    renaming: var[int | None] = var(None, init=False)
    """The chat whose title is being edited."""
    open_chat: var[int | None] = var(None, init=False)
    """The chat that is open on the screen, which is marked in the list."""
    busy_chat: var[int | None] = var(None, init=False)
    """The chat in which an answer is being written, which can't be deleted meanwhile."""

    class Chosen(Message):
        """The message that the user goes on with a chat."""

        def __init__(self, choice: ChatChoice) -> None:
            super().__init__()
            self.choice = choice

    class Deleted(Message):
        """The message that a chat was deleted; it can still be restored."""

        def __init__(self, chat_id: int) -> None:
            super().__init__()
            self.chat_id = chat_id

    class Renamed(Message):
        """The message that a chat got another title."""

        def __init__(self, chat_id: int) -> None:
            super().__init__()
            self.chat_id = chat_id

    class Closed(Message):
        """The message that the user leaves the list."""

    def __init__(self, store: ChatStore, id: str | None = None) -> None:
        super().__init__(id=id)
        # Attributes, not queries: a search may end while the list is being closed and its children are gone.
        self.search_input = Input(placeholder=t("ui.chats.search"), max_length=MAX_LINE_CHARACTERS)
        self.options = SteadyOptionList()
        self.empty = Static(classes="chat-list--empty", markup=False)
        self._store = store
        self._summaries: dict[int, ChatSummary] = {}
        self._hits: dict[int, list[SearchHit]] = {}
        self._deleted: list[int] = []
        self._search = ""

    def compose(self) -> ComposeResult:
        """Lay out the search above the list."""
        yield self.search_input
        yield self.options
        yield self.empty

    def on_mount(self) -> None:
        """Set the title of the border."""
        self.border_title = t("ui.chats.title")

    def begin(self) -> None:
        """List all chats and focus the search."""
        self.search_input.focus()
        self.fill(self.open_chat)

    def watch_renaming(self, chat_id: int | None) -> None:
        """Turn the search line into the editor of a title, or back."""
        title = self._summaries[chat_id].title if chat_id is not None else None
        with self.prevent(Input.Changed):
            self.search_input.value = self._search if title is None else terminal_safe(title)
        self.border_title = t("ui.chats.title" if title is None else "ui.chats.renaming")

    @on(Input.Changed)
    def search_changed(self, message: Input.Changed) -> None:
        """Search as the user types."""
        message.stop()
        if self.renaming is None:
            self._search = message.value
            self.fill()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Notify the user of the failure of a worker."""
        notify_worker_failure(self, event)

    @work(exclusive=True, group="find", exit_on_error=False)
    async def fill(self, chosen: int | None = None) -> None:
        """Fill the list; highlight the chosen chat, or the first."""
        text = self._search.strip()
        summaries: tuple[ChatSummary, ...] = ()
        hits: Iterable[SearchHit] = ()
        with notify_errors(self, "task.list_chats"):
            summaries = await self._store.chats(search=text or None)
            hits = await self._store.find(text, limit=MAX_HITS) if text else ()
        if not self.options.is_attached:
            return  # the list was closed meanwhile
        self._hits = {}
        for hit in hits:
            self._hits.setdefault(hit.chat_id, []).append(hit)
        self._summaries = {summary.id: summary for summary in summaries}
        self.set_class(not summaries, "-empty")
        self.empty.update(t("ui.chats.none_found") if text else t("ui.chats.none"))
        self.options.clear_options()
        self.options.add_options(self._option(summary) for summary in summaries)
        if summaries:
            self.options.highlighted = list(self._summaries).index(chosen) if chosen in self._summaries else 0
        self.refresh_bindings()

    def _option(self, summary: ChatSummary) -> Option:
        when = format_day(summary.updated_at.astimezone(), datetime.now().astimezone())
        detail = t(
            "ui.chats.detail", when=when, messages=format_message_count(summary.message_count), id=summary.id
        )
        pin = t("ui.chats.pinned") + SEPARATOR if summary.pinned else ""
        rest = " " * len(OPEN_MARK)
        mark = Content.styled(OPEN_MARK, "$accent") if summary.id == self.open_chat else Content(rest)
        title = terminal_safe(summary.title) or t("ui.untitled")
        lines = [Content(title), Content.styled(pin + detail, DIM)]
        if hits := self._hits.get(summary.id):
            lines.append(self._excerpt(hits[0]))
        rows = [(mark, lines[0]), *((Content(rest), line) for line in lines[1:])]
        return Option(HangingLines(rows), id=str(summary.id))

    def _excerpt(self, hit: SearchHit) -> Content:
        content = Content(hit.excerpt)
        for start, end in hit.marks:
            content = content.stylize("bold $text-warning", start, end)
        where = ""
        if hit.in_reasoning:
            where = t("ui.chats.in_thinking")
        elif hit.in_call:
            where = t("ui.chats.in_call")
        elif hit.role is Role.TOOL:
            where = t("ui.chats.in_result")
        return Content.assemble((where, DIM), content)

    @property
    def highlighted(self) -> ChatSummary | None:
        """The highlighted chat, on which the keys act."""
        option = self.options.highlighted_option
        return self._summaries.get(int(option.id)) if option is not None and option.id else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        match action:
            case "undo":
                return bool(self._deleted)
            case "rename" | "pin" | "delete":
                return self.renaming is None and bool(self._summaries)
            case "resume":
                return bool(self._summaries)
            case _:
                return True

    def action_move(self, step: int) -> None:
        """Move the highlight while the search keeps the focus."""
        if self.options.option_count and self.renaming is None:
            index = (self.options.highlighted or 0) + step
            self.options.highlighted = max(0, min(self.options.option_count - 1, index))

    async def action_resume(self) -> None:
        """Go on with the highlighted chat, or store the typed title."""
        if (chat_id := self.renaming) is not None:
            with notify_errors(self, "task.rename_chat"):
                if title := self.search_input.value.strip():
                    await self._store.set_title(chat_id, title)
                    self.post_message(self.Renamed(chat_id))
            self.renaming = None
            self.fill(chat_id)
        elif summary := self.highlighted:
            self._choose(summary.id)

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Go on with the clicked chat."""
        message.stop()
        self._choose(int(message.option.id or 0))

    def _choose(self, chat_id: int) -> None:
        hits = tuple(reversed(self._hits.get(chat_id, [])))
        self.post_message(self.Chosen(ChatChoice(chat_id, self._search.strip() if hits else "", hits)))

    def action_rename(self) -> None:
        """Edit the title of the highlighted chat."""
        if summary := self.highlighted:
            self.search_input.focus()
            self.renaming = summary.id
            self.search_input.select_all()  # what is typed replaces the title
            self.refresh_bindings()

    async def action_pin(self) -> None:
        """Pin the highlighted chat to the top, or unpin it."""
        if summary := self.highlighted:
            with notify_errors(self, "task.pin_chat"):
                await self._store.set_pinned(summary.id, not summary.pinned)
            self.fill(summary.id)

    async def action_delete(self) -> None:
        """Delete the highlighted chat; it can be restored."""
        if (summary := self.highlighted) is None:
            return
        if summary.id == self.busy_chat:
            self.notify(t("ui.notice.busy"))
            return
        with notify_errors(self, "task.delete_chat"):
            await self._store.delete_chat(summary.id)
            self._deleted.append(summary.id)
            self.post_message(self.Deleted(summary.id))
            self.notify(t("ui.chats.deleted", title=summary.title or t("ui.untitled")))
        self.fill()

    async def action_undo(self) -> None:
        """Restore the chat that was deleted last."""
        if self._deleted:
            with notify_errors(self, "task.restore_chat"):
                await self._store.restore_chat(self._deleted[-1])
                self.fill(self._deleted.pop())

    def action_close(self) -> None:
        """Close the editor of the title without a change, or the list."""
        if self.renaming is not None:
            self.renaming = None
            self.refresh_bindings()
        else:
            self.post_message(self.Closed())


class Sidebar(ChatList):
    """The list at the left edge of the chat screen; hidden and empty until it is opened."""

    DEFAULT_CSS = """
    Sidebar {
        display: none; dock: left; width: 34; height: 100%;
        border-right: tall $panel; background: $surface; padding-top: 1;
    }
    """

    def compose(self) -> ComposeResult:
        """Lay out nothing yet, so that the app starts without the styles of widgets that nobody sees."""
        return ()

    def begin(self) -> None:
        """List all chats and focus the search."""
        if not self.search_input.is_attached:
            self.mount_all(super().compose())
        super().begin()
