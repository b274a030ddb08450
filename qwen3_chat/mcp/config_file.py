"""The files that describe MCP servers: our own, which is changed here, and others, which are only read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, UsageError
from qwen3_chat.mcp.server_config import McpServer, McpServers, entry_of, read_servers
from qwen3_chat.private_file import write_private_file

MAX_CONFIG_BYTES: Final = 512 * 1024


def load_servers(own_file: Path, other_file: Path | None = None) -> McpServers:
    """Return the servers of our own file, if there is one, and those of another file, which come first.

    Raises:
        McpError: a file can't be read, or describes no servers.
    """
    try:
        servers = read_servers(_read(own_file), own_file)
    except FileNotFoundError:
        servers = McpServers()
    if other_file is None:
        return servers
    try:
        return servers.with_others(read_servers(_read(other_file), other_file))
    except FileNotFoundError as error:
        raise McpError(ErrorCode.MCP_FILE_UNREADABLE, path=other_file, reason=error.strerror) from error


def add_server(own_file: Path, server: McpServer) -> None:
    """Add a server to our own file.

    Raises:
        UsageError: its name is taken.
        McpError: the file can't be read or written.
    """
    document, table = _document(own_file)
    if server.name in table:
        raise UsageError(ErrorCode.MCP_SERVER_EXISTS, name=server.name)
    table[server.name] = entry_of(server)
    _write(own_file, document)


def remove_server(own_file: Path, name: str) -> None:
    """Remove a server from our own file.

    Raises:
        UsageError: it has no server of that name.
        McpError: the file can't be read or written.
    """
    document, table = _document(own_file)
    if name not in table:
        raise UsageError(ErrorCode.MCP_SERVER_UNKNOWN, name=name, names=", ".join(table) or "–")
    del table[name]
    _write(own_file, document)


def _document(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of our own file, and the table of servers in it."""
    try:
        text = _read(path)
    except FileNotFoundError:
        text = ""
    read_servers(text, path)  # a file that is no list of servers is not replaced by one
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError as error:  # it has comments, which would be lost
        raise McpError(ErrorCode.MCP_FILE_INVALID, path=path, reason=error) from error
    table = document.setdefault("mcpServers", {}) if isinstance(document, dict) else None
    if not isinstance(table, dict):
        raise McpError(ErrorCode.MCP_FILE_INVALID, path=path, reason="mcpServers")
    return document, table


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise McpError(ErrorCode.MCP_FILE_UNREADABLE, path=path, reason=f"> {MAX_CONFIG_BYTES:,} bytes")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise McpError(ErrorCode.MCP_FILE_UNREADABLE, path=path, reason=error.strerror or error) from error
    except UnicodeDecodeError as error:
        raise McpError(ErrorCode.MCP_FILE_UNREADABLE, path=path, reason="UTF-8") from error


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        write_private_file(path, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise McpError(ErrorCode.MCP_FILE_NOT_SAVED, path=path, reason=error.strerror or error) from error
