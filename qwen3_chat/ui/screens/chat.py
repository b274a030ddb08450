"""The screen of a conversation, with everything it can do."""

from __future__ import annotations

from qwen3_chat.ui.actions.chats import ChatActions
from qwen3_chat.ui.actions.context import ContextActions
from qwen3_chat.ui.actions.drafts import DraftKeeping
from qwen3_chat.ui.actions.editor import EditorActions
from qwen3_chat.ui.actions.messages import MessageActions
from qwen3_chat.ui.actions.models import ModelActions
from qwen3_chat.ui.actions.naming import ChatNaming
from qwen3_chat.ui.actions.options import OptionActions
from qwen3_chat.ui.actions.writing import WritingActions
from qwen3_chat.ui.keys import CHAT_KEYS, MESSAGE_KEYS


class ChatScreen(
    DraftKeeping,
    EditorActions,
    WritingActions,
    ModelActions,
    ChatNaming,
    ContextActions,
    MessageActions,
    OptionActions,
    ChatActions,
):
    """Transcript, input and state of one chat; what can be done is in its bases, a group in each."""

    BINDINGS = [*MESSAGE_KEYS, *CHAT_KEYS]
