"""The chat templates that llama.cpp keeps: rendered as by transformers, read for their facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from in_place_renderer import InPlaceRenderer
from qwen3_chat.chat import ChatMessage, Role, ThinkingSupport, ToolCall
from qwen3_chat.engine.worker.chat_template import ChatTemplate, RenderedPrompt
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.template_facts import ToolForm, read_template
from qwen3_chat.request import ToolSpec
from qwen3_chat.template_sandbox import jinja_sandbox
from tests.prompt.special_tokens import SPECIALS
from tests.prompt.transformers_renderings import (
    CASES,
    FILE,
    NAMED_TOKENS,
    TEMPLATES,
    FixedDay,
    digest,
    digests,
)
from tests.prompt.wild_conversations import CONVERSATIONS, TOOLS

RENDERINGS: dict[str, str] = json.loads(FILE.read_text("utf-8"))
TOOL_SPECS = tuple(ToolSpec(json.dumps(tool, ensure_ascii=False)) for tool in TOOLS)

SWITCHABLE, ALWAYS, NEVER = ThinkingSupport.SWITCHABLE, ThinkingSupport.ALWAYS, ThinkingSupport.NEVER
HERMES, XML, NONE = ToolForm.HERMES, ToolForm.XML, ToolForm.NONE


def source_of(name: str) -> str:
    path = TEMPLATES / f"{name}.jinja"
    if not path.is_file():
        pytest.skip("needs llama.cpp's chat templates, which python3 scripts/test fetches")
    return path.read_text("utf-8")


def template_of(name: str) -> ChatTemplate:
    return ChatTemplate(source_of(name), SPECIALS, InPlaceRenderer(), named_tokens=NAMED_TOKENS)


def message(fields: dict[str, Any]) -> ChatMessage:
    calls = tuple(
        ToolCall(call["function"]["name"], json.dumps(call["function"]["arguments"], ensure_ascii=False))
        for call in fields.get("tool_calls", ())
    )
    return ChatMessage(Role(fields["role"]), fields["content"], fields.get("reasoning_content", ""), calls)


def rendered(template: ChatTemplate, name: str, thinks: bool, has_tools: bool) -> RenderedPrompt | None:
    """Return the prompt of a case, None where the template refuses it."""
    messages = [message(fields) for fields in CONVERSATIONS[name]]
    try:
        return template.render(messages, TOOL_SPECS if has_tools else (), thinks)
    except EngineError as error:
        if error.code is not ErrorCode.CHAT_TEMPLATE_FAILED:
            raise
        return None


@pytest.fixture
def fixed_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja_sandbox, "datetime", FixedDay)


@pytest.mark.usefixtures("fixed_day")
@pytest.mark.parametrize("name", RENDERINGS)
def test_a_conversation_is_rendered_as_transformers_renders_it(name: str) -> None:
    template = template_of(name)

    def render(conversation: str, thinks: bool, has_tools: bool) -> str | None:
        prompt = rendered(template, conversation, thinks, has_tools)
        return None if prompt is None else prompt.text

    source, _, expected = RENDERINGS[name].partition(" ")
    assert source == digest(source_of(name)), "another version: write the renderings anew"
    assert dict(zip(CASES, digests(render).split(), strict=True)) == dict(
        zip(CASES, expected.split(), strict=True)
    )


def test_the_renderings_are_of_all_templates() -> None:
    source_of("Qwen-Qwen3-0.6B")
    assert {path.stem for path in TEMPLATES.glob("*.jinja")} == set(RENDERINGS)
    n_refused = sum(line.count("refused") for line in RENDERINGS.values())
    assert n_refused < len(RENDERINGS) * len(CASES) / 8


FACTS: dict[str, tuple[ThinkingSupport | None, ToolForm]] = {
    "Qwen-Qwen2.5-7B-Instruct": (NEVER, HERMES),
    "Qwen-QwQ-32B": (SWITCHABLE, HERMES),  # llama.cpp's copy has a switch, the original always thinks
    "Qwen-Qwen3-0.6B": (SWITCHABLE, HERMES),
    "Qwen3-Coder": (NEVER, XML),
    "Qwen3.5-4B": (SWITCHABLE, XML),
    "Bielik-11B-v3.0-Instruct": (SWITCHABLE, HERMES),
    "ByteDance-Seed-OSS": (NEVER, NONE),  # its thinking has tags of its own
    "Cohere2MoE": (NEVER, NONE),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": (ALWAYS, NONE),
    "deepseek-ai-DeepSeek-V3.1": (SWITCHABLE, NONE),
    "deepseek-ai-DeepSeek-V4": (SWITCHABLE, NONE),
    "GLM-4.6": (SWITCHABLE, NONE),
    "GLM-4.7-Flash": (SWITCHABLE, NONE),
    "google-gemma-4-31B-it": (SWITCHABLE, NONE),
    "HuggingFaceTB-SmolLM3-3B": (SWITCHABLE, NONE),
    "ibm-granite-granite-3.3-2B-Instruct": (SWITCHABLE, NONE),
    "ibm-granite-granite-4.0": (NEVER, HERMES),
    "Kimi-K2-Instruct": (NEVER, NONE),
    "Kimi-K3": (SWITCHABLE, NONE),
    "LFM2-8B-A1B": (NEVER, NONE),
    "meetkai-functionary-medium-v3.1": (NEVER, NONE),
    "meta-llama-Llama-3.3-70B-Instruct": (NEVER, NONE),
    "microsoft-Phi-3.5-mini-instruct": (NEVER, NONE),
    "MiniMax-M2": (ALWAYS, NONE),
    "mistralai-Mistral-Nemo-Instruct-2407": (NEVER, NONE),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": (NEVER, HERMES),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": (SWITCHABLE, XML),
    "openai-gpt-oss-120b": (NEVER, NONE),
    "poolside-Laguna-S-2.1": (SWITCHABLE, NONE),
    "StepFun3.5-Flash": (ALWAYS, XML),
    "unsloth-Apriel-1.5": (NEVER, NONE),
}


@pytest.mark.parametrize("name", FACTS)
def test_the_modes_and_the_form_of_calls_are_those_of_the_model(name: str) -> None:
    facts = read_template(source_of(name))
    assert (facts.thinking, facts.tool_form) == FACTS[name]
    assert template_of(name).has_json_calls == (facts.tool_form is HERMES)


SWITCHES_IN_MESSAGES = {"NVIDIA-Nemotron-Nano-v2"}
"""Templates that switch by a tag in a message alone, which our tags in messages are for."""


NEEDS_MORE = {"fireworks-ai-llama-3-firefunction-v2", "CohereForAI-c4ai-command-r-plus-tool_use"}
"""Templates that want more of their caller: transformers is refused as well."""


@pytest.mark.parametrize("name", RENDERINGS)
def test_the_facts_agree_with_what_the_template_writes(name: str) -> None:
    facts, template = read_template(source_of(name)), template_of(name)
    on, off = (
        rendered(template, "question", thinks, has_tools=False)
        or rendered(template, "question", thinks, has_tools=True)
        for thinks in (True, False)
    )
    if on is None or off is None:
        assert name in NEEDS_MORE
        return
    assert (on.text != off.text) == (facts.thinking is SWITCHABLE and name not in SWITCHES_IN_MESSAGES)
    opened = on.text.rfind("<think>") > on.text.rfind("</think>")
    assert on.opens_reasoning == opened
    assert facts.has_soft_switch == (not opened)
    assert not off.opens_reasoning or facts.thinking is not SWITCHABLE or name in SWITCHES_IN_MESSAGES
