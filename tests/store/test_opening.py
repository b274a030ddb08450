"""The opening of a database: created, upgraded, refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore
from qwen3_chat.store.migrations import MIGRATIONS
from tests.store.clock import Clock

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def share(path: Path) -> None:
    path.chmod(0o644)


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def damage(path: Path) -> None:
    """Overwrite everything after the first page."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    path = tmp_path / "chats.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / "version_1.sql").read_text())
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@posix
async def test_only_the_owner_can_read_the_chats(path: Path) -> None:
    store = await ChatStore.open(path)
    await store.create_chat()
    files = names(path.parent)
    assert files == ["chats.db", "chats.db-shm", "chats.db-wal"]
    assert [mode(path.parent / name) for name in files] == [0o600] * 3
    assert mode(path.parent) == 0o700
    await store.close()


@posix
async def test_a_file_that_others_could_read_becomes_private(version_1: Path) -> None:
    share(version_1)
    await (await ChatStore.open(version_1)).close()
    assert mode(version_1) == 0o600


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    path.touch()
    await (await ChatStore.open(path)).close()
    assert version_of(path) == len(MIGRATIONS)
    assert names(tmp_path) == ["chats.db"]


async def test_a_database_of_version_1_is_read_and_searched(version_1: Path, clock: Clock) -> None:
    store = await ChatStore.open(version_1, clock=clock)
    chat = await store.chat(4)
    question, answer = await store.branch(4)
    assert (chat.title, chat.system, chat.mode_override) == (
        "草莓 strawberries",
        "Be brief.",
        ThinkingMode.NO_THINK,
    )
    assert question.message == ChatMessage(
        Role.USER, "How many r's in strawberries?", mode_tag=ThinkingMode.THINK
    )
    assert answer.message == ChatMessage(Role.ASSISTANT, "**3**，没错。", "Let me count.")
    assert (answer.meta.model, answer.meta.seed) == ("Qwen3-0.6B", 7)
    assert answer.meta.stop_reason is StopReason.END_OF_TURN
    assert answer.token_ids == (1, 2)
    found = {query: [hit.message_id for hit in await store.find(query)] for query in ("没错", "count", "cut")}
    assert found == {"没错": [8], "count": [8], "cut": [9]}
    assert [summary.id for summary in await store.chats("草莓")] == [4]
    await store.close()
    assert version_of(version_1) == len(MIGRATIONS)


async def test_an_upgrade_leaves_a_private_copy_of_the_file_as_it_was(version_1: Path, clock: Clock) -> None:
    await (await ChatStore.open(version_1, clock=clock)).close()
    (copy,) = set(version_1.parent.iterdir()) - {version_1}
    assert copy.name == f"chats-v1-{clock.now:%Y%m%dT%H%M%S}.db"
    assert mode(copy) == 0o600
    assert version_of(copy) == 1
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (3,)
    await (await ChatStore.open(version_1, clock=clock)).close()
    assert len(names(version_1.parent)) == 2


async def test_a_migration_that_fails_changes_nothing(version_1: Path) -> None:
    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE messages")
        connection.execute("nonsense")

    with pytest.raises(StoreError):
        await ChatStore.open(version_1, migrations=(*MIGRATIONS, breaks))
    assert version_of(version_1) == 1
    assert names(version_1.parent) == ["chats.db"]
    store = await ChatStore.open(version_1)
    assert len(await store.branch(4)) == 2
    await store.close()


async def test_without_a_copy_there_is_no_upgrade_and_the_chats_are_read(
    version_1: Path, clock: Clock
) -> None:
    path = rename(version_1, "c" * 240 + ".db")  # no name is left for a copy of it
    store = await ChatStore.open(path, clock=clock)
    assert store.read_only_reason is not None
    assert store.read_only_reason.code == ErrorCode.CHAT_DATABASE_NOT_COPIED
    assert len(await store.branch(4)) == 2
    assert [summary.id for summary in await store.chats("草莓")] == [4]
    await store.close()
    assert version_of(path) == 1


async def test_apps_that_start_together_upgrade_once(version_1: Path, clock: Clock) -> None:
    stores = await asyncio.gather(*(ChatStore.open(version_1, clock=clock) for _ in range(5)))
    for store in stores:
        assert len(await store.branch(4)) == 2
        await store.close()
    assert len(list(version_1.parent.glob("chats-v1-*.db"))) == 1


async def test_apps_that_start_together_on_nothing_make_one_database(path: Path) -> None:
    stores = await asyncio.gather(*(ChatStore.open(path) for _ in range(8)))
    for store in stores:
        await store.create_chat()
    assert len(await stores[0].chats()) == 8
    for store in stores:
        await store.close()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / "version_1.sql").read_text())
        connection.execute("PRAGMA user_version = 99")


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def _no_database(path: Path) -> None:
    path.write_text("# Not a database\n" * 100)


REFUSED = [
    (_newer, ErrorCode.CHAT_DATABASE_NEWER),
    (_foreign, ErrorCode.CHAT_DATABASE_FOREIGN),
    (_no_database, ErrorCode.CHAT_DATABASE_INVALID),
]


@pytest.mark.parametrize(("make", "code"), REFUSED)
async def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], code: ErrorCode
) -> None:
    path = tmp_path / "chats.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        await ChatStore.open(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["chats.db"]


async def test_a_damaged_database_is_told_in_a_sentence(path: Path) -> None:
    store = await ChatStore.open(path)
    chat = await store.create_chat()
    for _ in range(50):
        await store.add_message(chat.id, None, ChatMessage(Role.USER, "x" * 4000))
    await store.close()
    damage(path)
    with pytest.raises(StoreError) as caught:
        await ChatStore.open(path)
    assert caught.value.code == ErrorCode.CHAT_DATABASE_DAMAGED


async def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        await ChatStore.open(tmp_path)
    assert caught.value.code == ErrorCode.CHAT_DATABASE_NOT_WRITABLE


async def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StoreError) as caught:
        await ChatStore.open(tmp_path / "data" / "chats.db")
    assert caught.value.code == ErrorCode.CHAT_DATABASE_NOT_WRITABLE


AS_NOBODY = """
import asyncio, os, sys, pathlib
from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore
from qwen3_chat.texts import Language, set_language
set_language(Language.EN)  # loaded now: the checkout may be private to root
if os.geteuid() == 0:  # to root every folder is writable
    os.seteuid(65534)

async def read():
    store = await ChatStore.open(pathlib.Path(sys.argv[1]))
    print(store.read_only_reason.code, *store.take_notices())
    print([chat.id for chat in await store.chats()], len(await store.branch(4)))
    try:
        await store.create_chat()
    except StoreError as error:
        print(error.code)
    await store.close()

try:
    asyncio.run(read())
except StoreError as error:
    print(error.code, error)
"""


def open_as_nobody(path: Path) -> list[str]:
    """Open a database as a user without rights; return what the program prints."""
    command = [sys.executable, "-B", "-c", AS_NOBODY, str(path)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    return run.stdout.splitlines()


@posix
def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    (line,) = open_as_nobody(open_folder / "chats.db")
    assert line.startswith("chat_database_not_writable The chat database")


@posix
@pytest.mark.parametrize("version", ["old", "current", "with a log"])
def test_chats_that_cannot_be_written_are_read(open_folder: Path, version: str) -> None:
    path = open_folder / "chats.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / "version_1.sql").read_text())
    if version != "old":
        asyncio.run(_upgrade(path))
    with closing(sqlite3.connect(path)) as writer:
        if version == "with a log":  # as a killed app leaves it
            writer.execute("INSERT INTO chats (title, created_at, updated_at) VALUES ('new', 9, 9)")
            writer.commit()
            for file in list(open_folder.glob("chats.db*")):
                shutil.copy(file, open_folder / file.name.replace("chats", "killed"))
            path = open_folder / "killed.db"
            (open_folder / "killed.db-shm").unlink()
        for file in open_folder.iterdir():
            file.chmod(0o444)
        open_folder.chmod(0o555)
        notice, found, refused = open_as_nobody(path)
    assert notice.startswith("chat_database_not_writable The chats can be read and exported")
    chats, messages = found.rsplit(" ", 1)
    assert chats == ("[4, 5]" if version == "with a log" else "[4]")
    assert messages == "2"
    assert refused == "chat_database_not_writable"


async def _upgrade(path: Path) -> None:
    await (await ChatStore.open(path)).close()


async def test_a_full_disk_is_told_in_a_sentence_and_loses_nothing_older(path: Path) -> None:
    store = await ChatStore.open(path)
    chat = await store.create_chat()
    kept = await store.add_message(chat.id, None, ChatMessage(Role.USER, "kept"))
    connection = store._database._connection
    assert connection is not None
    await store._database._submit(lambda: connection.execute("PRAGMA max_page_count = 1").fetchone())
    with pytest.raises(StoreError) as caught:
        await store.add_message(chat.id, kept.id, ChatMessage(Role.USER, "x" * 100_000))
    assert caught.value.code == ErrorCode.CHAT_DATABASE_DISK_FULL
    assert await store.branch(chat.id) == (kept,)
    await store.close()


async def test_a_closed_store_says_so(path: Path) -> None:
    store = await ChatStore.open(path)
    await store.close()
    await store.close()
    with pytest.raises(StoreError) as caught:
        await store.chats()
    assert caught.value.code == ErrorCode.CHAT_DATABASE_CLOSED
