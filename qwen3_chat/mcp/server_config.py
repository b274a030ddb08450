"""MCP servers as the user describes them: the forms of the common files, read into one.

The forms are those of Claude Desktop, LM Studio and Cursor (`mcpServers`), of VS Code (`servers`, also within
`mcp`), and of Qwen-Agent (a list of tools with `mcpServers` among them). Everything here is pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, Qwen3ChatError, UsageError

MAX_SERVERS: Final = 64
"""The most servers of a file."""

DEFAULT_TIMEOUT_S: Final = 60.0
"""The time that a server has to start and to list its tools, in seconds: some are downloaded first."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA: Final = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
_URL: Final = re.compile(r"(?:https?://|\$\{)\S{1,2000}", re.IGNORECASE)
_STREAMABLE: Final = ("http", "streamable-http", "streamable_http", "streamableHttp")


class Transport(StrEnum):
    """The way to a server."""

    STDIO = "stdio"
    HTTP = "http"
    SSE = "sse"


class OauthClient(msgspec.Struct, frozen=True, rename="camel"):
    """The client as which the user signs in to a server, where it does not register any."""

    client_id: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    client_secret: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    client_metadata_url: Annotated[str, msgspec.Meta(max_length=2_000, pattern=r"^(https://[^/]+/.+)?$")] = ""
    callback_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0


NO_OAUTH_CLIENT: Final = OauthClient()


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server as it is written: variables and places of secrets are not replaced yet."""

    name: str
    transport: Transport
    command: str = ""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    is_disabled: bool = False
    oauth: OauthClient = NO_OAUTH_CLIENT

    @property
    def written_hash(self) -> str:
        """The hash of everything that decides what runs, values of variables included."""
        parts = (
            self.transport,
            self.command,
            self.arguments,
            sorted(self.environment.items()),
            self.folder,
            self.url,
            sorted(self.headers.items()),
            *(() if self.oauth == NO_OAUTH_CLIENT else (msgspec.to_builtins(self.oauth),)),
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class McpServers:
    """The servers that can be used, and for each other one the reason why it can't."""

    usable: Mapping[str, McpServer] = field(default_factory=dict)
    problems: Mapping[str, Qwen3ChatError] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all servers."""
        return (*self.usable, *self.problems)

    def get(self, name: str) -> McpServer:
        """Return the server of that name.

        Raises:
            Qwen3ChatError: there is none, or it can't be used.
        """
        if name in self.problems:
            raise self.problems[name]
        if name not in self.usable:
            raise UsageError(ErrorCode.MCP_SERVER_UNKNOWN, name=name, names=", ".join(self.names) or "–")
        return self.usable[name]

    def with_others(self, others: McpServers) -> McpServers:
        """Return these servers and others; of two with one name, the other one counts."""
        mine = {name: server for name, server in self.usable.items() if name not in others.problems}
        problems = {name: error for name, error in self.problems.items() if name not in others.usable}
        return McpServers({**mine, **others.usable}, {**problems, **others.problems})


_Text = Annotated[str, msgspec.Meta(max_length=8_000)]
_Texts = Annotated[dict[str, str | int | float | bool], msgspec.Meta(max_length=100)]


class _Entry(msgspec.Struct):
    """A server as the files write it; what else they write there is of no use here."""

    command: _Text = ""
    args: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=200)] = ()
    env: _Texts | None = None
    cwd: _Text | None = None
    url: _Text | None = None
    http_url: _Text | None = msgspec.field(name="httpUrl", default=None)
    headers: _Texts | None = None
    oauth: OauthClient | None = None
    type: str | None = None
    transport: str | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=100, le=3_600_000)] | None = None
    disabled: bool = False


def read_servers(text: str, path: object) -> McpServers:
    """Read the text of a file in any of the forms; a server that can't be used leaves the others usable.

    Raises:
        McpError: it is no JSON, or describes no servers.
    """
    try:
        value = json.loads(_without_comments(text)) if text.strip() else {"mcpServers": {}}
    except (ValueError, RecursionError) as error:
        raise McpError(ErrorCode.MCP_FILE_INVALID, path=path, reason=error) from error
    tables = dict[str, tuple[object, bool]]()
    for table, is_qwen_agent in _tables(value):
        tables.update({name: (entry, is_qwen_agent) for name, entry in table.items()})
    if not tables and not _is_empty(value):
        raise McpError(ErrorCode.MCP_FILE_INVALID, path=path, reason=_shape(value))
    if len(tables) > MAX_SERVERS:
        raise McpError(ErrorCode.MCP_FILE_INVALID, path=path, reason=f"> {MAX_SERVERS}")
    usable, problems = dict[str, McpServer](), dict[str, Qwen3ChatError]()
    for name, (entry, is_qwen_agent) in tables.items():
        try:
            usable[name] = parse_server(name, entry, prefers_sse=is_qwen_agent)
        except Qwen3ChatError as error:
            problems[name] = error
    return McpServers(usable, problems)


def parse_server(name: str, entry: object, *, prefers_sse: bool = False) -> McpServer:
    """Return the server that an entry describes.

    Raises:
        Qwen3ChatError: it can't be used.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(ErrorCode.MCP_NAME_INVALID, name=name)
    try:
        read = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        raise McpError(
            ErrorCode.MCP_ENTRY_INVALID, name=name, entry=place.strip("`$.") or "–", reason=reason
        ) from error
    url = read.url or read.http_url or ""
    if not url and not read.command:
        raise UsageError(ErrorCode.MCP_COMMAND_MISSING, name=name)
    kind = read.type or read.transport or ("sse" if prefers_sse and url else "")
    texts = {key: _text_of(value) for key, value in (read.env or {}).items()}
    headers = {key: _text_of(value) for key, value in (read.headers or {}).items()}
    for key, value in (*texts.items(), *headers.items()):
        if not key or "\0" in key + value or "=" in key or len(value) > 8_000:
            raise McpError(ErrorCode.MCP_ENTRY_INVALID, name=name, entry=key, reason="=, NUL")
    if "\0" in read.command + "".join(read.args) + (read.cwd or ""):
        raise McpError(ErrorCode.MCP_ENTRY_INVALID, name=name, entry="command", reason="NUL")
    timeout_s = DEFAULT_TIMEOUT_S if read.timeout_ms is None else read.timeout_ms / 1000
    if not url:
        return McpServer(
            name,
            Transport.STDIO,
            read.command,
            read.args,
            texts,
            read.cwd or "",
            timeout_s=timeout_s,
            is_disabled=read.disabled,
        )
    if kind and kind != "sse" and kind not in _STREAMABLE:
        raise McpError(ErrorCode.MCP_ENTRY_INVALID, name=name, entry="type", reason=kind)
    if not _URL.fullmatch(url):
        raise McpError(ErrorCode.MCP_ENTRY_INVALID, name=name, entry="url", reason="http://, https://")
    transport = Transport.SSE if kind == "sse" else Transport.HTTP
    return McpServer(
        name,
        transport,
        url=url,
        headers=headers,
        timeout_s=timeout_s,
        is_disabled=read.disabled,
        oauth=read.oauth or NO_OAUTH_CLIENT,
    )


def _text_of(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _tables(value: object) -> Iterator[tuple[dict[str, object], bool]]:
    """Return the tables of servers, each with whether it stands in a list of Qwen-Agent."""
    match value:
        case {"mcpServers": dict() as table} | {"servers": dict() as table}:
            yield table, False
        case {"mcp": {"servers": dict() as table}} | {"mcp": {"mcpServers": dict() as table}}:
            yield table, False
        case list():
            for item in value[:MAX_SERVERS]:
                match item:
                    case {"mcpServers": dict() as table}:
                        yield table, True


def _is_empty(value: object) -> bool:
    return any(True for _ in _tables(value))


def _shape(value: object) -> str:
    match value:
        case dict():
            return ", ".join(str(key)[:40] for key in list(value)[:6]) or "{}"
        case _:
            return type(value).__name__


def _without_comments(text: str) -> str:
    """Return JSON as VS Code writes it without its comments and trailing commas."""
    bare = _COMMENT.sub(lambda match: match[1] or " ", text.removeprefix("\ufeff"))
    return _TRAILING_COMMA.sub(lambda match: match[1] or "", bare)


def entry_of(server: McpServer) -> dict[str, Any]:
    """Return the entry that describes a server in our own file."""
    entry: dict[str, Any] = {}
    if server.url:
        entry = {"type": server.transport.value, "url": server.url}
        return {**entry, "headers": dict(server.headers)} if server.headers else entry
    entry = {"command": server.command, "args": list(server.arguments)}
    if server.folder:
        entry["cwd"] = server.folder
    return {**entry, "env": dict(server.environment)} if server.environment else entry
