"""Turns with tool calls in which the app is killed at a random event, and the chats that go on after it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from attacks.kills import WAIT_LIMIT_S, Conversation, Toll
from attacks.report import Options, Report
from qwen3_chat.demo import DEMO_FILE

N_TURNS = 200
MAX_EVENTS = 40
"""The events of a turn with one call are about so many."""
MAX_DELAY_S = 0.05
"""The longest time between an event and the kill."""
PROGRAM = (sys.executable, "-m", "qwen3_chat")
STOPPED = "stopped before it had a result"


def attack(options: Options) -> Report:
    """Kill turns, each in a home of its own; then ask once more, and check every call of the chat."""
    report, rng = Report(), Random(options.seed)
    kills, calls = Counter[str](), Counter[str]()
    toll = Toll(slack=1 if options.count is None else 15)
    with TemporaryDirectory(prefix="qwen3-chat-tool-kills-") as name:
        for number in range(options.count or N_TURNS):
            turn = Conversation(f"turn {number}", Path(name) / str(number), DEMO_FILE, report, toll)
            kills[_ask_and_kill(turn, rng)] += 1
            turn.check_store()
            if turn.rows("SELECT 1 FROM messages"):
                _go_on(turn, calls)
    report.figures["killed after"] = ", ".join(f"{count} {kind}" for kind, count in kills.most_common())
    report.figures["calls"] = ", ".join(f"{count} {kind}" for kind, count in calls.items())
    report.figures["slowest end of an engine"] = f"{toll.worker_s:.2f} s"
    return report


def _question(turn: Conversation, text: str, *arguments: str) -> list[str]:
    return turn.command("ask", *arguments, "--tools", "calculator", text)


def _ask_and_kill(turn: Conversation, rng: Random) -> str:
    """Return the type of the event after which the app was killed."""
    app = subprocess.Popen(
        _question(turn, f"Compute {rng.randint(10, 999)} * {rng.randint(10, 99)}.", "--jsonl"),
        env=turn.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert app.stdout is not None
    seen = "start"
    with app.stdout:
        for _ in range(rng.randrange(MAX_EVENTS)):
            if not (line := app.stdout.readline()):
                break
            seen = str(json.loads(line)["type"])
        with suppress(subprocess.TimeoutExpired):
            app.wait(rng.uniform(0.0, MAX_DELAY_S))
        with suppress(psutil.NoSuchProcess):
            turn.kill(psutil.Process(app.pid))
    app.wait()
    return seen


def _go_on(turn: Conversation, calls: Counter[str]) -> None:
    """Ask another question in the chat; check that each of its calls has one result."""
    answer = _run(turn, _question(turn, "And 3 + 4?", "--json", "--chat", "last"))
    turn.check(answer.returncode == 0, f"the chat does not go on: {answer.stderr.strip()}")
    exported = _run(turn, [*PROGRAM, "export", "last", "--format", "json"])
    turn.check(exported.returncode == 0, f"no export: {exported.stderr.strip()}")
    if exported.returncode:
        return
    messages: list[dict[str, Any]] = json.loads(exported.stdout)["messages"]
    for index, message in enumerate(messages):
        made = [call["id"] for call in message.get("tool_calls", ())]
        results = messages[index + 1 : index + 1 + len(made)]
        ids = [result.get("call", {}).get("id") for result in results]
        turn.check(ids == made, f"calls {made} have the results of {ids}")
        for result in results:
            calls["told as stopped" if STOPPED in result["content"] else "with a result"] += 1
    wanted = {call["id"] for message in messages for call in message.get("tool_calls", ())}
    given = [message["call"]["id"] for message in messages if "call" in message]
    turn.check(sorted(given) == sorted(wanted), f"results of {given}, calls {wanted}")


def _run(turn: Conversation, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=turn.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_LIMIT_S,
        stdin=subprocess.DEVNULL,
    )
