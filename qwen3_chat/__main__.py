"""The command line as `python -m qwen3_chat`.

Python runs this file by its name.
"""

from qwen3_chat.cli import main

if __name__ == "__main__":
    main()
