"""Renders conversations to the text the demo model is trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

TEMPLATE_PATH = Path(__file__).with_name("chat_template.jinja")

Message = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and the reply to learn from it, both rendered."""

    prompt: str
    reply: str


def thinks_after(text: str, before: bool = True) -> bool:
    """Tell whether the model thinks once it has read `text`: the last tag in it decides, if there is one."""
    think, no_think = text.rfind("/think"), text.rfind("/no_think")
    return before if think == no_think else think > no_think


def compile_template(source: str) -> jinja2.Template:
    """Compile a chat template with the settings and the `tojson` that Hugging Face's tokenizers use."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(source)


@cache
def demo_template() -> jinja2.Template:
    """Return the demo model's own template, compiled once."""
    return compile_template(TEMPLATE_PATH.read_text(encoding="utf-8"))


def render(
    messages: Sequence[Message],
    *,
    tools: Sequence[Message] = (),
    for_reply: bool = False,
    thinking_allowed: bool = True,
) -> str:
    """Render `messages`; `for_reply` ends the text where the model's reply begins."""
    return demo_template().render(
        messages=messages,
        tools=list(tools),
        add_generation_prompt=for_reply,
        enable_thinking=thinking_allowed,
    )
