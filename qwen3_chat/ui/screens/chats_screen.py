"""The dialog with the list of stored chats."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from qwen3_chat.store import ChatStore
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.chat_list import ChatChoice, ChatList
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ChatsScreen(Dialog[ChatChoice | None]):
    """The list of stored chats; it closes with the chosen chat, or with None if the open one stays."""

    DEFAULT_CSS = """
    ChatsScreen {
        align: center middle;
        #chats-box {
            width: 90%; max-width: 100; height: 80%; min-height: 10;
            border: round $primary; border-title-color: $primary; background: $surface;
        }
        ChatList { height: 1fr; }
        KeyBar { background: $surface; }
    }
    """

    def __init__(self, store: ChatStore, open_chat: int | None = None) -> None:
        super().__init__()
        self.chats = ChatList(store)
        self._box = Vertical(id="chats-box")
        self._open_chat = open_chat
        self.deleted: list[int] = []
        """The ids of the chats that were deleted here, the latest last."""

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with self._box:
            yield self.chats
            yield KeyBar()

    def on_mount(self) -> None:
        """List all chats."""
        self.chats.open_chat = self._open_chat
        self.watch(self.chats, "renaming", self._show_title)
        self.chats.begin()

    def _show_title(self) -> None:
        """Let the frame say what the list says of itself: the keys stand in it, too."""
        self._box.border_title = self.chats.border_title

    def action_close(self) -> None:
        """Return to the chat."""
        self.dismiss(None)

    @on(ChatList.Chosen)
    def chosen(self, message: ChatList.Chosen) -> None:
        """Close with the chosen chat."""
        self.dismiss(message.choice)

    @on(ChatList.Deleted)
    def chat_deleted(self, message: ChatList.Deleted) -> None:
        """Record a deleted chat."""
        self.deleted.append(message.chat_id)

    @on(ChatList.Closed)
    def closed(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
