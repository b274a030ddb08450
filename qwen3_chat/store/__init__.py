"""Chats as message trees in SQLite."""

from qwen3_chat.store.records import Chat, ChatSummary, MessageMeta, SearchHit, SearchOrder, StoredMessage
from qwen3_chat.store.store import Store

__all__ = ["Chat", "ChatSummary", "MessageMeta", "SearchHit", "SearchOrder", "Store", "StoredMessage"]
