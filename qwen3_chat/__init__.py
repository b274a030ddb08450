"""Qwen3 on the user's own machine, in the terminal."""

__version__ = "0.1.0"
