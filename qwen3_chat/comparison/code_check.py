"""The check of an answer by Python code, which runs in the jail and nowhere else."""

from __future__ import annotations

import tempfile
from typing import Final

from qwen3_chat.comparison.answer_checks import MAX_CHECKED_CHARS, CheckOutcome
from qwen3_chat.jail.jail_settings import JailSettings, jail_problem
from qwen3_chat.jail.jailed_python import CodeRun, JailedPython, JailStartError, RunEnd
from qwen3_chat.transcript.code_extraction import find_code_blocks

MAX_CHECK_S: Final = 10.0
_PYTHON_NAMES: Final = ("python", "python3", "py", "")
_LAST_CHARS: Final = 300


def can_check_code() -> bool:
    """Return whether this machine can confine code."""
    return jail_problem() is None


async def check_by_code(source: str, answer: str) -> CheckOutcome:
    """Run code with `answer`, and its first block of Python as `code`; it passes if it ends well.

    Without a jail the check is not made.
    """
    if not can_check_code():
        return CheckOutcome("python", None, "this machine has no jail for code")
    answer = answer[:MAX_CHECKED_CHARS]
    names = f"answer = {answer!r}\ncode = {_first_code(answer)!r}\n"
    with tempfile.TemporaryDirectory(prefix="qwen3-chat-") as folder:
        jail = JailedPython(JailSettings(folder, run_s=MAX_CHECK_S))
        try:
            run = await jail.run(names)
            if not run.error:
                run = await jail.run(source)
        except JailStartError:
            return CheckOutcome("python", None, "the jail did not start")
        finally:
            await jail.close()
    return _outcome(run)


def _first_code(answer: str) -> str:
    blocks = [block for block in find_code_blocks(answer) if block.language in _PYTHON_NAMES]
    return f"{blocks[0].text}\n" if blocks else ""


def _outcome(run: CodeRun) -> CheckOutcome:
    match run.end:
        case RunEnd.DONE if not run.error:
            return CheckOutcome("python", True)
        case RunEnd.DONE:
            return CheckOutcome("python", False, run.error.strip()[-_LAST_CHARS:])
        case RunEnd.ENDED if run.status == 0:
            return CheckOutcome("python", True)
        case RunEnd.TIME:
            return CheckOutcome("python", False, f"it took longer than {MAX_CHECK_S:.0f} s")
        case _:
            return CheckOutcome("python", False, f"it ended by {run.end.value}")
