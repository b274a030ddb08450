"""The chat screen: its layout, put together from its groups of actions."""

from __future__ import annotations

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
    """Transcript, input and state of one chat; what can be done is in its bases, a group in each."""

    BINDINGS = [*MESSAGE_KEYS, *CHAT_KEYS]
