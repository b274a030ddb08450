"""Chats as files, and files as attachments."""

from qwen3_chat.documents.attachments import Attachment, fence_attachment, join_attachments, split_attachments
from qwen3_chat.documents.file_text import read_attachment

__all__ = ["Attachment", "fence_attachment", "join_attachments", "read_attachment", "split_attachments"]
