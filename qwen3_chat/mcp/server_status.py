"""The knowledge about an MCP server, and how far the user trusts servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.forms import FormPrompt
from qwen3_chat.mcp.server_messages import ServerTool, TextsListed
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.tools.consent import ConsentPrompt
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool import Tool


class McpState(StrEnum):
    """The state of a server, as far as this program knows it."""

    NOT_STARTED = "not_started"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    REFUSED = "refused"
    DISABLED = "disabled"
    UNUSABLE = "unusable"
    """It can't be started as its file describes it."""

    @property
    def can_start(self) -> bool:
        """True if it makes sense to connect to the server, maybe again."""
        return self not in (McpState.DISABLED, McpState.UNUSABLE)


@dataclass(slots=True)
class McpStatus:
    """The knowledge about a server; `definitions` are all of its tools, `tools` those that are offered."""

    state: McpState = McpState.NOT_STARTED
    definitions: tuple[ServerTool, ...] = ()
    tools: tuple[Tool, ...] = ()
    title: str = ""
    protocol: str = ""
    error: Qwen3ChatError | None = None
    has_changed: bool = False
    n_failures: int = 0
    failed_s: float = 0.0
    launched: str = ""
    """The launch that the user allowed until the app ends."""
    texts: TextsListed | None = None
    """The prompts and the resources, once they are listed."""
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class McpTrust:
    """The user's trust: what was allowed for good, what the command line allows, how to ask.

    `allowed_names` are those of `--allow`; without `ask`, nobody can be asked. `fill` has the user fill the
    form of a server; without it, forms are declined.
    """

    permissions: PermissionFile
    pins: PinFile
    ask: ConsentPrompt | None = None
    allowed_names: frozenset[str] = frozenset()
    allows_all: bool = False
    fill: FormPrompt | None = None
