"""Stores that are damaged, full, read-only, held or taken away, and what each command makes of them."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic

from attacks.report import Options, Report
from environment import ROOT
from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore, MessageMeta

N_DAMAGED = 1_000
N_CHATS, N_MESSAGES = 4, 8
LIMIT_S = 60.0
"""The time after which a use of a store counts as a hang, on a machine with other work."""
MOUNT_OPTIONS = "size=4m,mode=700"
COMMANDS = (
    ("chats",),
    ("chats", "--json"),
    ("chats", "--search", "word"),
    ("export", "last"),
    ("export", "1", "--format", "html"),
    ("ask", "--demo", "--max-tokens", "4", "--no-think", "Hello"),
    ("ask", "--demo", "--max-tokens", "4", "--chat", "1", "--json", "Hello"),
)
READING = frozenset({"chats", "export"})
JUNK: tuple[object, ...] = (
    None,
    "",
    "x",
    -1,
    1 << 62,
    1e300,
    b"\xff\x00",
    "\x1b]0;owned\x07",
    "[" * 5_000,
    '{"usage": {"answer_tokens": 1e300}}',
)


def attack(options: Options) -> Report:
    """Damage copies of a store one by one, then run each command on each kind of bad store."""
    report = Report()
    rng = Random(options.seed)
    with TemporaryDirectory(prefix="qwen3-chat-stores-") as name:
        original = Path(name) / "original.db"
        asyncio.run(_fill(original))
        _use_damaged(Path(name), original, rng, options.count or N_DAMAGED, report)
        _run_commands(Path(name), original, rng, report, is_whole=options.count is None)
    return report


async def _fill(path: Path) -> None:
    store = await ChatStore.open(path)
    for chat_number in range(N_CHATS):
        chat = await store.create_chat(system="Be brief.")
        parent: int | None = None
        for number in range(N_MESSAGES):
            role = Role.ASSISTANT if number % 2 else Role.USER
            message = ChatMessage(
                role, f"word {chat_number} {number} " + "text " * 300, "thought" * (number % 2)
            )
            meta = MessageMeta(model="Qwen3-0.6B", stop_reason=StopReason.END_OF_TURN)
            parent = (await store.add_message(chat.id, parent, message, meta)).id
    await store.close()


# damaged files, used in this process


def _use_damaged(folder: Path, original: Path, rng: Random, count: int, report: Report) -> None:
    outcomes: Counter[str] = Counter()
    slowest_s = 0.0
    for number in range(count):
        kind, damage = rng.choice(DAMAGES)
        path = folder / f"damaged-{number}.db"
        path.write_bytes(original.read_bytes())
        damage(path, rng)
        start_s = monotonic()
        try:
            outcomes[asyncio.run(_use(path))] += 1
        except Exception as error:  # any error but a StoreError is what the attack looks for
            report.failures.append(f"case {number}, {kind}: {type(error).__name__}: {str(error)[:200]}")
        slowest_s = max(slowest_s, monotonic() - start_s)
        for file in folder.glob(f"damaged-{number}*"):
            file.unlink()
    report.figures["damaged stores"] = f"{count}: " + ", ".join(
        f"{number} {outcome}" for outcome, number in sorted(outcomes.items())
    )
    report.figures["slowest use"] = f"{slowest_s:.1f} s"


async def _use(path: Path) -> str:
    """List, open, export, search and write; return whether the store was whole, damaged or refused.

    Raises:
        TimeoutError: it never ended.
    """
    outcome = "read whole"
    async with asyncio.timeout(LIMIT_S):
        try:
            store = await ChatStore.open(path)
        except StoreError:
            return "refused with a sentence"
        calls: list[Callable[[], object]] = [
            lambda: store.chats(),
            lambda: store.chats("word"),
            lambda: store.find("word"),
            lambda: store.latest_chat(),
            lambda: store.latest_questions(),
        ]
        for chat_id in range(1, N_CHATS + 1):
            calls += [lambda chat_id=chat_id: _export(store, chat_id)]  # type: ignore[misc]
        for call in calls:
            try:
                await call()  # type: ignore[misc]
            except StoreError:
                outcome = "read in part"
        if store.take_notices():
            outcome = "read in part"
        await store.close()
    return outcome


async def _export(store: ChatStore, chat_id: int) -> None:
    chat, messages = await store.chat(chat_id), await store.branch(chat_id)
    for format in ExportFormat:
        render(chat, messages, format)
    await store.forks(chat_id)
    if messages:
        await store.newest_leaf(chat_id, messages[0].id)
    await store.add_message(chat_id, messages[-1].id if messages else None, ChatMessage(Role.USER, "more"))


def _flip_bytes(path: Path, rng: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 4, 16, 64))):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def _damage_pages(path: Path, rng: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.randrange(1, 4)):
        start = rng.randrange(len(content) // 4096) * 4096
        content[start : start + 4096] = rng.choice((bytes(4096), rng.randbytes(4096)))
    path.write_bytes(content)


def _truncate(path: Path, rng: Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def _damage_cells(path: Path, rng: Random) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for _ in range(rng.randrange(1, 6)):
            table = rng.choice(("chats", "messages"))
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            column, value = rng.choice(columns), rng.choice(JUNK)
            row_id = rng.randrange(1, N_CHATS * N_MESSAGES + 1 if table == "messages" else N_CHATS + 1)
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (value, row_id))
            except sqlite3.IntegrityError:
                text = rng.randbytes(6)
                connection.execute(
                    f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE id = ?", (text, row_id)
                )
        connection.commit()


def _tangle_tree(path: Path, rng: Random) -> None:
    n_messages = N_CHATS * N_MESSAGES
    with closing(sqlite3.connect(path)) as connection:
        for _ in range(rng.randrange(1, 6)):
            child, parent = rng.randrange(1, n_messages + 1), rng.randrange(1, n_messages + 20)
            connection.execute("UPDATE messages SET parent_id = ? WHERE id = ?", (parent, child))
        head = rng.randrange(1, n_messages + 20)
        connection.execute("UPDATE chats SET head_id = ? WHERE id = ?", (head, rng.randrange(1, N_CHATS + 1)))
        connection.commit()


DAMAGES: tuple[tuple[str, Callable[[Path, Random], None]], ...] = (
    ("bytes flipped", _flip_bytes),
    ("pages overwritten", _damage_pages),
    ("truncated", _truncate),
    ("cells changed", _damage_cells),
    ("a tangled tree", _tangle_tree),
)


# each command on each kind of store


def _run_commands(folder: Path, original: Path, rng: Random, report: Report, *, is_whole: bool) -> None:
    done: Counter[str] = Counter()
    skipped = []
    for kind, prepared in STORES:
        commands = COMMANDS if is_whole else rng.sample(COMMANDS, 2)
        for number, command in enumerate(commands):
            home = folder / f"{kind.replace(' ', '-')}-{number}"
            try:
                with prepared(home, original):
                    _run_command(kind, home, command, report)
            except PermissionError:
                skipped.append(kind)
                break
            done[kind] += 1
    report.figures["commands"] = ", ".join(f"{number} on a store {kind}" for kind, number in done.items())
    if skipped:
        report.figures["skipped for want of root"] = ", ".join(skipped)


def _run_command(kind: str, home: Path, command: tuple[str, ...], report: Report) -> None:
    environment = {**os.environ, "QWEN3_CHAT_HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    name = f"{' '.join(command)} on a store {kind}"
    try:
        run = subprocess.run(
            [sys.executable, "-m", "qwen3_chat", *command, "--lang", "en"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        report.failures.append(f"{name}: did not end")
        return
    report.check(run.returncode in (0, 1), f"{name}: exit status {run.returncode}")
    report.check("Traceback (most" not in run.stdout + run.stderr, f"{name}: {run.stderr[-300:]}")
    report.check(run.returncode == 0 or bool(run.stderr.strip()), f"{name}: failed without a word")
    if command[0] in READING:
        report.check(run.returncode == 0, f"{name}: {run.stderr[-300:]}")
        report.check("word" in run.stdout, f"{name}: shows no chat")
    if "--json" in command and command[0] == "ask":
        json.loads(run.stdout)


def _put_store(home: Path, original: Path) -> Path:
    (home / "data").mkdir(parents=True)
    database = home / "data" / "chats.db"
    database.write_bytes(original.read_bytes())
    return database


@contextmanager
def _sound(home: Path, original: Path) -> Iterator[None]:
    _put_store(home, original)
    yield


@contextmanager
def _held(home: Path, original: Path) -> Iterator[None]:
    with closing(sqlite3.connect(_put_store(home, original), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _on_disk(home: Path, original: Path) -> Iterator[Path]:
    """Put a store on a small disk of its own, with what a killed app left in its log."""
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", MOUNT_OPTIONS, "tmpfs", str(home)], capture_output=True, check=False
    )
    if mounted.returncode:
        raise PermissionError(mounted.stderr)
    try:
        database = _put_store(home, original)
        with closing(sqlite3.connect(database)) as writer:
            writer.execute("UPDATE chats SET title = 'word in the log' WHERE id = 1")
            writer.commit()
            kept = {file: file.read_bytes() for file in database.parent.glob("chats.db*")}
        for file, content in kept.items():
            if not file.name.endswith("-shm"):
                file.write_bytes(content)
        yield database
    finally:
        subprocess.run(["umount", "-l", str(home)], check=False)


@contextmanager
def _read_only(home: Path, original: Path) -> Iterator[None]:
    with _on_disk(home, original):
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        yield


@contextmanager
def _full(home: Path, original: Path) -> Iterator[None]:
    with _on_disk(home, original):
        with open(home / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        yield


STORES = (
    ("that is sound", _sound),
    ("that another program holds", _held),
    ("that is read-only", _read_only),
    ("on a full disk", _full),
)
