"""MCP servers in the files of other programs and in our own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, Qwen3ChatError, UsageError
from qwen3_chat.mcp.config_file import add_server, load_servers, remove_server
from qwen3_chat.mcp.launch import expand_variables, prepare_server, shown_launch
from qwen3_chat.mcp.launch_secrets import arguments_without_secrets, is_secret, secrets_in_arguments
from qwen3_chat.mcp.server_config import MAX_SERVERS, McpServer, Transport, parse_server, read_servers
from qwen3_chat.mcp.server_messages import CommandLaunch, HttpLaunch

TIME = McpServer("time", Transport.STDIO, "mcp-server-time", ("--local-timezone=Asia/Shanghai",))
ENTRY = {"command": "mcp-server-time", "args": ["--local-timezone=Asia/Shanghai"]}
TOO_MANY = json.dumps({"mcpServers": {f"s{n}": ENTRY for n in range(MAX_SERVERS + 1)}})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"mcpServers": {"time": ENTRY}}),
        json.dumps({"globalShortcut": "", "mcpServers": {"time": {**ENTRY, "disabled": False}}}),
        json.dumps({"servers": {"time": {"type": "stdio", **ENTRY}}, "inputs": []}),
        json.dumps({"mcp": {"servers": {"time": ENTRY}}, "editor.fontSize": 12}),
        json.dumps([{"mcpServers": {"time": ENTRY}}, "code_interpreter"]),
        '\ufeff// "mine"\n{"mcpServers": {/* one */ "time": '
        '{"command": "mcp-server-time", "args": ["--local-timezone=Asia/Shanghai",],},}, }',
    ],
    ids=["Claude Desktop", "more entries", "VS Code", "VS Code's settings", "Qwen-Agent", "comments"],
)
def test_the_files_of_other_programs_are_read_as_they_are(text: str) -> None:
    servers = read_servers(text, "file")
    assert (servers.usable, servers.problems) == ({"time": TIME}, {})


@pytest.mark.parametrize(
    ("entry", "prefers_sse", "transport"),
    [
        ({"url": "https://example.com/mcp"}, False, Transport.HTTP),
        ({"url": "https://example.com/mcp"}, True, Transport.SSE),
        ({"url": "https://example.com/mcp", "type": "streamable-http"}, True, Transport.HTTP),
        ({"url": "https://example.com/sse", "type": "sse"}, False, Transport.SSE),
        ({"httpUrl": "https://example.com/mcp"}, False, Transport.HTTP),
    ],
)
def test_an_address_has_the_transport_of_its_file(
    entry: dict[str, str], prefers_sse: bool, transport: Transport
) -> None:
    assert parse_server("web", entry, prefers_sse=prefers_sse).transport is transport


@pytest.mark.parametrize(
    ("name", "entry", "code"),
    [
        ("a b", ENTRY, ErrorCode.MCP_NAME_INVALID),
        ("a.b", ENTRY, ErrorCode.MCP_NAME_INVALID),
        ("x", {}, ErrorCode.MCP_COMMAND_MISSING),
        ("x", [], ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"command": 5}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"command": "a", "args": "b"}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"command": "a", "args": ["b"] * 300}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"command": "a\0b"}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"command": "a", "env": {"A=B": "c"}}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"url": "file:///etc/passwd"}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"url": "https://example.com", "type": "websocket"}, ErrorCode.MCP_ENTRY_INVALID),
        ("x", {"command": "a", "timeout_ms": 10**12}, ErrorCode.MCP_ENTRY_INVALID),
    ],
)
def test_a_server_that_cannot_be_used_leaves_the_others_usable(
    name: str, entry: object, code: ErrorCode
) -> None:
    servers = read_servers(json.dumps({"mcpServers": {"time": ENTRY, name: entry}}), "file")
    assert servers.usable == {"time": TIME}
    assert servers.problems[name].code is code
    with pytest.raises(Qwen3ChatError):
        servers.get(name)


@pytest.mark.parametrize(
    "text",
    ["{", "5", "[]", '{"servers": 5}', '{"a": {"b": 1}}', "[" * 100_000, TOO_MANY],
)
def test_a_file_of_another_kind_is_one_sentence(text: str) -> None:
    with pytest.raises(McpError) as raised:
        read_servers(text, "file.json")
    assert raised.value.code is ErrorCode.MCP_FILE_INVALID
    assert "file.json" in str(raised.value)


def test_our_own_file_is_changed_and_stays_private(tmp_path: Path) -> None:
    file = tmp_path / "config" / "mcp.json"
    assert load_servers(file).names == ()
    add_server(file, TIME)
    add_server(file, McpServer("web", Transport.HTTP, url="https://example.com/mcp", headers={"A": "env:B"}))
    assert load_servers(file).usable["time"] == TIME
    assert load_servers(file).usable["web"].headers == {"A": "env:B"}
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError) as raised:
        add_server(file, TIME)
    assert raised.value.code is ErrorCode.MCP_SERVER_EXISTS
    remove_server(file, "time")
    assert load_servers(file).names == ("web",)
    with pytest.raises(UsageError):
        remove_server(file, "time")


def test_another_file_comes_first_and_is_never_written(tmp_path: Path) -> None:
    own, other = tmp_path / "mcp.json", tmp_path / "claude.json"
    add_server(own, McpServer("time", Transport.STDIO, "another"))
    text = json.dumps({"mcpServers": {"time": ENTRY}})
    other.write_text(text)
    assert load_servers(own, other).usable == {"time": TIME}
    assert other.read_text() == text
    with pytest.raises(McpError):
        load_servers(own, tmp_path / "missing.json")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 600_000, b"{}", b"[]"])
def test_a_damaged_file_of_ours_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(content)
    with pytest.raises(McpError):
        add_server(file, TIME)
    assert file.read_bytes() == content


def test_variables_are_replaced_where_they_are_set() -> None:
    environ = {"TOKEN": "t", "EMPTY": ""}
    assert expand_variables("x", "a ${TOKEN} ${env:TOKEN} $TOKEN ${NONE:-b c}", environ) == "a t t $TOKEN b c"
    assert expand_variables("x", "${EMPTY:-d}", environ) == "d"
    with pytest.raises(McpError, match="NONE"):
        expand_variables("x", "${NONE}", environ)
    with pytest.raises(McpError) as raised:
        expand_variables("x", "${input:key}", environ)
    assert raised.value.code is ErrorCode.MCP_INPUT_UNSUPPORTED


def test_a_server_gets_a_few_variables_and_what_is_declared(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret-of-file\n")
    key.chmod(0o600)
    environ = {"PATH": "/bin:.", "HOME": "/h", "OPENAI_API_KEY": "never", "MINE": "s3cret-of-env"}
    server = McpServer(
        "x",
        Transport.STDIO,
        sys.executable,
        ("--key", "${MINE}"),
        {"FROM_FILE": f"file:{key}", "FROM_ENV": "env:MINE", "PLAIN": "1", "API_KEY": "typed"},
    )
    prepared = prepare_server(server, environ)
    launch = prepared.launch
    assert isinstance(launch, CommandLaunch)
    assert launch.environment == {
        "PATH": "/bin:.",
        "HOME": "/h",
        "FROM_FILE": "s3cret-of-file",
        "FROM_ENV": "s3cret-of-env",
        "PLAIN": "1",
        "API_KEY": "typed",
    }
    assert {"s3cret-of-file", "s3cret-of-env", "typed"} <= set(prepared.secrets)
    assert set(prepared.result_secrets) == {
        "s3cret-of-file",
        "s3cret-of-env",
    }  # one of five letters is no secret
    shown = json.loads(shown_launch(server, environ))
    assert shown == {
        "command": sys.executable,
        "arguments": ["--key", "${MINE}"],
        "folder": "/",
        "variables": ["API_KEY", "FROM_ENV", "FROM_FILE", "PLAIN"],
    }
    assert parse_server("x", {"command": "a", "env": {"A": "1"}}).written_hash != (
        parse_server("x", {"command": "a", "env": {"A": "2"}}).written_hash
    )


def test_headers_of_a_server_are_fetched_and_only_named() -> None:
    server = McpServer(
        "web",
        Transport.HTTP,
        url="https://user:pw@example.com/mcp?key=abc",
        headers={"Authorization": "Bearer ${T}"},
    )
    prepared = prepare_server(server, {"T": "token-1"})
    assert isinstance(prepared.launch, HttpLaunch)
    assert prepared.launch.headers == {"Authorization": "Bearer token-1"}
    assert {"Bearer token-1", "token-1"} <= set(prepared.secrets)
    assert json.loads(shown_launch(server, {})) == {
        "url": "https://example.com/mcp?key=…",
        "headers": ["Authorization"],
    }


def test_a_command_is_found_in_path_and_never_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "tool-of-a-test"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    server = McpServer("x", Transport.STDIO, tool.name)
    with pytest.raises(McpError) as raised:
        shown_launch(server, {"PATH": ".:"})
    assert raised.value.code is ErrorCode.MCP_COMMAND_NOT_FOUND
    assert json.loads(shown_launch(server, {"PATH": str(tmp_path)}))["command"] == str(tool)


@pytest.mark.parametrize(
    ("arguments", "secrets", "shown"),
    [
        (("--token", "abc", "x"), ("abc",), ("--token", "•••", "x")),
        (("--token", "--verbose"), (), ("--token", "--verbose")),
        (("--api-key=a=b", "-y"), ("a=b",), ("--api-key=•••", "-y")),
        (("--header", "Authorization: Bearer a"), ("Bearer a",), ("--header", "Authorization: •••")),
        (("--header=Authorization: Bearer a",), ("Bearer a",), ("--header=Authorization: •••",)),
        (("-e", "GITHUB_TOKEN=a"), ("a",), ("-e", "GITHUB_TOKEN=•••")),
        (("--key=${KEY}",), ("${KEY}",), ("--key=${KEY}",)),
        (("key://a", "monkey", "--local-timezone=Asia/Shanghai"), (), None),
    ],
)
def test_secrets_among_the_arguments_are_told_by_what_stands_before_them(
    arguments: tuple[str, ...], secrets: tuple[str, ...], shown: tuple[str, ...] | None
) -> None:
    assert secrets_in_arguments(arguments) == secrets
    assert arguments_without_secrets(arguments) == (shown or arguments)


def test_a_server_runs_in_the_home_folder_or_in_that_of_its_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path.parent), "PLACE": "/tmp", "PATH": "/bin"}
    for written, folder in (
        ("", str(tmp_path.parent)),
        ("${PLACE}/a", "/tmp/a"),
        ("~", str(Path.home())),
        ("b", str(tmp_path / "b")),  # shown, and asked about in each folder anew
    ):
        server = McpServer("x", Transport.STDIO, sys.executable, folder=written)
        assert json.loads(shown_launch(server, environ))["folder"] == folder
        launch = prepare_server(server, environ).launch
        assert isinstance(launch, CommandLaunch)
        assert launch.folder == folder
    nowhere = McpServer("x", Transport.STDIO, sys.executable)
    assert json.loads(shown_launch(nowhere, {"HOME": "/no/such/folder"}))["folder"] == "/"


def test_a_value_that_should_stand_elsewhere_is_told_by_its_name() -> None:
    assert is_secret("API_KEY", "abc")
    assert not is_secret("API_KEY", "env:X")
    assert not is_secret("API_KEY", "${X}")
    assert not is_secret("TZ", "Asia/Shanghai")


def test_the_client_of_a_sign_in_is_read_with_its_secret_elsewhere(tmp_path: Path) -> None:
    oauth = {"clientId": "me", "clientSecret": "env:SECRET", "callbackPort": 8123}
    entry = {"url": "https://example.com/mcp", "oauth": oauth}
    server, plain = parse_server("web", entry), parse_server("web", {"url": "https://example.com/mcp"})
    assert server.written_hash != plain.written_hash
    assert json.loads(shown_launch(server, {})) == {"url": "https://example.com/mcp", "sign_in_as": "me"}
    prepared = prepare_server(server, {"SECRET": "hush-hush"}, tokens_folder=tmp_path)
    assert isinstance(prepared.launch, HttpLaunch)
    assert prepared.secrets == ("hush-hush",)
    sign_in = prepared.launch.sign_in
    assert sign_in is not None
    assert (sign_in.client_id, sign_in.client_secret, sign_in.port) == ("me", "hush-hush", 8123)
    assert sign_in.tokens_path == str(tmp_path / "web.json")
    for wrong in ({"callbackPort": 70_000}, {"clientMetadataUrl": "http://example.com/a"}, {"clientId": 3}):
        with pytest.raises(McpError):
            parse_server("web", {**entry, "oauth": wrong})


def test_a_server_with_a_header_of_ones_own_is_not_signed_in_to(tmp_path: Path) -> None:
    server = parse_server("web", {"url": "https://example.com/mcp", "headers": {"authorization": "x"}})
    prepared = prepare_server(server, {}, tokens_folder=tmp_path)
    assert isinstance(prepared.launch, HttpLaunch)
    assert prepared.launch.sign_in is None
