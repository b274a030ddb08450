"""The definitions of tools as they were when the user allowed their server: a change is asked about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.server_messages import ServerTool
from qwen3_chat.private_file import write_private_file

MAX_PINNED_SERVERS: Final = 100
"""The most servers in the file; one more removes the one that was written longest ago."""

MAX_PIN_FILE_BYTES: Final = 1 << 26
_LOCK_TIMEOUT_S: Final = 5.0


class PinnedTool(msgspec.Struct, frozen=True):
    """A tool as it was: the hash of its whole object, the object as far as it is stored."""

    name: str
    raw_hash: str
    raw: str = ""


class PinnedServer(msgspec.Struct, frozen=True):
    """A server with its tools; `written_hash` is that of its entry, another entry is another server."""

    name: str
    written_hash: str
    tools: tuple[PinnedTool, ...]


class _Pins(msgspec.Struct, frozen=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=1)]
    servers: tuple[PinnedServer, ...]


class PinFile:
    """The file of all pinned tools, the server written longest ago first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str, written_hash: str) -> tuple[PinnedTool, ...] | None:
        """Return the tools of a server as they were; None if it was never connected to."""
        return next((s.tools for s in self._read() if (s.name, s.written_hash) == (name, written_hash)), None)

    def set(self, name: str, written_hash: str, tools: Sequence[ServerTool]) -> None:
        """Store the tools of a server.

        Raises:
            McpError: the file can't be written.
        """
        pinned = PinnedServer(
            name, written_hash, tuple(PinnedTool(tool.name, tool.raw_hash, tool.raw) for tool in tools)
        )
        self._change(name, pinned)

    def forget(self, name: str) -> None:
        """Remove what is stored of a server.

        Raises:
            McpError: the file can't be written.
        """
        self._change(name, None)

    def _change(self, name: str, pinned: PinnedServer | None) -> None:
        from filelock import FileLock, Timeout  # here: most starts change nothing

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=_LOCK_TIMEOUT_S, mode=0o600):
                before = self._read()
                others = [
                    server for server in before if server.name != name or self._is_other(server, pinned)
                ]
                after = (*others, pinned) if pinned is not None else tuple(others)
                if after != before:
                    content = msgspec.json.encode(_Pins(1, tuple(after[-MAX_PINNED_SERVERS:])))
                    write_private_file(self._path, content)
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or error
            raise McpError(ErrorCode.MCP_PINS_NOT_SAVED, path=self._path, reason=reason) from error

    @staticmethod
    def _is_other(server: PinnedServer, pinned: PinnedServer | None) -> bool:
        """Return whether a server of the same name has another entry: two files may use one name."""
        return pinned is not None and server.written_hash != pinned.written_hash

    def _read(self) -> tuple[PinnedServer, ...]:
        # msgspec's own errors are ValueErrors
        with suppress(OSError, ValueError), self._path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_PIN_FILE_BYTES), type=_Pins).servers
        return ()


def changed_tools(pinned: Sequence[PinnedTool], tools: Sequence[ServerTool]) -> tuple[ServerTool, ...]:
    """Return the tools that are new or not what they were."""
    hashes = {tool.name: tool.raw_hash for tool in pinned}
    return tuple(tool for tool in tools if hashes.get(tool.name) != tool.raw_hash)


def describe_changes(pinned: Sequence[PinnedTool], changed: Sequence[ServerTool]) -> str:
    """Return what has changed, as the arguments of a call: of each tool the parts that were and are."""
    raws = {tool.name: _object_of(tool.raw) for tool in pinned}
    changes = dict[str, Any]()
    for tool in changed:
        now = _object_of(tool.raw)
        if tool.name not in raws:
            changes[tool.name] = {"new": tool.description}
            continue
        was = raws[tool.name]
        keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        changes[tool.name] = {
            "was": {key: was[key] for key in keys if key in was},
            "now": {key: now[key] for key in keys if key in now},
        }
    return json.dumps(changes, ensure_ascii=False)


def _object_of(raw: str) -> Mapping[str, Any]:
    """Return the object of a stored tool; the text itself where it was cut."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {"definition": raw}
    return value if isinstance(value, dict) else {"definition": raw}
