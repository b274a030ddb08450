"""What fills the terminal: the chat, the list of chats, the help."""
