"""Talk to Qwen3 on your own machine, in your terminal."""

__version__ = "0.1.0"
