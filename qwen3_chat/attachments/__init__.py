"""What goes along with a message: files, long pastes."""

from qwen3_chat.attachments.attachment import Attachment, fenced, joined

__all__ = ["Attachment", "fenced", "joined"]
