"""The actions of the chat screen in groups, each a base class of the screen."""
