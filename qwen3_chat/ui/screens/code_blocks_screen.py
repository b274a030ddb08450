"""The dialog with the code blocks of one message: copy one, save it, open it in the browser."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Sequence
from pathlib import Path

from textual import on, work
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_line_count
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.code_extraction import CodeBlock
from qwen3_chat.ui.browser import download_text
from qwen3_chat.ui.code_files import code_file_name, opens_in_browser, save_code
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.file_name_screen import FileNameScreen
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.themes import DIM

FIRST_LINE_CHARS = 60


class CodeBlocksScreen(ListDialog[None]):
    """The numbered list of the blocks; a digit copies its block at once."""

    BINDINGS = [
        key_binding("copy_code", "enter", "copy", priority=True),
        key_binding("save_code", "s", "save"),
        key_binding("open_code", "o", "open"),
        key_binding("close", "escape", "close"),
        *(Binding(str(number), f"copy({number})", show=False) for number in range(1, 10)),
    ]
    TITLE_KEY = "ui.code.title"

    def __init__(self, blocks: Sequence[CodeBlock], folder: Path) -> None:
        super().__init__(*(self._option(number, block) for number, block in enumerate(blocks, 1)))
        self._blocks = tuple(blocks)
        self._folder = folder

    @property
    def _block(self) -> CodeBlock:
        return self._blocks[self.options.highlighted or 0]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; in a browser, saving is the way to open a block."""
        return opens_in_browser(self._block) and not self.app.is_web if action == "open" else True

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Copy the clicked block."""
        self.action_copy(message.option_index + 1)

    def action_copy(self, number: int = 0) -> None:
        """Copy a block byte for byte and return to the chat; 0 is the highlighted block."""
        if number <= len(self._blocks) and self.is_current:
            block = self._blocks[number - 1] if number else self._block
            self.app.copy_to_clipboard(block.text)
            self.dismiss(None)

    @work(exclusive=True, group="save", exit_on_error=False)
    async def action_save(self) -> None:
        """Save the highlighted block to a new file; its name is asked for, the current folder comes first."""
        block = self._block
        if self.app.is_web:
            self._download(block)
            return
        screen = FileNameScreen(code_file_name(block), await to_thread(Path.cwd))
        if (target := await self.app.push_screen_wait(screen)) is None:
            return
        with notify_errors(self, "task.save_code"):
            path = await to_thread(save_code, block, target)
            self.notify(str(path), title=t("ui.notice.saved"), timeout=10)

    def action_open(self) -> None:
        """Save the highlighted block to a new file and open that in the browser."""
        with notify_errors(self, "task.save_code"):
            self._folder.mkdir(parents=True, exist_ok=True)
            path = save_code(self._block, self._folder)
            self.app.open_url(path.absolute().as_uri())
            self.notify(str(path), title=t("ui.notice.saved"), timeout=10)

    def _download(self, block: CodeBlock) -> None:
        with notify_errors(self, "task.save_code"):
            download_text(self.app, block.text + "\n", code_file_name(block))

    def _option(self, number: int, block: CodeBlock) -> Option:
        rows = block.text.split("\n")
        first = next((row for row in rows if row.strip()), "")
        language = terminal_safe(block.language) or t("ui.code.plain")
        return Option(
            Content.assemble(
                (f"{number} ", "bold"),
                t("ui.code.detail", language=language, lines=format_line_count(len(rows))),
                "\n  ",
                (terminal_safe(first.strip())[:FIRST_LINE_CHARS], DIM),
            )
        )
