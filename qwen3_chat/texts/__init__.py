"""The texts that people read, in the language in use."""

from __future__ import annotations

import locale
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from typing import Final

_COUNTED: Final = re.compile(r"\{(\w+):([^{}|]*)\|([^{}|]*)\}")


class Language(StrEnum):
    """A language of the app; the value is the name of its module and the value of `--lang`."""

    EN = "en"
    ZH = "zh"


class _LanguageState:
    """The language in use with its texts, loaded when first needed."""

    __slots__ = ("keys", "language", "texts")

    def __init__(self) -> None:
        self.language = Language.EN
        self.texts: Mapping[str, str] = {}
        self.keys: Mapping[str, str] = {}


_state = _LanguageState()


class _Placeholders(dict[str, object]):
    """The values for the placeholders of a text; `{key_NAME}` is the key in force of an action."""

    def __missing__(self, name: str) -> str:
        prefix, _, action = name.partition("key_")
        if prefix or not action:
            raise KeyError(name)
        return _state.keys.get(action, action)


def load_catalogue(language: Language) -> Mapping[str, str]:
    """Load the texts of a language."""
    texts: Mapping[str, str] = import_module(f"{__name__}.{language.value}").TEXTS
    return texts


def set_language(language: Language) -> None:
    """Use a language from now on."""
    _state.language, _state.texts = language, load_catalogue(language)


def set_key_names(names: Mapping[str, str]) -> None:
    """Set the names of the keys in force, by action; a text has the placeholder `{key_ACTION}` for each."""
    _state.keys = names


def current_language() -> Language:
    """Return the language in use."""
    return _state.language


def t(key: str, **values: object) -> str:
    """Return the text for a key in the language in use, with its `{placeholders}` filled."""
    if not _state.texts:
        set_language(_state.language)
    return fill_text(_state.texts[key], values)


def fill_text(text: str, values: Mapping[str, object]) -> str:
    """Fill the placeholders of a text; `{count:a file|# files}` has words for one and for other numbers.

    A `#` stands for the number.
    """

    def choose_words(match: re.Match[str]) -> str:
        value = values[match[1]]
        number = f"{value:,}" if isinstance(value, int) else str(value)
        return (match[2] if number == "1" else match[3]).replace("#", number)

    if "|" in text:
        text = _COUNTED.sub(choose_words, text)
    return text.format_map(_Placeholders(values))


def language_from_locale(environ: Mapping[str, str] = os.environ) -> Language:
    """Return the language of LC_ALL, LC_MESSAGES, LANG or, where none is set, of the system's own locale."""
    names = [environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    name = next((name for name in names if name), "") or locale.getlocale()[0] or ""
    return Language.ZH if name.lower().startswith(("zh", "chinese")) else Language.EN
