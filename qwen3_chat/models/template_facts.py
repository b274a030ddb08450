"""The facts of a model that the text of its chat template tells: its thinking, its form of tool calls.

A template is a program, so this reads its text only. Where the text does not tell, the name of the model may.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.chat import ThinkingSupport

MAX_TEMPLATE_CHARACTERS = 1 << 18
"""The part of a template that is looked at; Qwen's have some 10,000 characters."""

_OPENING = re.compile(r"""<think>(?!['"+~\s]*(?:\\n|\s)*['"]?</think>)""")
_CLOSING = "</think>"
_TAG_VARIABLE = re.compile(r"""set\s+(\w+)\s*=\s*['"](</?think>)['"]""")
_GENERATION_PROMPT = "add_generation_prompt"
_JSON_CALL = re.compile(r"""<tool_call>(?:\\n|[\s"'}{~+-])*\{\s*\\?["']name""")
_XML_CALL = re.compile(r"<tool_call>(?:\s|\\n)*<function=")
_ARGUMENTS_AS_TEXT = re.compile(r"arguments['\"]?\]? is (?:not )?string")
_ARGUMENTS_AS_OBJECT = re.compile(r"arguments['\"]?\]? is (?:not )?mapping")
_THINKING_SWITCH = re.compile(r"""\{%-?\s*(?:el)?if\b[^%]*?(?<![\w.'"])thinking\b(?!['"])""")


class ToolForm(StrEnum):
    """The form in which a model writes tool calls."""

    HERMES = "hermes"
    """A JSON object between tags, as Qwen3 does."""
    XML = "xml"
    """A tag for the function and for each argument, as Qwen3-Coder and Qwen3.5 do."""
    NONE = "none"
    """The template knows no tools, or another form."""


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """The facts that a template tells; `thinking` is None where it does not.

    `has_soft_switch` is False where a prompt for thinking opens the think block itself: then a tag in a
    message changes nothing. `wants_argument_objects`: the arguments of earlier calls must be objects; False
    where the template takes the text of them as well, as it was written.
    """

    thinking: ThinkingSupport | None
    tool_form: ToolForm
    has_soft_switch: bool
    wants_argument_objects: bool


def read_template(source: str) -> TemplateFacts:
    """Read the facts off a template's text."""
    source = _spell_tags_out(source[:MAX_TEMPLATE_CHARACTERS])
    generation_prompt = source[max(0, source.rfind(_GENERATION_PROMPT)) :]
    opens_thinking = bool(_OPENING.search(generation_prompt))
    tool_form = _tool_form(source)
    return TemplateFacts(
        thinking=_thinking(source, opens_thinking),
        tool_form=tool_form,
        has_soft_switch=not opens_thinking,
        wants_argument_objects=not _takes_text(source),
    )


def _spell_tags_out(source: str) -> str:
    """Replace variables that hold a tag by the tag: `{% set start = '<think>' %}`."""
    tag_of = dict(_TAG_VARIABLE.findall(source))
    if not tag_of:
        return source
    return re.sub("|".join(rf"\b{name}\b" for name in tag_of), lambda match: f"'{tag_of[match[0]]}'", source)


def _thinking(source: str, opens_thinking: bool) -> ThinkingSupport | None:
    if not source.strip():
        return None
    if "enable_thinking" in source or _THINKING_SWITCH.search(source):
        return ThinkingSupport.SWITCHABLE
    if opens_thinking:
        return ThinkingSupport.ALWAYS
    # A template that cuts thinking off earlier replies belongs to a model that may think by itself.
    return None if _CLOSING in source else ThinkingSupport.NEVER


def _tool_form(source: str) -> ToolForm:
    if _XML_CALL.search(source):
        return ToolForm.XML
    return ToolForm.HERMES if _JSON_CALL.search(source) else ToolForm.NONE


def _takes_text(source: str) -> bool:
    """Return whether a template asks if arguments are text; one that asks for an object needs the object."""
    return bool(_ARGUMENTS_AS_TEXT.search(source)) and not _ARGUMENTS_AS_OBJECT.search(source)
