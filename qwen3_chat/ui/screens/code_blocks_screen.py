"""The dialog with the code blocks of one message: copy one, save it, open it in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.code_extraction import CodeBlock
from qwen3_chat.ui.code_files import opens_in_browser, save_code
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.themes import DIM
from qwen3_chat.ui.widgets.key_bar import KeyBar

FIRST_LINE_CHARS = 60


class CodeBlocksScreen(Dialog[None]):
    """The numbered list of the blocks; a digit copies its block at once."""

    BINDINGS = [
        key_binding("copy_code", "enter", "copy", priority=True),
        key_binding("save_code", "s", "save"),
        key_binding("open_code", "o", "open"),
        key_binding("close", "escape", "close"),
        *(Binding(str(number), f"copy({number})", show=False) for number in range(1, 10)),
    ]
    DEFAULT_CSS = """
    CodeBlocksScreen {
        align: center middle;
        #code-box {
            width: 90%;
            max-width: 80;
            height: auto;
            max-height: 90%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        OptionList, OptionList:focus {
            border: none; height: auto; max-height: 100%; background: $surface; padding: 1 1;
        }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(self, blocks: Sequence[CodeBlock], folder: Path) -> None:
        super().__init__()
        self._blocks = tuple(blocks)
        self._folder = folder
        self.options = SteadyOptionList(
            *(self._option(number, block) for number, block in enumerate(blocks, 1))
        )

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with Vertical(id="code-box") as box:
            box.border_title = t("ui.code.title")
            yield self.options
            yield KeyBar()

    def on_mount(self) -> None:
        """Highlight the first block."""
        self.options.focus()
        self.options.highlighted = 0

    @property
    def _block(self) -> CodeBlock:
        return self._blocks[self.options.highlighted or 0]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        return opens_in_browser(self._block) if action == "open" else True

    @on(OptionList.OptionHighlighted)
    def moved(self) -> None:
        """Update the keys for the highlighted block."""
        self.refresh_bindings()

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

    def action_save(self) -> None:
        """Save the highlighted block to a new file."""
        with notify_errors(self, "task.save_code"):
            path = save_code(self._block, self._folder)
            self.notify(str(path), title=t("ui.notice.saved"), timeout=10)

    def action_open(self) -> None:
        """Save the highlighted block to a new file and open that in the browser."""
        with notify_errors(self, "task.save_code"):
            path = save_code(self._block, self._folder)
            self.app.open_url(path.absolute().as_uri())
            self.notify(str(path), title=t("ui.notice.saved"), timeout=10)

    def action_close(self) -> None:
        """Return to the chat."""
        self.dismiss(None)

    def _option(self, number: int, block: CodeBlock) -> Option:
        rows = block.text.split("\n")
        first = next((row for row in rows if row.strip()), "")
        language = terminal_safe(block.language) or t("ui.code.plain")
        return Option(
            Content.assemble(
                (f"{number} ", "bold $primary"),
                t("ui.code.detail", language=language, count=len(rows)),
                "\n  ",
                (terminal_safe(first.strip())[:FIRST_LINE_CHARS], DIM),
            )
        )
