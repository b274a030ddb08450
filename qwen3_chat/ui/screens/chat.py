"""The screen of a conversation, with everything it can do."""

from __future__ import annotations

from qwen3_chat.ui.actions.chats import ChatActions
from qwen3_chat.ui.actions.context import ContextActions
from qwen3_chat.ui.actions.drafts import DraftKeeping
from qwen3_chat.ui.actions.variants import VariantActions
from qwen3_chat.ui.keys import CHAT_KEYS


class ChatScreen(DraftKeeping, ContextActions, VariantActions, ChatActions):
    """Transcript, input and state of one chat; what can be done is in its bases, a group in each."""

    BINDINGS = [*CHAT_KEYS]
