"""The dialog with the MCP servers: their state, errors and tools; start again, add, remove, read the log."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.mcp.forms import FieldKind, FormField
from qwen3_chat.mcp.server_administration import ListedServer, ServerAdministration
from qwen3_chat.mcp.server_status import McpState
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, join_names
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe
from qwen3_chat.tools.permissions import Permission
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.screens.form_screen import FormLine
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.screens.tools_screen import permission_sentence
from qwen3_chat.ui.textual_compat.list_lines import HangingLines
from qwen3_chat.ui.themes import DIM
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.text_rows import TextRows

MAX_LAUNCH_CHARS = 160
MAX_ERROR_CHARS = 400
MAX_NAMED_TOOLS = 8
MAX_NAMED_PERMISSIONS = 4

SIGNS = {McpState.READY: "●", McpState.STARTING: "◐", McpState.NOT_STARTED: "○"}
"""The sign before a server's name by its state, which is said in words as well."""


class ServerWish(StrEnum):
    """A wish of the user that needs the list closed."""

    CONNECT = "connect"
    ADD = "add"
    READ_LOG = "read_log"
    TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """A wish, with the name of the server that it is about."""

    wish: ServerWish
    server: str = ""


class McpServersScreen(ListDialog[ServerChoice]):
    """The list of servers; its result is what needs the screen for something else, such as a question."""

    BINDINGS = [
        key_binding("connect_server", "enter,c", "connect", priority=True),
        key_binding("restart_server", "enter,c", "restart", priority=True),
        key_binding("add_server", "a", "add"),
        key_binding("server_log", "l", "read_log"),
        key_binding("revoke_server", "r", "revoke"),
        key_binding("remove_server", "d,delete", "remove"),
        key_binding("server_tools", "t", "tools"),
        key_binding("close", "escape", "close"),
    ]
    TITLE_KEY = "ui.mcp.title"

    def __init__(
        self, servers: Sequence[ListedServer], administration: ServerAdministration, highlighted: str = ""
    ) -> None:
        self._servers, self._administration = tuple(servers), administration
        self._removing = ""
        """The server that the same key removes when it is pressed again."""
        index = next((n for n, server in enumerate(servers) if server.name == highlighted), 0)
        super().__init__(*self._options(), highlighted=index)

    def on_mount(self) -> None:
        """Show the hint for the highlighted server."""
        self._show_note()

    @property
    def _server(self) -> ListedServer | None:
        index = self.options.highlighted or 0
        return self._servers[index] if index < len(self._servers) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible for the highlighted server."""
        server = self._server
        match action:
            case "connect":
                return server is not None and server.state.can_start and server.state is not McpState.READY
            case "restart":
                return server is not None and server.state is McpState.READY
            case "read_log":
                return server is not None and server.has_log
            case "revoke":
                return server is not None and bool(server.permissions)
            case "remove":
                return server is not None and server.is_ours
            case _:
                return True

    @on(OptionList.OptionHighlighted)
    def row_changed(self) -> None:
        """Forget a removal that was begun for another server."""
        if self._removing and (self._server is None or self._server.name != self._removing):
            self._removing = ""
        self._show_note()

    def action_connect(self) -> None:
        """Start the highlighted server."""
        self._choose(ServerWish.CONNECT)

    def action_restart(self) -> None:
        """End the highlighted server and start it again."""
        self._choose(ServerWish.CONNECT)

    def action_add(self) -> None:
        """Describe another server."""
        self._choose(ServerWish.ADD)

    def action_read_log(self) -> None:
        """Read what the highlighted server has written to its log."""
        self._choose(ServerWish.READ_LOG)

    def action_tools(self) -> None:
        """Choose the tools of the chat."""
        self._choose(ServerWish.TOOLS)

    def _choose(self, wish: ServerWish) -> None:
        if self.is_current:
            self.dismiss(ServerChoice(wish, self._server.name if self._server else ""))

    def action_remove(self) -> None:
        """Remove the highlighted server, once the key was pressed twice."""
        if (server := self._server) is None:
            return
        if self._removing != server.name:
            self._removing = server.name
            self._show_note()
            return
        self._removing = ""
        self._remove(server.name)

    @work(exclusive=True)
    async def _remove(self, name: str) -> None:
        try:
            await self._administration.disconnect(name)
            await to_thread(self._administration.remove, name)
        except Qwen3ChatError as error:
            self.notify(str(error), severity="error")
        else:
            self.notify(t("cli.mcp.removed", name=name))
        await self._reread()

    @work(exclusive=True)
    async def action_revoke(self) -> None:
        """Revoke what was allowed for good to the highlighted server and its tools."""
        if (server := self._server) is None:
            return
        try:
            count = await to_thread(self._administration.revoke, server.name)
        except Qwen3ChatError as error:
            self.notify(str(error), severity="error")
        else:
            self.notify(t("cli.permissions_revoked", count=count))
        await self._reread()

    async def _reread(self) -> None:
        try:
            self._servers = await to_thread(self._administration.read)
        except Qwen3ChatError as error:
            self.notify(str(error), severity="error")
            return
        highlighted = self.options.highlighted
        self.options.set_options(self._options())
        self.options.highlighted = min(highlighted or 0, self.options.option_count - 1)
        self._show_note()

    def _show_note(self) -> None:
        server = self._server
        if self._removing:
            note = t("ui.mcp.remove_again", name=self._removing)
        elif server is None:
            note = ""
        elif not server.is_ours:
            note = t("ui.mcp.not_ours")
        else:
            note = t(f"ui.mcp.note.{server.state}")
        self.box.border_subtitle = Content(note)
        self.refresh_bindings()

    def _options(self) -> list[Option]:
        if not self._servers:
            return [Option(Content(t("ui.mcp.none")), disabled=True)]
        return [Option(_row(server)) for server in self._servers]


def _row(server: ListedServer) -> HangingLines:
    """Return a server as lines: name and state, what runs, its error, its tools, what was allowed."""
    state = t(f"ui.mcp.state.{server.state}")
    speaks = t("ui.mcp.speaks", title=label_of_name(server.title) or "–", protocol=server.protocol)
    about = SEPARATOR.join([state, *([speaks] if server.protocol else [])])
    title = Content.assemble(
        (label_of_name(server.name), "bold"),
        (f"{SEPARATOR}{about}", "" if server.state is McpState.READY else DIM),
    )
    texts = [_cut(server.launch, MAX_LAUNCH_CHARS)]
    if server.error:
        texts.append(_cut(terminal_safe(" ".join(server.error.split())), MAX_ERROR_CHARS))
    if server.tools:
        named = join_names(label_of_name(tool)[:60] for tool in server.tools[:MAX_NAMED_TOOLS])
        more = len(server.tools) - MAX_NAMED_TOOLS
        names = f"{named}, +{more}" if more > 0 else named
        texts.append(t("ui.mcp.tools", count=len(server.tools), tokens=server.schema_tokens, names=names))
    texts += [_allowed(permission) for permission in server.permissions[:MAX_NAMED_PERMISSIONS]]
    if (more := len(server.permissions) - MAX_NAMED_PERMISSIONS) > 0:
        texts.append(t("ui.mcp.more_allowed", count=more))
    sign = f"{SIGNS.get(server.state, '✗')} "
    return HangingLines([(sign, title), *(("  ", Content.styled(text, DIM)) for text in texts if text)])


def _allowed(permission: Permission) -> str:
    """Return what was allowed for good, with the tool that it is about."""
    tool = label_of_name(permission.tool.partition(".")[2])
    return f"{tool}: {permission_sentence(permission)}" if tool else permission_sentence(permission)


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[:max_chars]} …"


class AddServerScreen(Dialog[str]):
    """The description of another server, which is only written down; its result is the server's name."""

    BINDINGS = [
        key_binding("save_server", "ctrl+s", "save", priority=True),
        key_binding("close", "escape", "close", priority=True),
    ]
    CLOSES_BY_CLICK = False
    DEFAULT_CSS = """
    AddServerScreen {
        align: center middle;
        #add-box {
            width: 94%; max-width: 84; height: auto; max-height: 100%;
            border: round $primary; border-title-color: $primary; background: $surface;
        }
        VerticalScroll { height: auto; max-height: 100%; padding: 0 1; }
        FormLine { height: auto; margin-bottom: 1; }
        Static { height: auto; }
        Input, Input:focus { height: 1; border: none; padding: 0 1; background: $boost; }
        Input.-wrong { background: $error 30%; }
        .expected { display: none; }
        #add-problem { color: $text-error; }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(self, administration: ServerAdministration) -> None:
        super().__init__()
        self._administration = administration
        self.form_lines = [
            FormLine(FormField(name, t(f"ui.mcp.add.{name}"), FieldKind.TEXT, t(f"ui.mcp.add.{name}.about")))
            for name in ("name", "command", "variables")
        ]
        self._problem = Static(markup=False, id="add-problem")

    def compose(self) -> ComposeResult:
        """Lay out the fields, what is wrong with them, and the keys."""
        with Vertical(id="add-box") as box:
            box.border_title = Content(t("ui.mcp.add.title"))
            with VerticalScroll(can_focus=False):
                yield from self.form_lines
                yield self._problem
            yield KeyBar()

    def on_mount(self) -> None:
        """Focus the first field."""
        self._problem.display = False
        self.form_lines[0].input.focus()

    @on(Input.Submitted)
    def entered(self, message: Input.Submitted) -> None:
        """Go to the next field; from the last one, write the server down, which starts nothing."""
        if message.input is self.form_lines[-1].input:
            self.action_save()
        else:
            self.focus_next()

    @work(exclusive=True)
    async def action_save(self) -> None:
        """Write the server down, or show what is wrong."""
        name, command, variables = (line.input.value.strip() for line in self.form_lines)
        try:
            await to_thread(self._administration.add, name, command, variables)
        except Qwen3ChatError as error:
            self._problem.update(str(error))
            self._problem.display = True
            return
        self.dismiss(name)

    def action_close(self) -> None:
        """Add nothing."""
        self.dismiss(None)


class ServerLogScreen(Dialog[None]):
    """The end of the log of a server, with the file that it is in."""

    BINDINGS = [
        key_binding("copy_path", "c", "copy"),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    ServerLogScreen {
        align: center middle;
        #log-box {
            width: 94%; max-width: 120; height: 90%;
            border: round $primary; border-title-color: $primary; background: $surface;
        }
        Static { height: auto; padding: 0 1; color: $foreground 68%; }
        TextRows { height: 1fr; padding: 0 1; }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__()
        self._server, self._path = name, path
        self._text = terminal_safe(text).rstrip() or t("ui.mcp.log.empty")
        self.text_rows = TextRows()

    def compose(self) -> ComposeResult:
        """Lay out the path, the text and the keys."""
        with Vertical(id="log-box") as box:
            box.border_title = Content(t("ui.mcp.log.title", name=self._server))
            yield Static(terminal_safe(self._path), markup=False)
            yield self.text_rows
            yield KeyBar()

    def on_mount(self) -> None:
        """Show the end of the text."""
        self.text_rows.show(self._text)
        self.text_rows.focus()
        self.call_after_refresh(self.text_rows.scroll_end, animate=False)

    def action_copy(self) -> None:
        """Copy the path of the log."""
        self.app.copy_to_clipboard(self._path)

    def action_close(self) -> None:
        """Return to the list of servers."""
        self.dismiss(None)
