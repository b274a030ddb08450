"""The transcript of a chat as rows of styled text, without a terminal: layout is pure, colours come later."""

from qwen3_chat.transcript.message_entry import MessageEntry, ThinkingDisplay

__all__ = ["MessageEntry", "ThinkingDisplay"]
