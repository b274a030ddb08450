"""A home folder of version 0.1.0, as its commands left it: everything in it is there in this version.

`version_0_1_0` was written by that version: chats asked with `ask`, an edited question, a reply cut off by a
kill, a deleted chat; a draft typed in the interface; settings with every key of the time. Its models are the
demo model, a whole one and a half one, under the names that 0.1.0 gave them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qwen3_chat.chat import Role, StopReason, ThinkingMode
from qwen3_chat.cli.named_servers import load_server_profiles
from qwen3_chat.config import read_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.models.library.installed_models import list_partial_downloads
from qwen3_chat.session.draft_store import Draft, DraftStore
from qwen3_chat.store import ChatStore
from qwen3_chat.store.migrations import MIGRATIONS
from qwen3_chat.texts import Language
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.ui.keymap import DEFAULT_KEYMAP, keymap_from_settings
from qwen3_chat.ui.themes import load_themes
from tests.e2e.conftest import Program
from tests.fakes import FakeEngine
from tests.harness import open_app
from tests.models.hub.fake_hub import FakeHub, sha256
from tests.models.hub.pull_program import PullProgram

FIXTURE = Path(__file__).with_name("version_0_1_0")
COUNTING, CHINESE, SPELLING, KILLED, DELETED, TOOL = range(1, 7)
WHOLE, HALF = "demo/Qwen3-0.6B-GGUF", "demo/Qwen3-4B-GGUF"
N_PART_BYTES = 3_000_000


def write_home(home: Path, demo_gguf: Path) -> None:
    """Write the folder; the demo model stands in for two published files."""
    shutil.copytree(FIXTURE, home, ignore=shutil.ignore_patterns("actions.txt"))
    script = home / "data" / "chats.sql"
    with closing(sqlite3.connect(home / "data" / "chats.db")) as connection:
        connection.executescript(script.read_text("utf-8"))
    script.unlink()
    model = demo_gguf.read_bytes()
    whole = home / "models" / WHOLE / "Qwen3-0.6B-Q8_0.gguf"
    part = home / "models" / HALF / f"Qwen3-4B-Q4_K_M.gguf.{sha256(half_model(model))[:16]}.part"
    for path, data in (
        (whole, model),
        (part, half_model(model)[:N_PART_BYTES]),
        (part.with_name(f"{part.name}.lock"), b""),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def half_model(model: bytes) -> bytes:
    return model[:-32] + bytes(32)


@pytest.fixture
def home(tmp_path: Path, demo_gguf: Path) -> Path:
    home = tmp_path / "app"
    write_home(home, demo_gguf)
    return home


async def test_each_chat_is_there_with_its_versions_options_and_draft(home: Path) -> None:
    store = await ChatStore.open(home / "data" / "chats.db")
    summaries = await store.chats()
    assert [chat.id for chat in summaries] == [COUNTING, TOOL, KILLED, SPELLING, CHINESE]
    counting = await store.chat(COUNTING)
    assert (counting.title, counting.system, counting.pinned) == (
        "Counting letters, 数字母",
        "You are a patient teacher.",
        True,
    )
    question, answer = await store.branch(COUNTING)
    assert question.message.content == "How many l's in lollipop?"
    assert (answer.message.content, answer.message.reasoning) == ("There are **3** l's.", "Letter by letter.")
    assert (answer.meta.model, answer.meta.stop_reason) == ("Qwen3-0.6B", StopReason.END_OF_TURN)
    assert answer.token_ids == (1, 2, 3)
    first = (await store.siblings(question.id))[0]
    assert first.message.content == "How many r's in strawberries?"
    earlier = await store.branch(COUNTING, await store.newest_leaf(COUNTING, first.id))
    assert len(earlier) == 4
    assert earlier[1].meta.usage is not None
    assert len(earlier[1].token_ids) == 104
    chinese = await store.chat(CHINESE)
    assert (chinese.draft, chinese.mode_override) == (
        "a draft for this chat\nin two lines",
        ThinkingMode.NO_THINK,
    )
    assert chinese.options.temperature == 0.4
    *_, killed = await store.branch(KILLED)
    assert (killed.message.content, killed.stop_reason) == ("Once upon a time", StopReason.CANCELLED)
    tool = await store.branch(TOOL)
    assert [stored.message.role for stored in tool] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
    assert tool[1].message.tool_calls[0].name == "get_weather"
    assert {hit.chat_id for hit in await store.find("lollipop")} == {COUNTING, SPELLING}
    assert {hit.chat_id for hit in await store.find("等于几")} == {CHINESE}
    assert {hit.chat_id for hit in await store.find("get_weather")} == {TOOL}
    await store.restore_chat(DELETED)
    assert (await store.branch(DELETED))[0].message.content == "Forget this chat."
    await store.close()


async def test_the_database_as_it_was_is_kept_beside_the_upgraded_one(home: Path) -> None:
    before = sorted(path.name for path in (home / "data").iterdir())
    await (await ChatStore.open(home / "data" / "chats.db")).close()
    (copy,) = {path.name for path in (home / "data").iterdir()} - set(before)
    for name, version in (("chats.db", len(MIGRATIONS)), (copy, 3)):
        with closing(sqlite3.connect(home / "data" / name)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (version,)
            assert connection.execute("SELECT count(*) FROM messages").fetchone() == (18,)


def test_each_setting_key_theme_and_server_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_KEY", "secret")
    file = home / "config" / "config.toml"
    loaded = read_settings(file)
    settings = loaded.settings
    assert loaded.problems == ()
    assert (settings.language, settings.theme, settings.reduced_motion) == (Language.EN, "mine", True)
    assert (settings.enter_key, settings.thinking_display) == ("new_line", "closed")
    assert (settings.model, settings.model_folders) == ("0.6B:Q8_0", ("~/gguf",))
    assert (settings.system_prompt, settings.thinking_budget) == ("Answer briefly.", 400)
    assert (settings.presence_penalty, settings.context_policy) == (0.5, ContextPolicy.SUMMARISE)
    assert (settings.calibrate, settings.snapshots_gib, settings.chat_titles) == (False, 0.25, False)
    assert (settings.export_folder, str(settings.export_thinking)) == ("~/exports", "full")
    keymap = keymap_from_settings(loaded)
    assert keymap.problems == ()
    assert (keymap.keys["toggle_mode"], keymap.keys["quit"]) == ("f11", "ctrl+q,ctrl+w")
    themes = load_themes(home / "config" / "themes")
    assert themes.problems == ()
    assert "mine" in {theme.name for theme in themes.themes}
    profiles = load_server_profiles(file)
    assert {name for name in ("workstation", "laptop", "none") if profiles.get(name)} == {
        "workstation",
        "laptop",
    }
    workstation = profiles.get("workstation")
    assert workstation is not None
    assert workstation.fallback == "laptop"
    SettingsStore(settings, file).change("theme", "paper")
    text = file.read_text("utf-8")
    assert 'theme = "paper"' in text
    assert text.replace('"paper"', '"mine"', 1) == (FIXTURE / "config" / "config.toml").read_text("utf-8")


def test_each_action_of_that_version_can_still_be_given_a_key() -> None:
    assert set((FIXTURE / "actions.txt").read_text().split()) <= set(DEFAULT_KEYMAP.keys)


async def test_the_draft_is_there_and_no_tool_is_allowed(home: Path) -> None:
    store = await ChatStore.open(home / "data" / "chats.db")
    draft = await DraftStore(store, home / "data" / "draft.json").load(None)
    assert draft == Draft("a draft that waits for its chat")
    await store.close()
    assert PermissionFile(home / "data" / "permissions.json").read() == ()
    assert read_settings(home / "config" / "config.toml").settings.tools == ()


async def test_the_interface_opens_an_old_chat_in_the_old_theme_and_goes_on_with_it(home: Path) -> None:
    for path in (home / "config" / "config.toml", home / "config" / "themes", home / "data" / "chats.db"):
        path.rename(home / path.name)
    async with open_app(home, FakeEngine(), resume=COUNTING) as app:
        await app.sees("Counting letters, 数字母")
        await app.sees("How many l's in lollipop?")
        assert app.app.theme == "mine"
        await app.pilot.press(*"And more", "ctrl+j")
        await app.until(lambda: len(app.session.messages) == 4)


def test_the_commands_read_the_chats_and_the_model_of_that_version(home: Path) -> None:
    program = Program(home)
    listed = json.loads(program.run("chats", "--json").stdout)
    assert {chat["id"] for chat in listed} >= {COUNTING, CHINESE, SPELLING, KILLED, TOOL}
    exported = json.loads(program.run("export", str(COUNTING), "--format", "json").stdout)
    assert "Letter by letter." in json.dumps(exported, ensure_ascii=False)
    done = program.run("ask", "--chat", str(SPELLING), "--max-tokens", "8", "--json", "1 + 1?")
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["model"] == "Qwen3-chat demo Q8_0"


def test_a_half_download_of_that_version_goes_on_where_it_was(tmp_path: Path, demo_gguf: Path) -> None:
    data = half_model(demo_gguf.read_bytes())
    with FakeHub({HALF: {"Qwen3-4B-Q4_K_M.gguf": data}}) as hub:
        command = PullProgram(tmp_path, hub, hub)
        write_home(tmp_path / "app", demo_gguf)
        (partial,) = list_partial_downloads(command.models)
        assert (partial.name, partial.quant, partial.size_bytes) == ("4B", "Q4_K_M", N_PART_BYTES)
        done = command.run("pull", f"{HALF}:Q4_K_M")
        assert done.status == 0, done.stderr
        assert hub.sent_bytes < len(data) - N_PART_BYTES // 2
    folder = command.models / HALF
    assert (folder / "Qwen3-4B-Q4_K_M.gguf").read_bytes() == data
    assert not list(folder.glob("*.part"))
