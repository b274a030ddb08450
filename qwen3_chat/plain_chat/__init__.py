"""A chat as plain lines, for screen readers and simple terminals."""
