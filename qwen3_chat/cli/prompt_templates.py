"""`ask --template`: a prompt of the library with its variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qwen3_chat.config.prompt_library import load_prompts
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.texts import current_language
from qwen3_chat.texts.terminal_safe import storable

INPUT_VARIABLE: Final = "input"
"""The variable that stands for the question, its files and what is piped in."""
_VARIABLE: Final = re.compile(r"\{\{\s*([\w.-]{1,100})\s*\}\}")
_ASSIGNMENT: Final = re.compile(r"([\w.-]{1,100})=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt with its variables filled in, `{{input}}` excepted.

    One with `{{input}}` is the question, any other the system prompt; `parts` are the texts around it.
    """

    parts: tuple[str, ...]

    @property
    def takes_input(self) -> bool:
        """True for a template of the question."""
        return len(self.parts) > 1

    def fill(self, question: str) -> str:
        """Return the text with the question in the places of `{{input}}`."""
        return question.join(self.parts)


def load_template(name: str, assignments: Sequence[str], prompts_file: Path) -> PromptTemplate:
    """Return the prompt of that title, in either case, with the variables of `KEY=VALUE` texts.

    Raises:
        UsageError: there is no such prompt, or its variables are not those that were given.
        ConfigError: the user's prompts can't be read.
    """
    library = load_prompts(prompts_file, current_language())
    if library.problem is not None:
        raise library.problem
    prompt = next((prompt for prompt in library.prompts if prompt.title.casefold() == name.casefold()), None)
    if prompt is None:
        known = ", ".join(prompt.title for prompt in library.prompts)
        raise UsageError(ErrorCode.TEMPLATE_UNKNOWN, name=name, known=known)
    return fill_template(prompt.text, parse_variables(assignments))


def parse_variables(assignments: Sequence[str]) -> dict[str, str]:
    """Return the values of `KEY=VALUE` texts.

    Raises:
        UsageError: one is none, or a key stands twice.
    """
    values = dict[str, str]()
    for assignment in assignments:
        match = _ASSIGNMENT.fullmatch(storable(assignment))
        if match is None or match[1] in values or match[1] == INPUT_VARIABLE:
            raise UsageError(ErrorCode.VARIABLE_INVALID, text=assignment)
        values[match[1]] = match[2]
    return values


def fill_template(text: str, values: Mapping[str, str]) -> PromptTemplate:
    """Return a text with each `{{key}}` replaced by its value, in which nothing is replaced again.

    Raises:
        UsageError: a variable has no value, or a value no variable.
    """
    names = dict.fromkeys(_VARIABLE.findall(text))
    for name in names:
        if name not in values and name != INPUT_VARIABLE:
            raise UsageError(ErrorCode.VARIABLE_MISSING, name=name)
    for name in values:
        if name not in names:
            known = ", ".join(key for key in names if key != INPUT_VARIABLE) or "–"
            raise UsageError(ErrorCode.VARIABLE_UNKNOWN, name=name, known=known)
    parts = [""]
    for index, piece in enumerate(_VARIABLE.split(text)):  # texts and names in turn
        if index % 2 and piece == INPUT_VARIABLE:
            parts.append("")
        else:
            parts[-1] += values[piece] if index % 2 else piece
    return PromptTemplate(tuple(parts))
