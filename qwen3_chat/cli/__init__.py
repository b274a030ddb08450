"""The command line: its entry point, and every error as one sentence with an exit status."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from qwen3_chat import __version__
from qwen3_chat.cli.standard_streams import discard_output, repair_streams

CANCELLED_STATUS = 130


def main() -> None:
    """Run the command and exit with its status: 0 done, 1 failed, 2 wrong usage, 130 cancelled."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run with these arguments; return the exit status. Every error is one sentence on stderr."""
    if list(arguments) == ["--version"]:
        print_version()
        return 0
    repair_streams()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        from qwen3_chat.texts import t

        _print_error(t("cli.interrupted"))
        return CANCELLED_STATUS


def print_version() -> None:
    """Print the name and the version."""
    print(f"qwen3-chat {__version__}")


def _run(arguments: Sequence[str]) -> int:
    gc.disable()  # imports make no garbage; enabled again before a command runs, or when the app is ready
    # Imported here, so that `--version` answers at once.
    from qwen3_chat.cli.language import choose_language
    from qwen3_chat.errors import Cancelled, Qwen3ChatError, UsageError
    from qwen3_chat.texts import set_language, t

    try:
        set_language(choose_language(arguments))
        from qwen3_chat.cli.commands import run_command

        status = run_command(arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        _print_error(str(error))
        return 2
    except Cancelled as error:
        _print_error(str(error))
        return CANCELLED_STATUS
    except Qwen3ChatError as error:
        _print_error(str(error))
        return 1
    except BrokenPipeError:
        discard_output()
        return 1
    except OSError as error:
        if error.filename is not None:  # of another file than the output
            _print_error(_describe_unforeseen(error))
            return 1
        discard_output()
        _print_error(t("cli.no_output", reason=error.strerror or error))
        return 1
    except Exception as error:
        _print_error(_describe_unforeseen(error))
        return 1


def _describe_unforeseen(error: Exception) -> str:
    """Write the traceback of a bug to the log; return the sentence that names both."""
    from qwen3_chat.config import find_paths
    from qwen3_chat.errors import ConfigError
    from qwen3_chat.interface_log import InterfaceLog, describe_failure_in
    from qwen3_chat.texts import t

    try:
        log_path = InterfaceLog(find_paths().interface_log_file).write_failure(error)
    except ConfigError:
        log_path = None
    return describe_failure_in(t("task.command"), error, log_path)


def _print_error(sentence: str) -> None:
    from qwen3_chat.texts.terminal_safe import terminal_safe

    print(terminal_safe(sentence), file=sys.stderr)
