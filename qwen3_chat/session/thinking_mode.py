"""The thinking mode of a turn: typed tag, mode override, latest tag of the conversation, default.

The first of these that exists decides, but a model whose thinking can't be switched has only one mode. A tag
is the soft switch in a message, `/think` or `/no_think`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from msgspec import Struct

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ThinkingSupport
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadedModel

DEFAULT_MODE = ThinkingMode.THINK

# East Asian scripts are written without spaces, so a tag may touch their characters and punctuation.
_EAST_ASIAN = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff" + "·—‘’“”…"


@cache
def _tag_pattern() -> re.Pattern[str]:
    """Return the pattern of a tag; compiling it takes milliseconds, and most texts need none."""
    return re.compile(
        rf"""
        [A-Za-z][A-Za-z0-9+.-]{{0,15}}://[^\s{_EAST_ASIAN}]+       # a URL is skipped, with any tag in it
        | (?: (?<![^\s(\[,;!?){_EAST_ASIAN}]) | (?<=[^\W\d_]\.) )  # not within a word or a path
          /(?P<mode>no_think|think)
          (?! [/\\-] | \.\w | (?=\w)[^{_EAST_ASIAN}] )           # and not the beginning of a word or path
        """,
        re.VERBOSE,
    )


class ModeDecision(Struct, frozen=True):
    """The mode of a turn, the tag that the app appends for it, and the mode override from then on."""

    mode: ThinkingMode
    tag_to_append: ThinkingMode | None
    mode_override: ThinkingMode | None


def typed_mode(text: str) -> ThinkingMode | None:
    """Return the mode that the last tag in a text asks for; None without a tag."""
    if "/" not in text:
        return None
    modes = [match["mode"] for match in _tag_pattern().finditer(text) if match["mode"]]
    return ThinkingMode(modes[-1]) if modes else None


def is_only_mode_tag(text: str) -> bool:
    """Return True if a text is nothing but a tag."""
    return text.strip() in {mode.tag for mode in ThinkingMode}


def mode_in_force(messages: Sequence[ChatMessage]) -> ThinkingMode | None:
    """Return the mode of the latest tag in the user's messages, else in the system prompt; else None."""
    for role in (Role.USER, Role.SYSTEM):
        for message in reversed([message for message in messages if message.role is role]):
            mode = message.mode_tag or typed_mode(message.content)
            if mode is not None:
                return mode
    return None


def decide_mode(
    text: str, mode_override: ThinkingMode | None, history: Sequence[ChatMessage]
) -> ModeDecision:
    """Decide the mode of the turn that sends `text` after `history`; None stands for no mode override.

    A typed tag decides, and becomes the mode override. Without one, the mode override decides; its tag is
    appended only where another mode is in force. Without either, the latest tag of the conversation decides,
    and without any tag Qwen3's default: thinking.
    """
    typed = typed_mode(text)
    if typed is not None:
        return ModeDecision(typed, None, typed)
    in_force = mode_in_force(history) or DEFAULT_MODE
    if mode_override is None:
        return ModeDecision(in_force, None, None)
    return ModeDecision(
        mode_override, mode_override if mode_override is not in_force else None, mode_override
    )


def fixed_mode(model: LoadedModel | None) -> ThinkingMode | None:
    """Return the only mode that a model has; None where it can be switched, or there is no model yet."""
    if model is None:
        return None
    from qwen3_chat.models.catalog import thinking_support

    match thinking_support(model.name) or model.thinking:
        case ThinkingSupport.ALWAYS:
            return ThinkingMode.THINK
        case ThinkingSupport.NEVER:
            return ThinkingMode.NO_THINK
        case _:
            return None


def decide_model_mode(
    model: LoadedModel | None, text: str, mode_override: ThinkingMode | None, history: Sequence[ChatMessage]
) -> ModeDecision:
    """Decide the mode of a turn; a model's fixed mode needs no tag, and the mode override stays for later.

    Nor does a model need one that only its template switches.
    """
    decision = decide_mode(text, mode_override, history)
    if model is not None and not model.has_soft_switch:
        decision = replace(decision, tag_to_append=None)
    if (fixed := fixed_mode(model)) is None:
        return decision
    return ModeDecision(fixed, None, decision.mode_override)
