"""`ask --extract`: the first code block of an answer, alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.transcript.code_extraction import find_code_blocks

EXTRACT_OPTIONS: Final = ("-x", "--extract")
ANY_LANGUAGE: Final = ""


def with_extract_value(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `ask` with a value for each `-x`: the language behind it, or any.

    The next argument is the language only if it is the name of one, so that a question is never taken for it.
    """
    given, changed = list(arguments), list[str]()
    while given:
        argument = given.pop(0)
        if argument == "--":
            return [*changed, argument, *given]
        if argument in EXTRACT_OPTIONS:
            language = given.pop(0) if given and _same_language(given[0]) else ANY_LANGUAGE
            argument = f"--extract={language}"
        changed.append(argument)
    return changed


def extract_code(answer: str, language: str) -> str:
    """Return the first code block of an answer, or the first one of a language, with a line end.

    Raises:
        EngineError: there is none.
    """
    names = _same_language(language) or {language.lower()}
    for block in find_code_blocks(answer):
        if language == ANY_LANGUAGE or block.language in names:
            return f"{block.text}\n"
    if language == ANY_LANGUAGE:
        raise EngineError(ErrorCode.CODE_BLOCK_MISSING)
    raise EngineError(ErrorCode.CODE_BLOCK_OF_LANGUAGE_MISSING, language=language)


def _same_language(name: str) -> frozenset[str]:
    """Return all names of a language that has this name; an empty set for no language's name."""
    from pygments.lexers import get_all_lexers  # here: few questions ask for code

    groups = (aliases for _name, aliases, _patterns, _types in get_all_lexers(plugins=False))
    return frozenset(next((aliases for aliases in groups if name.lower() in aliases), ()))
