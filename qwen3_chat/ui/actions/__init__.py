"""What the chat screen can do, in groups; each is a part of the screen."""
