"""The system prompts on offer: those that ship with the app, those of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from qwen3_chat.config.toml_text import TomlError, parse_toml, read_toml_text
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import Language

SHIPPED_PROMPTS_FILE: Final = Path(__file__).parent / "prompts.toml"


class SystemPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A system prompt under a title."""

    title: str
    text: str


class _ShippedPrompts(msgspec.Struct, frozen=True):
    prompts: tuple[dict[Language, SystemPrompt], ...]


class _UserPrompts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompts: tuple[SystemPrompt, ...] = ()


class PromptLibrary(Struct, frozen=True):
    """The prompts, the user's first, and the problem of the user's file where there is one."""

    prompts: tuple[SystemPrompt, ...]
    problem: ConfigError | None = None


def load_prompts(user_file: Path | None, language: Language) -> PromptLibrary:
    """Read the shipped prompts in a language, and the `[[prompts]]` of the user's file if there is one."""
    shipped = msgspec.toml.decode(SHIPPED_PROMPTS_FILE.read_bytes(), type=_ShippedPrompts)
    in_language = tuple(prompt[language] for prompt in shipped.prompts)
    try:
        user_prompts = () if user_file is None else _read_user_prompts(user_file)
    except ConfigError as error:
        return PromptLibrary(in_language, error)
    except (OSError, UnicodeDecodeError, TomlError, msgspec.ValidationError) as error:
        return PromptLibrary(
            in_language, ConfigError(ErrorCode.SETTINGS_UNREADABLE, file=user_file, reason=error)
        )
    return PromptLibrary((*user_prompts, *in_language))


def _read_user_prompts(file: Path) -> tuple[SystemPrompt, ...]:
    try:
        text = read_toml_text(file)
    except FileNotFoundError:
        return ()
    return msgspec.convert(parse_toml(text), _UserPrompts).prompts
