"""The actions of the chat screen in groups; each is a part of the screen."""
