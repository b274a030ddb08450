"""Chats as trees of messages in SQLite."""

from qwen3_chat.store.chat_store import ChatStore
from qwen3_chat.store.records import Chat, ChatSummary, MessageMeta, SearchHit, SearchOrder, StoredMessage

__all__ = ["Chat", "ChatStore", "ChatSummary", "MessageMeta", "SearchHit", "SearchOrder", "StoredMessage"]
