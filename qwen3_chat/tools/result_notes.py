"""The note below a result of a tool: where the whole of it is, and the files that came with it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from qwen3_chat.store.records import StoredMessage, WholeResult
from qwen3_chat.store.result_files import whole_result_note
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.tools.built_in_tools import FILES_WRITTEN, PYTHON
from qwen3_chat.tools.tool_source import SOURCE_PREFIX


class ResultPaths(Protocol):
    """The files that tools have left on the disk; a `ChatStore` knows them."""

    def result_path(self, result: WholeResult) -> Path | None:
        """Return the file of a whole result; None for one that was not saved."""
        ...

    def files_path(self, chat_id: int) -> Path:
        """Return the folder of the files that tools write in a chat."""
        ...


class NoPaths:
    """The paths while no store is open: there are none."""

    def result_path(self, result: WholeResult) -> Path | None:
        """Return None."""
        return None

    def files_path(self, chat_id: int) -> Path:
        """Return a folder that does not exist."""
        return Path("files", str(chat_id))


def result_note(stored: StoredMessage, paths: ResultPaths) -> str:
    """Return where the whole of a result is that was cut for the model, and the files that came with it.

    Return nothing for a message that is no result, and for one of which all is shown.
    """
    call = stored.meta.call
    if call is None:
        return ""
    notes = [whole_result_note(call.whole, paths.result_path)]
    if (
        call.name == PYTHON or call.name.startswith(SOURCE_PREFIX)
    ) and FILES_WRITTEN in stored.message.content:
        notes.append(t("wording.tool_files", path=paths.files_path(stored.chat_id)))
    return SEPARATOR.join(filter(None, notes))
