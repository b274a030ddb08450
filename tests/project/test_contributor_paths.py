"""What CONTRIBUTING.md asks of those who add something, where no other test would notice what they forgot."""

from __future__ import annotations

import re

import pytest

from qwen3_chat.config.prompt_library import load_prompts
from qwen3_chat.servers import ServerKind
from qwen3_chat.texts import Language, language_from_locale, load_catalogue
from tests.conftest import REPOSITORY

CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
NAMED_PATH = re.compile(r"`((?:qwen3_chat|tests|scripts|themes|docs|\.github)/[^`\s]*|\.ci/run)`")


@pytest.mark.parametrize("language", Language)
def test_the_help_of_the_option_names_every_kind_of_server(language: Language) -> None:
    named = re.findall(r"[a-z]+(?:-[a-z]+)*", load_catalogue(language)["cli.option.server"])
    assert set(ServerKind) <= set(named)


@pytest.mark.parametrize("language", Language)
def test_a_language_has_its_locale_its_system_prompts_and_its_name(language: Language) -> None:
    assert language_from_locale({"LANG": language.value}) is language
    assert load_prompts(None, language).prompts
    assert all(f"setting.language.{language}" in load_catalogue(other) for other in Language)


@pytest.mark.parametrize(
    "thing", ["setting", "key", "command", "server kind", "sampling option", "theme", "language", "tool"]
)
def test_there_is_a_how_to_for_each_thing_that_people_add(thing: str) -> None:
    assert re.search(rf"^## Add an? {thing}$", CONTRIBUTING, re.MULTILINE)


def test_every_file_that_a_how_to_names_exists() -> None:
    named = [name for name in NAMED_PATH.findall(CONTRIBUTING) if not re.search(r"[A-Z]{2}", name)]
    assert len(named) >= 30
    assert [name for name in named if not (REPOSITORY / name.rstrip("/")).exists()] == []
