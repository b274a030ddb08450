"""The command line: builds every object once, then runs the app or one command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from qwen3_chat import __version__

CANCELLED_STATUS = 130


def main() -> None:
    """Run the command and leave with its status: 0 done, 1 failed, 2 wrong usage, 130 cancelled."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run with these arguments; whatever goes wrong is one sentence on stderr."""
    if list(arguments) == ["--version"]:
        print(f"qwen3-chat {__version__}")
        return 0
    # Imported here, so that `--version` answers at once.
    from qwen3_chat.cli.language import choose_language
    from qwen3_chat.errors import Qwen3ChatError, UsageError
    from qwen3_chat.plain import plain
    from qwen3_chat.texts import speak, t

    try:
        speak(choose_language(arguments))
        from qwen3_chat.cli.commands import run_command

        return run_command(arguments)
    except UsageError as error:
        print(plain(str(error)), file=sys.stderr)
        return 2
    except Qwen3ChatError as error:
        print(plain(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(t("cli.cancelled"), file=sys.stderr)
        return CANCELLED_STATUS
    except BrokenPipeError:
        sys.stderr.close()
        return 1
