"""The tool `python`: code of the model, run in the jail, with variables that live as long as the app does."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from qwen3_chat.jail.jail_settings import JailProblem, JailSettings, jail_problem
from qwen3_chat.jail.jailed_python import CodeRun, JailedPython, JailStartError, RunEnd
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.built_in_tools import FILES_WRITTEN
from qwen3_chat.tools.tool import Arguments, Caution, Tool, ToolError
from qwen3_chat.tools.tool_settings import ToolSettings

MAX_INTERPRETERS: Final = 3
"""The most chats whose variables live at the same time."""

MAX_NAMED_FILES: Final = 20
"""The most files that a result names."""

_PACKAGES: Final = ("numpy", "pandas", "matplotlib", "scipy", "sympy", "sklearn", "PIL", "openpyxl")
"""The packages that models like to use; those that are there are named in the description."""

_DESCRIPTION: Final = (
    "Run Python code; the result is what it prints, and the value of its last expression. Variables stay "
    "from call to call, files stay in the current folder. {confinement}A call may take {seconds:.0f} s and "
    "{memory:.0f} GB. Installed: {packages}."
)
_CONFINEMENT: Final = "There is no network, no other file, no other program. "
_CODE_DESCRIPTION: Final = (
    'The source code; or leave it "" and write the code after the JSON, between <code> and </code>'
)
_SCHEMA: Final = {
    "type": "object",
    "properties": {"code": {"type": "string", "maxLength": 100_000, "description": _CODE_DESCRIPTION}},
    "required": ["code"],
    "additionalProperties": False,
}
_LIMITS: Final = JailSettings("")
_LOST: Final = "All variables are lost; files that were written before are still there."


class PythonTool:
    """The tool in all chats: each has its interpreter and its folder."""

    def __init__(self, settings: ToolSettings, limits: JailSettings = _LIMITS) -> None:
        self._settings = settings
        self._limits = replace(limits, is_confined=not settings.runs_unprotected)
        self._caution = None if self._limits.is_confined else Caution.ALL_RIGHTS
        self._tools = dict[int | None, Tool]()
        self._interpreters = OrderedDict[int, JailedPython]()
        self._description = _DESCRIPTION.format(
            confinement=_CONFINEMENT if self._limits.is_confined else "",  # what was allowed is another tool
            seconds=self._limits.run_s,
            memory=self._limits.memory_bytes / 2**30,
            packages=", ".join(_installed_packages()) or "the standard library only",
        )

    def for_chat(self, chat_id: int | None) -> Tool:
        """Return the tool for a chat; None for one that has not begun."""
        if chat_id not in self._tools:

            async def run(arguments: Arguments) -> str:
                return await self._run(chat_id, str(arguments["code"]))

            self._tools[chat_id] = Tool("python", self._description, _SCHEMA, run, caution=self._caution)
        return self._tools[chat_id]

    async def close(self) -> None:
        """End all interpreters."""
        while self._interpreters:
            _, interpreter = self._interpreters.popitem()
            await interpreter.close()

    async def _run(self, chat_id: int | None, code: str) -> str:
        make_folder = self._settings.chat_folder
        if chat_id is None or make_folder is None:
            raise ToolError("There is no folder for the files of this chat, so no code can run.")
        try:
            folder = await asyncio.to_thread(make_folder, chat_id)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ToolError(f"The folder for the files of this chat can't be made: {reason}.") from error
        interpreter = await self._interpreter(chat_id, folder)
        had_files = await asyncio.to_thread(_has_files, folder)
        try:
            run = await interpreter.run(code)
        except JailStartError as error:
            reason = (
                "the system does not confine it" if error.is_refused else "its interpreter does not start"
            )
            raise ToolError(f"No code can run: {reason}.") from error
        text = describe_code_run(run, self._limits, was_used_before=had_files and run.is_first)
        if run.error or run.end is not RunEnd.DONE:
            raise ToolError(text)
        return text

    async def _interpreter(self, chat_id: int, folder: Path) -> JailedPython:
        if chat_id not in self._interpreters:
            if len(self._interpreters) >= MAX_INTERPRETERS:
                _, oldest = self._interpreters.popitem(last=False)
                await oldest.close()
            self._interpreters[chat_id] = JailedPython(replace(self._limits, folder=str(folder)))
        self._interpreters.move_to_end(chat_id)
        return self._interpreters[chat_id]


def python_problem(settings: ToolSettings) -> JailProblem | None:
    """Return why the tool is off; None where code can be confined, or the user runs it unprotected."""
    return None if settings.runs_unprotected else jail_problem()


def describe_code_run(run: CodeRun, limits: JailSettings, *, was_used_before: bool = False) -> str:
    """Return what came of a run, in English, for the model."""
    parts = []
    if was_used_before:
        parts.append("[A new interpreter: variables of earlier calls are gone, files are still there.]")
    parts += [run.output.rstrip("\n"), run.value, run.error]
    if run.n_dropped:
        parts.append(f"[{run.n_dropped:,} more characters were printed.]")
    parts.append(_ending(run, limits))
    if run.files:
        named = ", ".join(run.files[:MAX_NAMED_FILES])
        more = len(run.files) - MAX_NAMED_FILES
        parts.append(f"{FILES_WRITTEN}{named}{f' and {more} more' if more > 0 else ''}]")
    return "\n".join(part for part in parts if part) or "The code ran; it printed nothing."


def _ending(run: CodeRun, limits: JailSettings) -> str:
    match run.end:
        case RunEnd.DONE:
            return ""
        case RunEnd.TIME:
            return f"The code was stopped because it took more than {limits.run_s:.0f} s. {_LOST}"
        case RunEnd.OUTPUT:
            return f"The code was stopped because it wrote too much, or to where it must not. {_LOST}"
        case RunEnd.FOLDER:
            return (
                f"The code was stopped because its folder holds more than {limits.folder_files:,} files or "
                f"{limits.folder_bytes >> 20} MB. {_LOST}"
            )
        case RunEnd.ENDED:
            how = f"signal {-run.status}" if run.status and run.status < 0 else f"status {run.status}"
            return f"The interpreter ended ({how}): a crash, too much memory or time, or an exit. {_LOST}"


def _installed_packages() -> list[str]:
    return [name for name in _PACKAGES if _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _has_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
