"""Chats as files for other programs, and files as attachments of a message."""
