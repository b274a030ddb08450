from __future__ import annotations

import pytest

from qwen3_chat.config.kinds import Setting, known_settings
from qwen3_chat.texts import Language, speak
from tests.conftest import REPOSITORY


def row(setting: Setting) -> str:
    """Write a setting as a line of the document's table."""
    default = setting.written(setting.default)
    shown = f"`{default}`" if default else "–"
    return f"| `{setting.name}` | {setting.allowed} | {shown} | {setting.about} |"


@pytest.mark.parametrize("name", known_settings())
def test_the_document_tells_of_every_setting(name: str) -> None:
    speak(Language.EN)
    document = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert row(known_settings()[name]) in document.splitlines()
