"""The controllers of the chat screen, each with the state of one concern."""
