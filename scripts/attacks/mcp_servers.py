"""MCP servers of every bad kind: each costs a sentence at most, the loop goes on, and no process is left."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import psutil

import made_up_mcp_server
from attacks.report import Options, Report
from qwen3_chat.events import Notice
from qwen3_chat.mcp.mcp_tools import McpState, McpTools, McpTrust
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.texts import t
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool import ToolError
from qwen3_chat.tools.tool_source import ToolServerStarting

CALL_LIMIT_S: Final = 3.0
START_LIMIT_S: Final = 30.0
MAX_STALL_S: Final = 0.05
"""The longest time for which the event loop may be held up: a key waits as long."""
MAX_END_S: Final = 2.0
PULSE_S: Final = 0.005
UNREADY: Final = {"Hanging", "CrashingAtOnce", "EndlessLine", "EndlessJunk"}
"""The kinds that can't be used at all."""


class Pulse:
    """The longest time for which the event loop was held up."""

    def __init__(self) -> None:
        self.stalls: list[float] = []

    async def beat(self) -> None:
        """Measure until cancelled."""
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(PULSE_S)
            self.stalls.append(max(0.0, time.perf_counter() - began_s - PULSE_S))

    @property
    def p99_s(self) -> float:
        """The time that 99 of 100 beats keep within."""
        return sorted(self.stalls)[int(len(self.stalls) * 0.99)] if self.stalls else 0.0


def servers_of(kinds: list[str], folder: Path) -> McpServers:
    """Return a server of each kind, known by a variable so that its processes can be counted."""
    script = made_up_mcp_server.__file__
    server = McpServer("", Transport.STDIO, sys.executable, ("-S", script), {"MADE_UP_FOR": str(folder)})
    return McpServers(
        {
            kind: replace(server, name=kind, arguments=("-S", script, kind), timeout_s=START_LIMIT_S)
            for kind in kinds
        }
    )


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
    servers = servers_of(kinds, folder)
    trust = McpTrust(PermissionFile(folder / "permissions"), PinFile(folder / "pins"), allows_all=True)
    tools = McpTools(lambda: servers, folder / "mcp.log", folder, os.environ, trust)
    pulse, n_calls, n_sentences = Pulse(), 0, 0
    beating = asyncio.create_task(pulse.beat())
    for kind in kinds:
        sentences = list[str]()

        def listen(event: Notice | ToolServerStarting, sentences: list[str] = sentences) -> None:
            if isinstance(event, Notice) and event.key != "mcp.starts":
                sentences.append(t(event.key, **event.values))

        await tools.prepare([f"mcp:{kind}"], listen)
        state = tools.status(kind).state
        if (state is McpState.READY) == (kind in UNREADY):
            report.failures.append(f"{kind}: is {state}: {sentences}")
        if kind in UNREADY and len(sentences) != 1:
            report.failures.append(f"{kind}: {len(sentences)} sentences")
        for _ in range(2):
            for tool in tools.tools_named(f"mcp:{kind}")[:1]:
                n_calls += 1
                try:
                    async with asyncio.timeout(CALL_LIMIT_S):
                        await tool.run({"text": "hi"})
                except (ToolError, TimeoutError):
                    pass
                except Exception as error:
                    report.failures.append(f"{kind}: {type(error).__name__}: {str(error)[:200]}")
        n_sentences += len(sentences)
    beating.cancel()
    began_s = time.perf_counter()
    await tools.close()
    end_s = time.perf_counter() - began_s
    if (n_left := left_over(folder)) > 0:
        report.failures.append(f"{n_left} processes are left")
    if end_s > MAX_END_S:
        report.failures.append(f"the end took {end_s:.1f} s")
    if pulse.p99_s > MAX_STALL_S:
        report.failures.append(f"the event loop was held up for {pulse.p99_s * 1000:.0f} ms")
    longest_ms = max(pulse.stalls, default=0) * 1000
    report.figures |= {
        "servers": f"{len(kinds)} kinds, {n_calls} calls, {n_sentences} sentences",
        "event loop held up": f"{pulse.p99_s * 1000:.0f} ms in 99 of 100, {longest_ms:.0f} ms at most",
        "end of all processes": f"{end_s:.2f} s",
    }


def attack(options: Options) -> Report:
    """Start a server of each kind, call it twice, end them all."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_attack(options, report, Path(folder)))
    return report
