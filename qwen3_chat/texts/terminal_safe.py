"""Text without characters that steer a terminal.

35 modules import it, most of them no texts.
"""

from __future__ import annotations

import re
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_CONTROLS: Final = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 but tab, line feed and carriage return; DEL; C1
)
_BIDI: Final = (
    r"\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates: they reorder what is on screen
)
_LINE_ENDS: Final = r"\u2028\u2029"  # a line for some terminals and none for others
_SURROGATES: Final = r"\ud800-\udfff"  # no UTF-8 for them: printing one raises
UNSAFE_CHARACTERS: Final = _CONTROLS + _BIDI + _LINE_ENDS + _SURROGATES
"""The characters that are replaced, as the inside of a regular expression's character class."""

_UNSAFE_PATTERN: Final = re.compile(f"[{UNSAFE_CHARACTERS}]")


def terminal_safe(text: str) -> str:
    """Replace each character that could steer a terminal by U+FFFD; carriage returns are dropped."""
    return _UNSAFE_PATTERN.sub(REPLACEMENT, text.replace("\r", ""))
