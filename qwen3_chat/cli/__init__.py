"""The command line: builds every object once, then runs the app or one command."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

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
    _mend_streams()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        from qwen3_chat.texts import t

        _tell(t("cli.interrupted"))
        return CANCELLED_STATUS


def _run(arguments: Sequence[str]) -> int:
    gc.disable()  # what is imported is no garbage; on again before a command runs, or when the app is ready
    # Imported here, so that `--version` answers at once.
    from qwen3_chat.cli.language import choose_language
    from qwen3_chat.errors import Cancelled, Qwen3ChatError, UsageError
    from qwen3_chat.texts import speak, t

    try:
        speak(choose_language(arguments))
        from qwen3_chat.cli.commands import run_command

        status = run_command(arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        _tell(str(error))
        return 2
    except Cancelled as error:
        _tell(str(error))
        return CANCELLED_STATUS
    except Qwen3ChatError as error:
        _tell(str(error))
        return 1
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        _tell(t("cli.no_output", reason=error.strerror or error))
        return 1


def _tell(sentence: str) -> None:
    from qwen3_chat.plain import plain

    print(plain(sentence), file=sys.stderr)


def _mend_streams() -> None:
    """Let nothing that is printed fail for its characters, or for a stream that was closed."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    """Keep Python from writing again, at its end, what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
