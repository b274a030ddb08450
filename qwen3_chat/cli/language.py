"""Chooses the language before anything is said in it."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.config import load_settings, paths_from
from qwen3_chat.errors import UsageError
from qwen3_chat.texts import Language, language_of_locale

OPTION = "--lang"


def choose_language(arguments: Sequence[str]) -> Language:
    """Take `--lang`, else the setting, else the locale.

    Raises:
        UsageError: the app does not speak the language.
    """
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        if name != OPTION:
            continue
        if not equals:
            value = arguments[place + 1] if place + 1 < len(arguments) else ""
        try:
            return Language(value)
        except ValueError as error:
            raise UsageError("cli.unknown_language", name=value, known=", ".join(Language)) from error
    return load_settings(paths_from().settings_file).settings.language or language_of_locale()
