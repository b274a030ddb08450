from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from qwen3_chat.texts import Language, set_language
from tests.harness import open_app
from tests.pictures.scenes import SCENES, TOOL_SCENES, engine_for, wait_until_still

SMALL, WIDE, TINY, NARROW = (80, 24), (200, 60), (40, 12), (60, 18)
PICTURES = [
    *((name, SMALL, "en", "qwen-dark") for name in SCENES),
    *((name, SMALL, "zh", "qwen-light") for name in SCENES if name not in TOOL_SCENES),
    *((name, NARROW, "zh", "qwen-light") for name in TOOL_SCENES),
    *((name, WIDE, "en", "qwen-light") for name in ("conversation", "sidebar", "settings")),
    *((name, WIDE, "zh", "qwen-dark") for name in ("conversation", "help", "chats")),
    *((name, TINY, "en", "qwen-dark") for name in ("welcome", "conversation", "chats")),
    *(("conversation", SMALL, "en", theme) for theme in ("terminal-16", "contrast-dark", "contrast-light")),
]
"""The pictures: scene, size, language, theme."""


class Svg(SingleFileSnapshotExtension):
    """The extension that stores one SVG file per picture."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


@pytest.fixture
def english_afterwards() -> Iterator[None]:
    yield
    set_language(Language.EN)


def write_settings(theme: str) -> None:
    Path("config.toml").write_text(f'theme = "{theme}"\n', encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "size", "language", "theme"),
    [pytest.param(*it, marks=pytest.mark.full) if it[1] == NARROW else it for it in PICTURES],
    ids=[f"{n.replace(' ', '-')}-{s[0]}x{s[1]}-{lang}-{theme}" for n, s, lang, theme in PICTURES],
)
async def test_it_looks_as_pictured(
    name: str,
    size: tuple[int, int],
    language: str,
    theme: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
    english_afterwards: None,
) -> None:
    monkeypatch.chdir(tmp_path)  # paths on the screen are relative: the same everywhere
    monkeypatch.setattr("qwen3_chat.ui.screens.chat_screen.monotonic", lambda: 0.0)
    monkeypatch.setattr("tests.harness.monotonic", lambda: 0.0)
    monkeypatch.setenv("TZ", "UTC")
    set_language(Language(language))
    write_settings(theme)
    scene = SCENES[name]
    engine, toolbox = engine_for(scene), scene.toolbox()
    async with open_app(Path(), engine, size, options=scene.options, toolbox=toolbox) as app:
        await scene.act(app)
        await wait_until_still(app)
        picture = app.app.export_screenshot()
    # The id of the drawing counts its bytes, and times of day differ from run to run.
    picture = re.sub(r"\d\d:\d\d", "12:34", re.sub(r"terminal-\d+", "terminal", picture))
    assert picture == snapshot(extension_class=Svg)
