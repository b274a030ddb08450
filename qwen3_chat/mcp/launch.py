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
from qwen3_chat.mcp.launch_secrets import (
    MIN_SECRET_CHARS,
    arguments_without_secrets,
    is_secret_name,
    secrets_in_arguments,
    with_bare_secrets,
)
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


@dataclass(frozen=True, slots=True)
class PreparedServer:
    """A server that can be connected to; no error and no log may show its `secrets`.

    Those of `result_secrets` are taken out of what it returns as well. Other values of variables, such as a
    folder, may stand there.
    """

    launch: Launch
    secrets: tuple[str, ...]
    result_secrets: tuple[str, ...] = ()


def shown_launch(server: McpServer, environ: Mapping[str, str], *, is_for_log: bool = False) -> str:
    """Return what the user is asked about before a server starts, as the arguments of a call.

    The command is the file that would run, the folder the one in which it would. Arguments stand as they are
    written, for lists and logs without secrets; of variables and headers only the names do.

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
        arguments = server.arguments
        if arguments:
            shown["arguments"] = list(arguments_without_secrets(arguments) if is_for_log else arguments)
        shown["folder"] = server_folder(server, environ)
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
    result_secrets: list[str] = []

    def expand(text: str) -> str:
        result_secrets.extend(_named_secrets(text, environ))
        return expand_variables(server.name, text, environ)

    def fetch(name: str, text: str) -> str:
        if reference := SecretReference.parse(text):
            value = read_secret(reference, environ)
            result_secrets.append(value)
            return value
        value = expand(text)
        if is_secret_name(name):
            result_secrets.append(value)
        elif value != text:
            secrets.append(value)
        return value

    def prepared(launch: Launch) -> PreparedServer:
        hidden = with_bare_secrets(result_secrets)
        in_results = tuple(secret for secret in hidden if len(secret) >= MIN_SECRET_CHARS)
        return PreparedServer(launch, with_bare_secrets((*secrets, *hidden)), in_results)

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
        return prepared(HttpLaunch(expand(server.url), headers, is_sse, sign_in))
    names = WINDOWS_VARIABLES if sys.platform == "win32" else POSIX_VARIABLES
    inherited = {name: value for name in names if (value := environ.get(name))}
    environment = {name: fetch(name, value) for name, value in server.environment.items()}
    log = "" if log_folder is None else str(log_folder / f"mcp-{server.name}.log")
    arguments = tuple(map(expand, server.arguments))
    result_secrets.extend(secrets_in_arguments(arguments))
    folder = server_folder(server, environ)
    return prepared(
        CommandLaunch(find_command(server, environ), arguments, {**inherited, **environment}, folder, log)
    )


def server_folder(server: McpServer, environ: Mapping[str, str]) -> str:
    """Return the folder in which a server runs, an absolute path: the home folder unless its entry names one.

    The current folder would have a server load what lies there: `python -m` and `npx` look there first.

    Raises:
        McpError: a variable is missing.
    """
    if server.folder:
        return str(_expand_home(expand_variables(server.name, server.folder, environ)).absolute())
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or os.path.sep)
    is_usable = home.is_absolute() and home.is_dir()
    return str(home if is_usable else Path(home.anchor or os.path.sep))


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
        command = str(file if file.is_absolute() else Path(server_folder(server, environ)) / file)
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


def _named_secrets(text: str, environ: Mapping[str, str]) -> list[str]:
    """Return the values of the variables in a text whose names say that they are secrets."""
    names = [match["name"] for match in _VARIABLE.finditer(text) if is_secret_name(match["name"])]
    return [value for name in names if (value := environ.get(name))]


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
