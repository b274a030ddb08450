"""The texts that people read, in each language.

A language is one module beside this one with a dictionary `TEXTS`; English is the reference. The language in use is
the one piece of state that belongs to the whole process, like the locale it is taken from: `cli` sets it once. The
names of the keys in force, for texts that mention one, belong to it.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module


class Language(StrEnum):
    """A language that the app speaks; the value names its module and is what `--lang` takes."""

    EN = "en"
    ZH = "zh"


class _Speech:
    """The language in use with its texts, loaded when first needed."""

    __slots__ = ("keys", "language", "texts")

    def __init__(self) -> None:
        self.language = Language.EN
        self.texts: Mapping[str, str] = {}
        self.keys: Mapping[str, str] = {}


_speech = _Speech()


class _Places(dict[str, object]):
    """What goes into the places of a text; `{key_NAME}` is the key in force of an action."""

    def __missing__(self, place: str) -> str:
        beginning, _, action = place.partition("key_")
        if beginning or not action:
            raise KeyError(place)
        return _speech.keys.get(action, action)


def catalogue(language: Language) -> Mapping[str, str]:
    """Load the texts of one language."""
    texts: Mapping[str, str] = import_module(f"{__name__}.{language.value}").TEXTS
    return texts


def speak(language: Language) -> None:
    """Use a language from now on."""
    _speech.language, _speech.texts = language, catalogue(language)


def name_keys(names: Mapping[str, str]) -> None:
    """Tell how the keys in force are called, by action; texts that name a key have the place `{key_ACTION}`."""
    _speech.keys = names


def language() -> Language:
    """Tell the language in use."""
    return _speech.language


def t(key: str, **values: object) -> str:
    """Return the text for a key in the language in use, with its `{places}` filled."""
    if not _speech.texts:
        speak(_speech.language)
    return _speech.texts[key].format_map(_Places(values))


def language_of_locale(environ: Mapping[str, str] = os.environ) -> Language:
    """Choose the language from LC_ALL, LC_MESSAGES, LANG or, where none is set, the system's own locale."""
    names = [environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    name = next((name for name in names if name), "") or locale.getlocale()[0] or ""
    return Language.ZH if name.lower().startswith(("zh", "chinese")) else Language.EN
