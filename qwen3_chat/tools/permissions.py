"""Permissions: what the user has allowed for the calls to come, and which calls that covers.

Everything here is pure but for `locate_target`, which follows the symbolic links of a path.
"""

from __future__ import annotations

import json
import os
import re
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from msgspec import Struct

from qwen3_chat.chat import ToolCall
from qwen3_chat.tools.tool import Reach, Target, TargetKind, Tool

MAX_LIMIT_CHARS: Final = 8_000
"""The longest arguments that a permission is limited to, in characters."""

MAX_LOCATION_CHARS: Final = 200
"""The longest host or folder that a permission is limited to: a person can read it at a glance."""

# An address is read by this alone, not by a parser that also takes what browsers and libraries read in
# different ways: user names, backslashes, percent signs in the host, characters beyond ASCII.
# Both are compiled when they are needed, which no start does.
_URL: Final = r"(?i)(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([0-9]{1,5}))?(?=[/?#]|\Z)"
_UNSAFE_IN_URL: Final = r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class PermissionScope(StrEnum):
    """The calls of a tool that a permission covers."""

    TOOL = "tool"
    """All of them; such a permission holds in one chat until the app ends."""
    ARGUMENTS = "arguments"
    """Those with equal arguments."""
    HOST = "host"
    """Those to one host, by the same scheme and port."""
    FOLDER = "folder"
    """Those in one folder and below it."""


class Permission(Struct, frozen=True):
    """A permission for the tool as it was: `definition_hash` is the one of that time.

    `value` is what the scope is limited to: the arguments as canonical JSON, `https://example.com`, a folder.
    """

    tool: str
    definition_hash: str
    scope: PermissionScope
    value: str = ""

    def covers(self, tool: Tool, call: ToolCall, location: str | None) -> bool:
        """Return whether the permission covers a call whose target is at `location`."""
        if (tool.name, tool.definition_hash) != (self.tool, self.definition_hash) or call.is_repaired:
            return False
        match self.scope:
            case PermissionScope.TOOL:
                return True
            case PermissionScope.ARGUMENTS:
                return canonical_arguments(call.arguments) == self.value
            case PermissionScope.HOST:
                return _has_kind(tool, TargetKind.URL) and location is not None and location == self.value
            case PermissionScope.FOLDER:
                is_path = _has_kind(tool, TargetKind.FILE) or _has_kind(tool, TargetKind.FOLDER)
                return is_path and location is not None and is_inside(location, self.value)


def possible_permissions(tool: Tool, call: ToolCall, location: str | None) -> tuple[Permission, ...]:
    """Return the permissions that the user can give with a call, the widest and shortest-lived first.

    A call that was repaired is a guess, and a tool that reaches nothing runs unasked: both have none.
    """
    if call.is_repaired or tool.reach is Reach.NOTHING:
        return ()
    limits = [
        (PermissionScope.TOOL, ""),
        (PermissionScope.ARGUMENTS, canonical_arguments(call.arguments) or ""),
    ]
    match tool.target:
        case Target(kind=TargetKind.URL) if location:
            limits.append((PermissionScope.HOST, location))
        case Target(kind=TargetKind.FILE) if location:
            limits.append((PermissionScope.FOLDER, str(PurePath(location).parent)))
        case Target(kind=TargetKind.FOLDER) if location:
            limits.append((PermissionScope.FOLDER, location))
    permissions = (Permission(tool.name, tool.definition_hash, scope, value) for scope, value in limits)
    return tuple(permission for permission in permissions if _is_limited(permission))


def locate_target(tool: Tool, call: ToolCall) -> str | None:
    """Return where a call reaches: the host of its address, its path without symbolic links.

    None where the tool names no target, or where what is written could be read in more than one way. This
    reads the disk.
    """
    if tool.target is None:
        return None
    value = json.loads(call.arguments).get(tool.target.parameter)
    if not isinstance(value, str):
        return None
    return host_of(value) if tool.target.kind is TargetKind.URL else _real_path(value)


def host_of(url: str) -> str | None:
    """Return scheme, host and port of an address, `https://example.com`; None unless it is a plain one."""
    match = re.match(_URL, url)
    if match is None or re.search(_UNSAFE_IN_URL, url):
        return None
    scheme, host = match[1].lower(), match[2].lower()
    port = _DEFAULT_PORTS[scheme] if match[3] is None else int(match[3])
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def is_inside(path: str, folder: str) -> bool:
    """Return whether an absolute path is a folder or below it, compared part by part and by case.

    No path is inside the root, or inside of or under a path with `..`.
    """
    outer, inner = PurePath(folder), PurePath(path)
    if not outer.is_absolute() or not inner.is_absolute() or len(outer.parts) < 2:
        return False
    if ".." in outer.parts or ".." in inner.parts:
        return False
    return inner.parts[: len(outer.parts)] == outer.parts


def canonical_arguments(arguments: str) -> str | None:
    """Return arguments in the one form that all equal ones have; None where they are no JSON."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None


def _real_path(path: str) -> str | None:
    if path.startswith("~"):  # a home folder for some programs, a name for others
        return None
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return None


def _has_kind(tool: Tool, kind: TargetKind) -> bool:
    return tool.target is not None and tool.target.kind is kind


def _is_limited(permission: Permission) -> bool:
    """Return whether the limit of a permission is one, and not too long to be read by a person."""
    match permission.scope:
        case PermissionScope.TOOL:
            return True
        case PermissionScope.FOLDER:
            return (
                is_inside(permission.value, permission.value) and len(permission.value) <= MAX_LOCATION_CHARS
            )
        case PermissionScope.HOST:
            return len(permission.value) <= MAX_LOCATION_CHARS
        case _:
            return 0 < len(permission.value) <= MAX_LIMIT_CHARS
