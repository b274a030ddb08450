"""A chat as plain lines, one after the other: for screen readers, for terminals that can do no more."""
