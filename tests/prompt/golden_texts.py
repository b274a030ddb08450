"""The rendered texts that are pinned, one file each; `python -m tests.prompt.golden_texts` writes them.

They come from Qwen3's own template and plain Jinja with the settings of Hugging Face's transformers, so that
nothing of this package takes part.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from qwen3_chat.chat import Role
from qwen3_vocabulary import TEMPLATE
from tests.prompt.conversations import CONVERSATIONS, Conversation

FOLDER = Path(__file__).parent / "goldens"


def golden_text(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_bytes().decode()


@cache
def compiled(source: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(source)


def render_plainly(source: str, conversation: Conversation) -> str:
    messages: list[dict[str, Any]] = []
    for message in conversation.messages:
        messages.append({"role": message.role.value, "content": message.sent_content})
        if message.role is Role.ASSISTANT:
            messages[-1]["reasoning_content"] = message.reasoning
        if message.tool_calls:
            messages[-1]["tool_calls"] = [
                {"name": c.name, "arguments": c.arguments} for c in message.tool_calls
            ]
    return compiled(source).render(
        messages=messages,
        tools=[json.loads(tool.schema) for tool in conversation.tools],
        enable_thinking=conversation.thinks,
        add_generation_prompt=True,
    )


def write_goldens() -> None:
    source = TEMPLATE.read_text(encoding="utf-8")
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name, conversation in CONVERSATIONS.items():
        (FOLDER / f"{name}.txt").write_bytes(render_plainly(source, conversation).encode())


if __name__ == "__main__":
    write_goldens()
