"""Conversations in which the app or its engine is killed at a random moment, and what is left of them."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import ioctl
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic

import psutil

from attacks.report import Options, Report
from environment import ROOT
from qwen3_chat.demo import DEMO_FILE
from tests.engine import model_files
from tests.prompt.conftest import opened

N_CONVERSATIONS = 300
WORKER_LIMIT_S = 2.0
"""The time within which the engine of a killed app must have ended."""
LOST_LIMIT_S = 1.0
"""Of an answer, at most what arrived within this time before the kill may be lost."""
SETTLED_S = 1.0
"""A message that was sent this long before the kill must be in the store or in the draft."""
SAMPLE_SLACK = 15
"""The factor on these limits for a sample, which runs beside other work."""
ENGINE_END_S = 10.0
"""The time that the app has to store an answer whose engine was killed."""
WAIT_LIMIT_S = 90.0
CONTINUE_KEY = b"\x1b[17~"  # F6
READY = b"Thinking"


@dataclass
class Toll:
    """The sums over all conversations."""

    kinds: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    in_flight: int = 0
    """Messages sent so shortly before the kill that the app may not have read them."""
    continued: int = 0
    lost_s: float = 0.0
    worker_s: float = 0.0
    slack: int = 1


def attack(options: Options) -> Report:
    """Hold conversations, each in a home of its own, and check what is left after each kill."""
    report, rng = Report(), Random(options.seed)
    toll = Toll(slack=1 if options.count is None else SAMPLE_SLACK)
    with TemporaryDirectory(prefix="qwen3-chat-kills-") as name:
        folder = Path(name)
        model = _tireless_model(folder)
        for number in range(options.count or N_CONVERSATIONS):
            conversation = Conversation(f"conversation {number}", folder / str(number), model, report, toll)
            rng.choice(KINDS)(conversation, rng)
    report.figures["conversations"] = ", ".join(f"{count} {kind}" for kind, count in toll.kinds.items())
    lost = sum("message lost" in failure for failure in report.failures)
    report.figures["messages lost"] = f"{lost} of {toll.messages}; {toll.in_flight} were on their way"
    report.figures["answers continued"] = str(toll.continued)
    report.figures["most lost of an answer"] = f"{toll.lost_s:.2f} s"
    report.figures["slowest end of an engine"] = f"{toll.worker_s:.2f} s"
    return report


def _tireless_model(folder: Path) -> Path:
    """Make a model that never ends its answer."""
    path = folder / "tireless.gguf"
    with _quiet_stderr():
        for open_vocab in opened(DEMO_FILE):
            vocab = open_vocab.vocab
            model_files.make(path, DEMO_FILE, partial(model_files.tireless, vocab=vocab))
    return path


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what llama.cpp writes to the descriptor while it reads the vocabulary."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


class Conversation:
    """One conversation in a home of its own, with the checks after a kill."""

    def __init__(self, name: str, home: Path, model: Path, report: Report, toll: Toll) -> None:
        self.name, self.home, self.model, self.report, self.toll = name, home, model, report, toll
        self.environment = {
            **os.environ,
            "QWEN3_CHAT_HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
        }

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the app."""
        return [sys.executable, "-m", "qwen3_chat", *arguments, "--gguf", str(self.model), "--lang", "en"]

    def check(self, holds: bool, failure: str) -> None:
        """Note a failure of this conversation unless the condition holds."""
        self.report.check(holds, f"{self.name}: {failure}")

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Read from the database; nothing if there is none yet."""
        path = self.home / "data" / "chats.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
            return connection.execute(statement).fetchall()
        return []

    def check_store(self) -> None:
        """Check that the database is whole."""
        for (found,) in self.rows("PRAGMA integrity_check"):
            self.check(found == "ok", f"the database is damaged: {found}")

    def check_message(self, text: str) -> bool:
        """Return whether a message is in the store or in a draft."""
        self.toll.messages += 1
        drafts = [str(draft) for (draft,) in self.rows("SELECT draft FROM chats")]
        with suppress(OSError):
            drafts.append((self.home / "data" / "draft.json").read_text(errors="replace"))
        stored = [
            str(content) for (content,) in self.rows("SELECT content FROM messages WHERE role = 'user'")
        ]
        return any(text in place for place in (*stored, *drafts))

    def answer_characters(self) -> int:
        """Return the length of the latest reply, its thinking included."""
        found = self.rows(
            "SELECT length(content) + length(reasoning) FROM messages WHERE role = 'assistant'"
            " ORDER BY id DESC LIMIT 1"
        )
        return int(str(found[0][0])) if found else 0

    def kill(self, app: psutil.Process) -> None:
        """Kill the app, and check that no process that it started outlives it."""
        children = {os.pidfd_open(child.pid): child for child in app.children(recursive=True)}
        app.kill()
        start_s = monotonic()
        alive = set(children)
        limit_s = WORKER_LIMIT_S * self.toll.slack
        while alive and (left_s := start_s + limit_s - monotonic()) > 0:
            alive -= set(select.select(alive, [], [], left_s)[0])
        took_s = monotonic() - start_s
        self.toll.worker_s = max(self.toll.worker_s, took_s)
        self.check(not alive, f"an engine lived for {took_s:.1f} s after its app")
        for descriptor, child in children.items():
            if descriptor in alive:
                child.kill()
            os.close(descriptor)


def ask(conversation: Conversation, rng: Random) -> None:
    """Kill the app, or its engine, while `ask` writes an answer."""
    kills_engine = rng.random() < 0.3
    conversation.toll.kinds["ask, its engine killed" if kills_engine else "ask, killed"] += 1
    app = subprocess.Popen(
        conversation.command("ask", "--jsonl", "How are you?"),
        env=conversation.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert app.stdout is not None
    received: list[tuple[float, int]] = []
    is_stored = threading.Event()

    def read(lines: Callable[[], bytes]) -> None:
        characters = 0
        while line := lines():
            event = json.loads(line)
            if event["type"] == "user_stored":
                is_stored.set()
            elif event["type"] in ("reasoning_delta", "answer_delta"):
                characters += len(event["text"])
                received.append((monotonic(), characters))

    reader = threading.Thread(target=read, args=(app.stdout.readline,))
    reader.start()
    if rng.random() < 0.8:
        is_stored.wait(WAIT_LIMIT_S)
    process = psutil.Process(app.pid)
    with suppress(subprocess.TimeoutExpired):
        app.wait(rng.uniform(0.0, 2.5))
    killed_s = monotonic()
    was_stored = is_stored.is_set()
    if kills_engine:
        for engine in process.children():
            engine.kill()
        with suppress(subprocess.TimeoutExpired):  # an engine that had not begun to answer is started again
            app.wait(ENGINE_END_S)
        app.kill()
        app.wait()
    else:
        conversation.kill(process)
        app.wait()
    reader.join()
    app.stdout.close()
    if was_stored:
        conversation.check(conversation.check_message("How are you?"), "message lost")
    kept = conversation.answer_characters()
    lost = [at_s for at_s, characters in received if characters > kept and at_s < killed_s]
    if lost:
        conversation.toll.lost_s = max(conversation.toll.lost_s, killed_s - lost[0])
        conversation.check(
            killed_s - lost[0] <= LOST_LIMIT_S * conversation.toll.slack,
            f"{killed_s - lost[0]:.2f} s of the answer lost",
        )
    conversation.check_store()


def type_and_kill(conversation: Conversation, rng: Random) -> None:
    """Kill the app in its terminal after a message was sent; then, perhaps, while the answer is continued."""
    conversation.toll.kinds["in a terminal"] += 1
    text = f"question {rng.randrange(10**6)}"
    with _terminal(conversation.command(), conversation.environment) as terminal:
        conversation.check(terminal.wait_for(READY), "the app did not open")
        terminal.type(text.encode())
        conversation.check(terminal.wait_for(text[-6:].encode()), "what was typed was not shown")
        terminal.type(b"\r")
        if continues := rng.random() < 0.5:
            end_s = monotonic() + WAIT_LIMIT_S
            while not conversation.answer_characters() and monotonic() < end_s:
                terminal.watch(0.1)
        alive_s = rng.uniform(0.0, 3.0)
        terminal.watch(alive_s)
        conversation.kill(terminal.process)
    is_kept = conversation.check_message(text)
    if continues or alive_s >= SETTLED_S:
        conversation.check(is_kept, "message lost")
    elif not is_kept:
        conversation.toll.in_flight += 1
    conversation.check_store()
    before = conversation.answer_characters()
    if before and continues:
        _continue_and_kill(conversation, rng, before)


def _continue_and_kill(conversation: Conversation, rng: Random, before: int) -> None:
    conversation.toll.continued += 1
    arguments = conversation.command("--chat", "last")
    with _terminal(arguments, conversation.environment) as terminal:
        conversation.check(terminal.wait_for(READY), "the app did not open again")
        terminal.watch(1.0)
        terminal.type(CONTINUE_KEY)
        terminal.watch(rng.uniform(0.0, 4.0))
        conversation.kill(terminal.process)
    after = conversation.answer_characters()
    conversation.check(
        after >= before, f"an answer of {before} characters has {after} after it was continued"
    )
    conversation.check_store()


KINDS = (ask, type_and_kill)


class _Terminal:
    """An app on a pseudo-terminal, whose output is read as it comes."""

    def __init__(self, process: psutil.Process, descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._output = b""

    def type(self, keys: bytes) -> None:
        """Type keys."""
        with suppress(OSError):
            os.write(self._descriptor, keys)

    def watch(self, seconds: float) -> None:
        """Read the output for a time."""
        self._read_until(monotonic() + seconds, lambda: False)

    def wait_for(self, text: bytes) -> bool:
        """Read until a text was written; return False if it never is."""
        self._read_until(monotonic() + WAIT_LIMIT_S, lambda: text in self._output)
        return text in self._output

    def _read_until(self, end_s: float, holds: Callable[[], bool]) -> None:
        while not holds() and (left_s := end_s - monotonic()) > 0:
            ready, _, _ = select.select([self._descriptor], [], [], left_s)
            if ready:
                try:
                    self._output += os.read(self._descriptor, 1 << 16)
                except OSError:  # the app has ended
                    return


@contextmanager
def _terminal(command: list[str], environment: dict[str, str]) -> Iterator[_Terminal]:
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    app = subprocess.Popen(
        command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield _Terminal(psutil.Process(app.pid), master)
    finally:
        with suppress(ProcessLookupError):
            os.kill(app.pid, signal.SIGKILL)
        app.wait()
        os.close(master)
