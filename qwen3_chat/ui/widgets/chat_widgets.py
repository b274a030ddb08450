"""The widgets of the chat screen, made with the screen rather than looked up in it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from textual.widget import Widget

from qwen3_chat.record_copies import field_names
from qwen3_chat.store import ChatStore
from qwen3_chat.texts import t
from qwen3_chat.ui.widgets.activity_line import ActivityLine
from qwen3_chat.ui.widgets.attachment_bar import AttachmentBar
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.chat_list import Sidebar
from qwen3_chat.ui.widgets.completion_list import CompletionList
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript
from qwen3_chat.ui.widgets.queue_bar import QueueBar
from qwen3_chat.ui.widgets.status_bar import StatusBar
from qwen3_chat.ui.widgets.title_bar import Banner, TitleBar


class ChatWidgets(Struct, frozen=True):
    """The widgets of the chat screen: the sidebar, then those of the chat from top to bottom.

    They are there before the screen is mounted and after it is closed, so that nobody has to ask whether
    they are; one that is not shown is hidden.
    """

    sidebar: Sidebar
    title_bar: TitleBar
    banner: Banner
    transcript: MarkedTranscript
    activity_line: ActivityLine
    queue_bar: QueueBar
    attachment_bar: AttachmentBar
    completions: CompletionList
    input: ChatInput
    status_bar: StatusBar
    key_bar: KeyBar

    def __iter__(self) -> Iterator[Widget]:
        return (getattr(self, name) for name in field_names(self))


def make_chat_widgets(store: ChatStore) -> ChatWidgets:
    """Make the widgets of a chat screen, none of them mounted yet."""
    completions = CompletionList()
    return ChatWidgets(
        Sidebar(store, id="sidebar"),
        TitleBar(),
        Banner(),
        MarkedTranscript(copy_label=t("ui.copy")),
        ActivityLine(),
        QueueBar(),
        AttachmentBar(),
        completions,
        ChatInput(completions),
        StatusBar(),
        KeyBar(),
    )
