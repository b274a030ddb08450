"""The dialog with all tools: which of them the chat offers to the model, what they cost, what is allowed."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Sequence

from textual import on, work
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.errors import StoreError
from qwen3_chat.mcp.mcp_tools import MAX_SENSIBLE_TOOLS
from qwen3_chat.mcp.tool_list import (
    ListedPermission,
    ListedTool,
    ToolKind,
    ToolList,
    ToolState,
    add_or_remove,
    chosen_cost,
    is_chosen,
)
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.permissions import Permission
from qwen3_chat.tools.shown_arguments import show_limit
from qwen3_chat.tools.tool_source import SOURCE_PREFIX
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.textual_compat.list_lines import HangingLines
from qwen3_chat.ui.themes import DIM

MAX_TOOL_TEXT_CHARS = 200
CHOSEN, NOT_CHOSEN, IMPOSSIBLE = "✓", "·", " "


class ToolsScreen(ListDialog[tuple[str, ...]]):
    """The list of tools; its result is the names of the chosen ones.

    `read` returns the tools, again after permissions were revoked; `off_reason` is why `python` is off here,
    `highlighted` the name of the row to begin with.
    """

    BINDINGS = [
        key_binding("choose_tool", "space,enter", "choose", priority=True),
        key_binding("revoke", "r", "revoke"),
        key_binding("servers", "m", "servers"),
        key_binding("close", "escape", "close"),
    ]
    TITLE_KEY = "ui.tools.title"

    def __init__(
        self,
        tools: ToolList,
        chosen: Sequence[str],
        revoke: Callable[[str], int],
        read: Callable[[], ToolList],
        off_reason: str = "",
        highlighted: str = "",
    ) -> None:
        self._tools, self._chosen, self._off_reason = tools, tuple(chosen), off_reason
        self._revoke, self._read = revoke, read
        self.wants_servers = False
        """True if the user left for the list of MCP servers."""
        index = next((n for n, row in enumerate(self._rows) if row.name == highlighted), 0)
        super().__init__(*self._options(), highlighted=index)

    def on_mount(self) -> None:
        """Show what is chosen."""
        super().on_mount()
        self._show_cost()

    @property
    def _row(self) -> ListedTool:
        return self._rows[self.options.highlighted or 0]

    @property
    def _rows(self) -> tuple[ListedTool, ...]:
        return tuple(self._tools.rows())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        match action:
            case "choose":
                return self._row.state.can_be_offered or is_chosen(self._chosen, self._row)
            case "revoke":
                return bool(self._row.permissions)
            case _:
                return True

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Choose the clicked tool, or no longer."""
        self.action_choose()

    def action_choose(self) -> None:
        """Choose the highlighted tool, or no longer."""
        if self.check_action("choose", ()):
            self._chosen = add_or_remove(self._chosen, self._row, self._tools)
            self._show()

    @work(exclusive=True)
    async def action_revoke(self) -> None:
        """Revoke the standing permissions of the highlighted tool; another process may hold their file."""
        try:
            count = await to_thread(self._revoke, self._row.name)
        except StoreError as error:
            self.notify(str(error), severity="error")
            return
        self.notify(t("cli.permissions_revoked", count=count))
        self._tools = await to_thread(self._read)
        self._show()

    def action_servers(self) -> None:
        """Go on to the MCP servers with what is chosen."""
        self.wants_servers = True
        self.dismiss(self._chosen)

    def action_close(self) -> None:
        """Return to the chat with what is chosen."""
        self.dismiss(self._chosen)

    def _show(self) -> None:
        highlighted = self.options.highlighted
        self.options.set_options(self._options())
        self.options.highlighted = min(highlighted or 0, self.options.option_count - 1)
        self._show_cost()
        self.refresh_bindings()

    def _show_cost(self) -> None:
        count, tokens = chosen_cost(self._chosen, self._tools)
        key = "many" if count > MAX_SENSIBLE_TOOLS else "chosen" if count else "none"
        self.box.border_subtitle = t(f"ui.tools.{key}", count=count, tokens=tokens, limit=MAX_SENSIBLE_TOOLS)

    def _options(self) -> list[Option]:
        return [self._option(row) for row in self._rows]

    def _option(self, row: ListedTool) -> Option:
        """Return a tool as two lines and one for each permission: mark and name, then what it is."""
        mark = CHOSEN if is_chosen(self._chosen, row) else NOT_CHOSEN
        if not row.state.can_be_offered and mark == NOT_CHOSEN:
            mark = IMPOSSIBLE
        indent = "  " if row.is_part else ""
        name = label_of_name(row.name.partition(".")[2] if row.is_part else row.name)
        cost = f"{SEPARATOR}{t('ui.tools.tokens', tokens=row.schema_tokens)}" if row.schema_tokens else ""
        about = SEPARATOR.join(part for part in (self._about(row), self._consent(row)) if part)
        title = Content.assemble((name, "bold" if mark == CHOSEN else ""), (cost, DIM))
        texts = (about, *map(_sentence, row.permissions))
        lines = [(f"{indent}{mark} ", title), *((f"{indent}  ", Content.styled(text, DIM)) for text in texts)]
        return Option(HangingLines(lines))

    def _about(self, row: ListedTool) -> str:
        if row.state is ToolState.OFF:
            return t("cli.tool_off", reason=self._off_reason)
        match row.kind:
            case ToolKind.BUILT_IN:
                return t(f"tool.{row.name}.about")
            case ToolKind.MCP if row.is_part:
                return _cut(label_of_name(row.about))
            case ToolKind.MCP:
                return t(f"ui.tools.server.{row.state}")
            case ToolKind.UNKNOWN:
                return t("cli.tool_missing")

    @staticmethod
    def _consent(row: ListedTool) -> str:
        if row.parts or not row.state.can_be_offered:
            return ""
        return t(f"cli.tool_consent.{'ask' if row.asks else 'allow'}")


def _sentence(entry: ListedPermission) -> str:
    note = t("cli.permission.outdated") if entry.is_outdated else ""
    return permission_sentence(entry.permission) + note


def permission_sentence(permission: Permission) -> str:
    """Return what was allowed for good; the start of a server was seen whole when it was allowed."""
    if permission.tool.startswith(SOURCE_PREFIX) and "." not in permission.tool:
        return t("ui.mcp.always_started")
    return t(f"cli.permission.{permission.scope}", limit=_cut(label_of_name(show_limit(permission.value))))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TOOL_TEXT_CHARS else f"{text[:MAX_TOOL_TEXT_CHARS]} …"
