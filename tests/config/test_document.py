from __future__ import annotations

from qwen3_chat.texts import Language, speak
from settings_document import DOCUMENT, with_tables


def test_the_document_tells_of_every_setting_and_key() -> None:
    speak(Language.EN)
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(document) == document, "python scripts/settings_document.py writes it anew"
