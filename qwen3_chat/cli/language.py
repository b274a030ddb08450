"""The language of the app, from `--lang`, the settings or the locale.

It imports the settings, which `--version` must not wait for, so it stays out of the entry point.
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.texts import Language, language_from_locale

LANGUAGE_OPTION = "--lang"


def choose_language(arguments: Sequence[str]) -> Language:
    """Return the language of `--lang`, else of the setting, else of the locale.

    Raises:
        UsageError: the app does not speak the language.
    """
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        if name != LANGUAGE_OPTION:
            continue
        if not equals:
            value = arguments[index + 1] if index + 1 < len(arguments) else ""
        try:
            return Language(value)
        except ValueError as error:
            raise UsageError(ErrorCode.LANGUAGE_UNKNOWN, name=value, known=", ".join(Language)) from error
    return read_settings(find_paths().settings_file).settings.language or language_from_locale()
