from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.ui.themes import load_themes

GOOD = 'name = "mine"\ndark = true\n[colors]\nprimary = "#123456"\n'


def test_the_shipped_themes_are_dark_and_light(tmp_path: Path) -> None:
    loaded = load_themes(tmp_path)
    darkness = {theme.name: theme.dark for theme in loaded.themes}
    assert (darkness["qwen-dark"], darkness["qwen-light"]) == (True, False)
    assert loaded.problems == ()


def test_a_users_theme_is_found_and_wins_over_a_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.toml").write_text(GOOD.replace("mine", "qwen-dark"), encoding="utf-8")
    primaries = {theme.name: theme.primary for theme in load_themes(tmp_path).themes}
    assert (primaries["mine"], primaries["qwen-dark"]) == ("#123456", "#123456")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name = ",
        GOOD.replace("#123456", "violet-ish"),
        GOOD.replace("primary", "primry"),
        GOOD.replace("true", '"yes"'),
        f'{GOOD}[variables]\ninput-cursor-background = "no colour"\n',
    ],
)
def test_a_bad_theme_is_told_by_its_file_and_the_others_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    loaded = load_themes(tmp_path)
    assert loaded.themes == load_themes(tmp_path / "nothing").themes
    (problem,) = loaded.problems
    assert "bad.toml" in str(problem)
