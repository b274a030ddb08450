from __future__ import annotations

from qwen3_chat.texts import Language, set_language
from settings_document import DOCUMENT, replace_tables


def test_the_document_tells_of_every_setting_and_key() -> None:
    set_language(Language.EN)
    document = DOCUMENT.read_text(encoding="utf-8")
    assert replace_tables(document) == document, "python scripts/settings_document.py writes it anew"
