"""The sidebar: the list of chats beside the open one; the chat screen decides when it is shown."""

from __future__ import annotations

from qwen3_chat.ui.widgets.chat_list import ChatList


class Sidebar(ChatList):
    """The list of chats at the left edge of the chat screen; hidden until it is opened."""

    DEFAULT_CSS = """
    Sidebar {
        display: none; dock: left; width: 34; height: 100%;
        border-right: tall $panel; background: $surface; padding-top: 1;
    }
    """
