"""The list of stored chats, to go on with one."""

from __future__ import annotations

from datetime import datetime

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.plain import plain
from qwen3_chat.store import Store
from qwen3_chat.store.records import ChatSummary
from qwen3_chat.texts import t
from qwen3_chat.ui.figures import day
from qwen3_chat.ui.keys import key
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ChatsScreen(ModalScreen[int | None]):
    """Newest first; typing searches titles, messages and thinking; Enter goes on with the chosen chat."""

    BINDINGS = [
        key("resume", "enter", "resume", priority=True),
        key("close", "escape", "close"),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
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
        #chats-empty { height: 1fr; padding: 1 2; color: $foreground 60%; display: none; }
        &.-empty #chats-empty { display: block; }
        &.-empty OptionList { display: none; }
    }
    """

    search = getters.query_one(Input)
    options = getters.query_one(OptionList)
    empty = getters.query_one("#chats-empty", Static)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def compose(self) -> ComposeResult:
        """Lay out search, list and keys."""
        with Vertical(id="chats-box") as box:
            box.border_title = t("ui.chats.title")
            yield Input(placeholder=t("ui.chats.search"))
            yield OptionList()
            yield Static(id="chats-empty", markup=False)
            yield KeyBar()

    def on_mount(self) -> None:
        """List all chats."""
        self.search.focus()
        self.find("")

    @on(Input.Changed)
    def search_changed(self, message: Input.Changed) -> None:
        """Search as the user types."""
        self.find(message.value.strip())

    @work(exclusive=True)
    async def find(self, text: str) -> None:
        """Fill the list."""
        summaries = await self._store.chats(search=text or None)
        self.set_class(not summaries, "-empty")
        self.empty.update(t("ui.chats.none_found") if text else t("ui.chats.none"))
        self.options.clear_options()
        self.options.add_options(self._option(summary) for summary in summaries)
        if summaries:
            self.options.highlighted = 0

    def _option(self, summary: ChatSummary) -> Option:
        when = day(summary.updated_at.astimezone(), datetime.now().astimezone())
        dim = self.app.theme_variables.get("foreground-muted", "")
        detail = t("ui.chats.detail", when=when, count=summary.message_count, id=summary.id)
        prompt = Content.assemble(plain(summary.title) or t("ui.untitled"), "\n", (detail, dim or "dim"))
        return Option(prompt, id=str(summary.id))

    def action_move(self, step: int) -> None:
        """Move the highlight while the search keeps the focus."""
        if self.options.option_count:
            place = (self.options.highlighted or 0) + step
            self.options.highlighted = max(0, min(self.options.option_count - 1, place))

    def action_resume(self) -> None:
        """Go on with the highlighted chat."""
        option = self.options.highlighted_option
        if option is not None and option.id is not None:
            self.dismiss(int(option.id))

    @on(OptionList.OptionSelected)
    def chosen(self, message: OptionList.OptionSelected) -> None:
        """Go on with the chat that was clicked."""
        self.dismiss(int(message.option.id or 0))

    def action_close(self) -> None:
        """Return to the chat that was open."""
        self.dismiss(None)
