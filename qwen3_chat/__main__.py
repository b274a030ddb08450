"""Run the command line with `python -m qwen3_chat`."""

from qwen3_chat.cli import main

if __name__ == "__main__":
    main()
