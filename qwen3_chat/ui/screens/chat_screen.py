"""The chat screen: its layout, and the groups of actions that it is made of."""

from __future__ import annotations

from textual.app import ComposeResult

from qwen3_chat.texts import t
from qwen3_chat.ui.actions.chat_actions import ChatActions
from qwen3_chat.ui.actions.chat_titling import ChatTitling
from qwen3_chat.ui.actions.draft_autosave import DraftAutosave
from qwen3_chat.ui.actions.external_editor import EditorActions
from qwen3_chat.ui.actions.input_actions import InputActions
from qwen3_chat.ui.actions.message_actions import MessageActions
from qwen3_chat.ui.actions.model_actions import ModelActions
from qwen3_chat.ui.actions.option_actions import OptionActions
from qwen3_chat.ui.actions.turn_actions import ContextActions
from qwen3_chat.ui.key_bindings import CHAT_KEYS, MESSAGE_KEYS
from qwen3_chat.ui.widgets.activity_line import ActivityLine
from qwen3_chat.ui.widgets.attachment_bar import AttachmentBar
from qwen3_chat.ui.widgets.banner import Banner
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.chat_list import Sidebar
from qwen3_chat.ui.widgets.completion_list import CompletionList
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript
from qwen3_chat.ui.widgets.status_bar import StatusBar
from qwen3_chat.ui.widgets.title_bar import TitleBar


class ChatScreen(
    DraftAutosave,
    EditorActions,
    InputActions,
    ModelActions,
    ChatTitling,
    ContextActions,
    MessageActions,
    OptionActions,
    ChatActions,
):
    """The transcript, the input and the state of one chat; each base class adds a group of actions."""

    BINDINGS = [*MESSAGE_KEYS, *CHAT_KEYS]
    DEFAULT_CSS = """
    ChatScreen {
        layers: base above;
        &.-sidebar #sidebar { display: block; }
        &.-narrow #sidebar { layer: above; width: 90%; max-width: 44; border-right: tall $primary; }
    }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]

    def compose(self) -> ComposeResult:
        """Lay out the sidebar, then the widgets of the chat from top to bottom."""
        yield Sidebar(self.store, id="sidebar")
        yield TitleBar()
        yield Banner()
        yield MarkedTranscript(copy_label=t("ui.copy"))
        yield ActivityLine()
        yield AttachmentBar()
        yield (completions := CompletionList())
        yield ChatInput(completions)
        yield StatusBar()
        yield KeyBar()
