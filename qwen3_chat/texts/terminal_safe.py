"""Text without characters that steer a terminal."""

from __future__ import annotations

import re
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

# C0 except tab, line feed and carriage return; DEL; C1
_CONTROLS: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# embeddings, overrides and isolates: they reorder the text on screen
_BIDI: Final = r"\u202a-\u202e\u2066-\u2069"
_LINE_ENDS: Final = r"\u2028\u2029"  # line ends for some terminals only
_SURROGATES: Final = r"\ud800-\udfff"  # they have no UTF-8: printing one raises
UNSAFE_CHARACTERS: Final = _CONTROLS + _BIDI + _LINE_ENDS + _SURROGATES
"""The characters that are replaced, as the inside of a regular expression's character class."""
DIRECTION_MARKS: Final = r"\u061c\u200e\u200f"
"""The marks that turn the direction of what stands beside them; Arabic and Hebrew texts need them."""

_UNSAFE_PATTERN: Final = re.compile(f"[{UNSAFE_CHARACTERS}]")
_ESCAPED_IN_JSON: Final = f"[{UNSAFE_CHARACTERS}{DIRECTION_MARKS}]"  # compiled when it is needed
_NAME_PATTERN: Final = re.compile(rf"[{UNSAFE_CHARACTERS}\t\n\r]")


def terminal_safe(text: str) -> str:
    """Replace each character that could steer a terminal by U+FFFD; carriage returns are dropped."""
    return _UNSAFE_PATTERN.sub(REPLACEMENT, text.replace("\r", ""))


def escape_json(encoded: str) -> str:
    r"""Write each character that could steer a terminal as `\uXXXX`; the JSON text means the same as before.

    JSON has such characters inside its strings only, where the escape is allowed.
    """
    return re.sub(_ESCAPED_IN_JSON, lambda match: f"\\u{ord(match.group()):04x}", encoded)


def label_of_name(name: str) -> str:
    """Return a file's name as one line of text that can be shown and stored; it may not open the file."""
    return _NAME_PATTERN.sub(REPLACEMENT, name)


def storable(text: str) -> str:
    """Replace lone surrogates, which pasted text and names of files can contain and UTF-8 can't, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
