"""Texts in the user's language before the package is installed.

It stands alone because it runs on the system's Python: only the standard library may be imported here.
"""

from __future__ import annotations

import sys
from pathlib import Path


def t(key: str, **values: object) -> str:
    """Return a text of the package's own catalogue, in the language of the locale."""
    root = str(Path(__file__).resolve().parent.parent)
    if root not in sys.path:
        sys.path.append(root)
    from qwen3_chat import texts

    return texts.load_catalogue(texts.language_from_locale())[key].format(**values)
