"""The screens: the chat and the dialogs over it."""
