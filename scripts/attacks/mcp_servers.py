"""MCP servers of every bad kind in the app: each costs a sentence, keys are dealt with, and none is left."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import psutil

import made_up_mcp_server
from attacks._key_times import KEY_PAUSE_S, report_keys, time_of_key, times_while_idle
from attacks.report import Options, Report
from qwen3_chat.chat import Role, StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, EventSink, Notice, ToolCallRequested, TurnFinished
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.server_status import McpState, McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.session import TurnOptions
from qwen3_chat.texts import t
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.consent import ConsentRules
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool_runner import ToolRunner
from qwen3_chat.tools.tool_source import SourceEventSink, ToolServerStarting
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app

CALL_LIMIT_S: Final = 3.0
START_LIMIT_S: Final = 30.0
MAX_END_S: Final = 2.0
ANSWER: Final = "That is it."
UNREADY: Final = {"Hanging", "CrashingAtOnce", "EndlessLine", "EndlessJunk"}
"""The kinds that can't be used at all."""

SQLITE: Final = "mcp-server-sqlite"
"""A server of 2025 that ends at its start with the SDK of today; attacked with where it is installed."""


class _CallingEngine(FakeEngine):
    """An engine that calls `echo` of the server `kind` for each message, and then answers in words."""

    kind = ""

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Push the events of a reply."""
        if request.messages[-1].role is Role.USER and request.tools:
            call = ToolCall(f"{self.kind}-echo", json.dumps({"text": "hi"}))
            on_event(ToolCallRequested(call))
            end = finished(StopReason.TOOL_CALLS)
        else:
            on_event(AnswerDelta(ANSWER, 3))
            end = finished()
        on_event(end)
        return end


class _ListenedTools(McpTools):
    """The tools of servers, with the sentences that the user gets."""

    sentences: list[str]

    async def prepare(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Start servers, and note what is reported."""

        def listen(event: Notice | ToolServerStarting) -> None:
            if isinstance(event, Notice) and event.key != "mcp.starts":
                self.sentences.append(t(event.key, **event.values))
            report(event)

        await super().prepare(names, listen)


def servers_of(kinds: list[str], folder: Path) -> McpServers:
    """Return a server of each kind, known by a variable so that its processes can be counted."""
    script = made_up_mcp_server.__file__
    server = McpServer("", Transport.STDIO, sys.executable, ("-S", script), {"MADE_UP_FOR": str(folder)})
    made_up = {
        kind: replace(server, name=kind, arguments=("-S", script, kind), timeout_s=START_LIMIT_S)
        for kind in kinds
        if kind != SQLITE
    }
    if SQLITE in kinds:
        arguments = ("--db-path", str(folder / "test.db"))
        made_up[SQLITE] = replace(server, name=SQLITE, command=SQLITE, arguments=arguments)
    return McpServers(made_up)


def left_over(folder: Path) -> int:
    """Return the number of processes that were started for a folder and still run."""
    count = 0
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("MADE_UP_FOR") == str(folder)
            count += is_ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
    return count


async def _attack(options: Options, report: Report, folder: Path) -> None:
    kinds = list(made_up_mcp_server.kinds())
    Random(options.seed).shuffle(kinds)
    kinds = kinds[: options.count or len(kinds)]
    if shutil.which(SQLITE):
        kinds.append(SQLITE)
    servers = servers_of(kinds, folder)
    trust = McpTrust(PermissionFile(folder / "permissions"), PinFile(folder / "pins"), allows_all=True)
    tools = _ListenedTools(lambda: servers, folder / "mcp.log", folder, os.environ, trust)
    engine, keys_s = _CallingEngine(tokens_per_message=1), list[float]()
    n_messages = n_sentences = n_stopped = 0
    async with open_app(folder, engine, (120, 40), toolbox=Toolbox(source=tools)) as app:
        app.session.set_tool_runner(ToolRunner(ConsentRules(allows_all=True)))
        idle_s = await times_while_idle(app)
        for kind in kinds:
            engine.kind, tools.sentences = kind, []
            app.session.set_options(TurnOptions(tools=(f"mcp:{kind}",)))
            for _ in range(2):
                app.screen.input.text = ""
                await app.say(kind)
                n_messages += 1
                times_s, was_stopped = await _type(app, kind, tools)
                keys_s += times_s
                n_stopped += was_stopped
                if not was_stopped and not await _has_answer(app):
                    report.failures.append(
                        f"{kind}: the chat does not go on: {app.session.messages[-1]!r:.300}"
                    )
                if kind == "Hanging":
                    break  # half a minute of it is enough
            _check_state(kind, tools, report)
            n_sentences += len(tools.sentences)
        began_s = time.perf_counter()
        await tools.close()
        end_s = time.perf_counter() - began_s
    report.check(not (n_left := left_over(folder)), f"{n_left} processes are left")
    report.check(end_s <= MAX_END_S, f"the end took {end_s:.1f} s")
    report.figures["servers"] = (
        f"{len(kinds)} kinds, {n_messages} messages, {n_stopped} stopped, {n_sentences} sentences"
    )
    report_keys(report, keys_s, idle_s, "servers")
    report.figures["end of all processes"] = f"{end_s:.2f} s"


async def _has_answer(app: Harness) -> bool:
    """Return whether the chat ends with the answer, at the latest after a moment."""
    until_s = time.monotonic() + CALL_LIMIT_S
    while (last := app.session.messages[-1].message.content) != ANSWER and time.monotonic() < until_s:
        await app.pilot.pause(KEY_PAUSE_S)
    return last == ANSWER


def _check_state(kind: str, tools: _ListenedTools, report: Report) -> None:
    is_unready = kind in UNREADY or (kind == SQLITE and tools.status(kind).state is McpState.FAILED)
    sentences = [sentence for sentence in tools.sentences if kind in sentence]
    if (tools.status(kind).state is McpState.FAILED) != is_unready:
        report.failures.append(f"{kind}: is {tools.status(kind).state}: {sentences}")
    if is_unready and not 1 <= len(sentences) <= 2:  # once for each message
        report.failures.append(f"{kind}: {len(sentences)} sentences")


async def _type(app: Harness, kind: str, tools: McpTools) -> tuple[list[float], bool]:
    """Type until the turn has ended, or stop it; return how long the keys took, and if it was stopped."""
    times_s, ready_s, was_stopped = list[float](), 0.0, False
    while app.screen.is_answering:
        times_s.append(await time_of_key(app))
        if not ready_s and tools.status(kind).state is McpState.READY:
            ready_s = time.monotonic()
        if ready_s and not was_stopped and time.monotonic() - ready_s > CALL_LIMIT_S:
            was_stopped = True
            app.screen.turns.stop()  # as Esc does
    return times_s, was_stopped


def attack(options: Options) -> Report:
    """Start a server of each kind in the app, have it called twice, end them all."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_attack(options, report, Path(folder)))
    return report
