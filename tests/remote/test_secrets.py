from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from conformance.replies import hear
from event_stream import events_of
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.engine.remote import ApiKey
from qwen3_chat.events import EngineFailed
from qwen3_chat.servers import ServerKind
from qwen3_chat.session import ChatSession
from qwen3_chat.store import ChatStore
from tests.e2e.conftest import Program
from tests.remote.imitations import Imitation
from tests.remote.remote_engines import chat_request, remote_engine_at
from tests.remote.wire_server import Fault, Reply, Request, json_reply, running

SECRET = "sk-3f9c0d7a51"


def files_in(folder: Path) -> list[str]:
    return [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]


async def test_a_key_reaches_the_server_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    store = await ChatStore.open(tmp_path / "chats.db")
    async with (
        running(Imitation(ServerKind.VLLM)) as wire,
        remote_engine_at(wire.url, key=ApiKey(SECRET)) as engine,
    ):
        session = ChatSession(engine, store, draw_seed=lambda: 1, clock=lambda: 0.0)
        shown += [repr(event) async for event in events_of(session.send, "How many?")]
        assert {request.headers["authorization"] for request in wire.requests} == {f"Bearer {SECRET}"}
        shown += [repr(engine.model), repr(engine.capabilities), repr(vars(engine))]
    assert session.chat is not None
    assert session.messages[-1].meta.engine == f"vLLM · {wire.url.removeprefix('http://')}"
    for form in ExportFormat:
        shown.append(render(session.chat, session.messages, form, ThinkingStyle.FULL))
    await store.close()
    shown += files_in(tmp_path)
    shown += [caplog.text, *capfd.readouterr()]
    assert len(shown) > 10
    assert not any(SECRET in text for text in shown)


KEY, HEADER, PROXY_WORD = "sk-key-52e1", "header-77aa word", "sk-proxy-9c0b"
SETTINGS = """
[servers.box]
url = "{url}"
key = "file:{key_file}"
headers = {{ X-Pass = "env:TEAM_PASS" }}

[servers.closed]
url = "{closed}"
key = "env:TEAM_KEY"
headers = {{ X-Pass = "env:TEAM_PASS" }}

[servers.behind]
url = "http://127.0.0.2:9"
key = "env:TEAM_KEY"
proxy = "env:TEAM_PROXY"
"""
COMMANDS = [
    ("ask", "--endpoint", "box", "--jsonl", "How many?"),
    ("ask", "--endpoint", "closed", "How many?"),
    ("ask", "--endpoint", "behind", "How many?"),
    *(("export", "last", "--thinking", "full", "--format", form) for form in ("md", "html", "json", "txt")),
    ("chats", "--json"),
    ("doctor",),
    ("doctor", "--json"),
]


async def test_no_secret_of_a_profile_shows_anywhere(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole program from outside: store, exports, logs, error messages, doctor."""
    monkeypatch.setenv("TEAM_KEY", KEY)
    monkeypatch.setenv("TEAM_PASS", HEADER)
    monkeypatch.setenv("TEAM_PROXY", f"http://me:{PROXY_WORD}@127.0.0.1:9")
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    quoting = json_reply({"error": {"message": f"{KEY} may not do that, nor {HEADER}"}}, 400)
    async with running(Imitation(ServerKind.LLAMA_SERVER)) as wire, running(lambda _: quoting) as closed:
        settings = program.home / "config" / "config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(SETTINGS.format(url=wire.url, closed=closed.url, key_file=key_file))
        ran = [await asyncio.to_thread(program.run, *command) for command in COMMANDS]
        sent = [(one.headers["authorization"], one.headers["x-pass"]) for one in wire.requests]
    assert set(sent) == {(f"Bearer {KEY}", HEADER)}
    assert [done.returncode for done in ran] == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert "••• may not do that" in ran[1].stderr
    shown = [text for done in ran for text in (done.stdout, done.stderr)] + files_in(program.home)
    assert [text for text in shown if any(secret in text for secret in (KEY, HEADER, PROXY_WORD))] == []


FAILURES = [
    json_reply({"error": {"message": f"Incorrect API key provided: {SECRET}"}}, 400),
    json_reply({"error": {"message": f"{SECRET} has no quota"}}, 500),
    json_reply({"error": f"bad token {SECRET}"}, 401),
    Reply([f"key {SECRET} is unknown".encode()], status=418),
    json_reply({}, 302, {"Location": f"http://elsewhere/?key={SECRET}"}),
    json_reply({"error": {"message": f"no {SECRET}"}}),
    Reply([Fault.CUT]),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_servers_complaint_is_shown_without_the_key_that_it_quotes(failure: Reply) -> None:
    def answer(request: Request) -> Reply:
        return json_reply({"data": [{"id": "Qwen3-8B"}]}) if request.method == "GET" else failure

    async with running(answer) as wire, remote_engine_at(wire.url, key=ApiKey(SECRET)) as engine:
        heard = await hear(engine, chat_request("hi"))
    assert isinstance(heard.failure, EngineFailed)
    assert SECRET not in heard.failure.text
