"""What goes along with a message: files, long pastes."""

from qwen3_chat.attachments.attachment import Attachment, fenced, joined, parted
from qwen3_chat.attachments.files import read_attachment

__all__ = ["Attachment", "fenced", "joined", "parted", "read_attachment"]
