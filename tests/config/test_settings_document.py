from __future__ import annotations

import pytest

from qwen3_chat.texts import Language, set_language
from settings_document import DOCUMENTS, replace_tables


@pytest.mark.parametrize("language", DOCUMENTS)
def test_the_document_tells_of_every_setting_and_key(language: str) -> None:
    set_language(Language(language))
    try:
        document = DOCUMENTS[language].read_text(encoding="utf-8")
        assert replace_tables(document) == document, "python scripts/settings_document.py writes it anew"
    finally:
        set_language(Language.EN)
