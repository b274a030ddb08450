"""A server made ready to start, with its variables and secrets; what the user is shown before it starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.server_config import McpServer, Transport
from qwen3_chat.mcp.server_messages import CommandLaunch, HttpLaunch, Launch, SignIn
from qwen3_chat.servers import SecretReference
from qwen3_chat.texts import t

POSIX_VARIABLES: Final = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
WINDOWS_VARIABLES: Final = (
    "APPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATH",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "USERNAME",
    "USERPROFILE",
)
"""The variables that a server gets beside those that its entry declares: what the reference clients give."""

_VARIABLE: Final = re.compile(
    r"\$\{(?:(?P<kind>env|input):)?(?P<name>[A-Za-z_][\w.-]*)(?::-(?P<default>[^}]*))?\}", re.ASCII
)
_SECRET_NAME: Final = re.compile(r"auth|key|token|secret|cookie|passw", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PreparedServer:
    """A server that can be connected to; `secrets` are texts that nothing may show."""

    launch: Launch
    secrets: tuple[str, ...]


def shown_launch(server: McpServer, environ: Mapping[str, str]) -> str:
    """Return what the user is asked about before a server starts, as the arguments of a call.

    The command is the file that would run. Arguments stand as they are written, so that no secret is in them;
    of variables and headers only the names do.

    Raises:
        McpError: the command is not installed.
    """
    if server.transport is not Transport.STDIO:
        shown: dict[str, object] = {"url": _without_secrets(server.url)}
        if server.headers:
            shown["headers"] = sorted(server.headers)
        if server.oauth.client_id:
            shown["sign_in_as"] = server.oauth.client_id
    else:
        shown = {"command": find_command(server, environ)}
        if server.arguments:
            shown["arguments"] = list(server.arguments)
        if server.folder:
            shown["folder"] = server.folder
        if server.environment:
            shown["variables"] = sorted(server.environment)
    return json.dumps(shown, ensure_ascii=False)


def prepare_server(
    server: McpServer,
    environ: Mapping[str, str],
    log_folder: Path | None = None,
    tokens_folder: Path | None = None,
) -> PreparedServer:
    """Return a server ready to start, with its variables replaced and its secrets read.

    Raises:
        Qwen3ChatError: a variable or a secret is missing, or the command is not installed.
    """
    secrets: list[str] = []

    def expand(text: str) -> str:
        return expand_variables(server.name, text, environ)

    def fetch(name: str, text: str) -> str:
        if reference := SecretReference.parse(text):
            value = read_secret(reference, environ)
            secrets.append(value)
            return value
        value = expand(text)
        if value != text or _SECRET_NAME.search(name):
            secrets.append(value)
        return value

    if server.transport is not Transport.STDIO:
        headers = {name: fetch(name, value) for name, value in server.headers.items()}
        sign_in, client = None, server.oauth
        if tokens_folder is not None and "authorization" not in map(str.casefold, headers):
            sign_in = SignIn(
                str(tokens_folder / f"{server.name}.json"),
                t("mcp.sign_in.page"),
                expand(client.client_id),
                fetch("client_secret", client.client_secret) if client.client_secret else "",
                client.client_metadata_url,
                client.callback_port,
            )
        is_sse = server.transport is Transport.SSE
        launch: Launch = HttpLaunch(expand(server.url), headers, is_sse, sign_in)
        return PreparedServer(launch, tuple(secrets))
    names = WINDOWS_VARIABLES if sys.platform == "win32" else POSIX_VARIABLES
    inherited = {name: value for name in names if (value := environ.get(name))}
    environment = {name: fetch(name, value) for name, value in server.environment.items()}
    log = "" if log_folder is None else str(log_folder / f"mcp-{server.name}.log")
    launch = CommandLaunch(
        find_command(server, environ),
        tuple(map(expand, server.arguments)),
        {**inherited, **environment},
        str(_expand_home(expand(server.folder))) if server.folder else "",
        log,
    )
    return PreparedServer(launch, tuple(secrets))


def find_command(server: McpServer, environ: Mapping[str, str]) -> str:
    """Return the file that a server's command names, an absolute path.

    The current folder is not searched, whatever PATH says.

    Raises:
        McpError: there is no such file.
    """
    command = expand_variables(server.name, server.command, environ)
    declared = server.environment.get("PATH")
    path = expand_variables(server.name, declared, environ) if declared else environ.get("PATH", os.defpath)
    if "/" in command or "\\" in command:
        file = _expand_home(command)
        command = str(file if file.is_absolute() else _expand_home(server.folder or ".").absolute() / file)
    folders = [folder for folder in path.split(os.pathsep) if Path(folder).is_absolute()]
    folders.append(str(Path(sys.executable).parent))  # what is installed beside this program
    found = shutil.which(command, path=os.pathsep.join(folders))
    if found is None or not Path(found).is_absolute():
        raise McpError(ErrorCode.MCP_COMMAND_NOT_FOUND, name=server.name, command=server.command)
    return found


def expand_variables(name: str, text: str, environ: Mapping[str, str]) -> str:
    """Return a text with `${NAME}`, `${env:NAME}` and `${NAME:-default}` replaced.

    Raises:
        McpError: a variable without a default is not set, or an input of VS Code is asked for.
    """

    def value_of(match: re.Match[str]) -> str:
        variable = match["name"]
        if match["kind"] == "input":
            raise McpError(ErrorCode.MCP_INPUT_UNSUPPORTED, name=name, variable=variable)
        value = environ.get(variable) or match["default"]
        if value is None:
            raise McpError(ErrorCode.MCP_VARIABLE_MISSING, name=name, variable=variable)
        return value

    return _VARIABLE.sub(value_of, text)


def read_secret(reference: SecretReference, environ: Mapping[str, str]) -> str:
    """Return a secret from its place.

    Raises:
        UsageError: it is not there, or others can read it.
    """
    from qwen3_chat.engine.remote.server_access import resolve_secret  # here: it takes 0.1 s

    return resolve_secret(reference, environ, allows_spaces=True).as_header


def is_secret(name: str, value: str) -> bool:
    """Return whether a value should stand elsewhere: its name says so, and it names no place."""
    is_reference = SecretReference.parse(value) is not None or _VARIABLE.search(value) is not None
    return bool(_SECRET_NAME.search(name)) and not is_reference


def _expand_home(path: str) -> Path:
    with suppress(RuntimeError):  # no such user
        return Path(path).expanduser()
    return Path(path)


def _without_secrets(url: str) -> str:
    """Return an address without a password and without the values of its query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = re.sub(r"=[^&]*", "=…", parts.query)
    return urlunsplit((parts.scheme, host, parts.path, query, ""))
