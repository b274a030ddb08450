"""The files that tools have written in the chat: listed in a dialog, opened there or attached."""

from __future__ import annotations

from asyncio import to_thread

from qwen3_chat.chat import Role
from qwen3_chat.session import ChatSession
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.tools.built_in_tools import FILES_WRITTEN
from qwen3_chat.tools.result_notes import ResultPaths
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.writing_controller import WritingController
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets


class FileController(Controller):
    """The dialog with the files of the chat."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        paths: ResultPaths,
        writing: WritingController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._paths = paths
        self._writing = writing

    @in_worker("chat files")
    async def open_list(self) -> None:
        """List the files, and attach the chosen one to the message that is being written."""
        from qwen3_chat.documents.chat_files import list_chat_files
        from qwen3_chat.ui.screens.chat_files_screen import ChatFilesScreen

        files = []
        if (chat_id := self._session.chat_id) is not None:
            files = await to_thread(list_chat_files, self._paths.files_path(chat_id))
        if not files:
            self._screen.notify(t("ui.files.none"))
        elif (path := await show_dialog(self._screen, ChatFilesScreen(files))) is not None:
            self._writing.attach_file(path)


def names_files(stored: StoredMessage | None) -> bool:
    """Return whether a message is a result that names files."""
    return stored is not None and stored.message.role is Role.TOOL and FILES_WRITTEN in stored.message.content
