"""What chat templates tell of their models, by the templates that llama.cpp keeps and by the demo model's."""

from __future__ import annotations

import pytest

from demo_model.render import TEMPLATE_PATH
from in_place_renderer import InPlaceRenderer
from qwen3_chat.chat import ChatMessage, Role, ThinkingSupport, ToolCall
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.models.template_facts import TemplateFacts, ToolForm, read_template

_LOOP = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
_START = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
_ALWAYS = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
_EMPTY = "{% if enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}"
_SWITCH = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}" + _EMPTY + "{% endif %}{% endif %}"
_OPENED = (
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    + _EMPTY
    + "{% else %}{{ '<think>\\n' }}{% endif %}{% endif %}"
)
_CUT = "{{ content.split('</think>')[-1] }}"


@pytest.mark.parametrize(
    ("source", "thinking", "has_soft_switch"),
    [
        (_LOOP + _SWITCH, ThinkingSupport.SWITCHABLE, True),
        (_LOOP + _OPENED, ThinkingSupport.SWITCHABLE, False),
        (_LOOP + _ALWAYS, ThinkingSupport.ALWAYS, False),
        (_LOOP + "<|im_start|>assistant\\n<think>\\n", ThinkingSupport.ALWAYS, False),
        (_LOOP + _START, ThinkingSupport.NEVER, True),
        (_LOOP + _CUT + _START, None, True),
        ("", None, True),
    ],
)
def test_the_generation_prompt_tells_the_modes(
    source: str, thinking: ThinkingSupport | None, has_soft_switch: bool
) -> None:
    facts = read_template(source)
    assert (facts.thinking, facts.has_soft_switch) == (thinking, has_soft_switch)


def test_the_form_of_calls_is_told() -> None:
    xml = "'<tool_call>\\n<function=' + name {%- for k, v in tool_call.arguments|items %}"
    assert read_template(xml).tool_form is ToolForm.XML
    assert read_template(xml).wants_argument_objects
    assert read_template('<tool_call>\\n{\\"name\\": <function-name>').tool_form is ToolForm.HERMES
    assert read_template("'<tool_call>' + call.name + '<arg_key>'").tool_form is ToolForm.NONE
    assert read_template(_LOOP).tool_form is ToolForm.NONE


XML_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<function={{ call.function.name }}>"
    "{% for key, value in call.function.arguments|items %}"
    "<parameter={{ key }}>{{ value }}</parameter>{% endfor %}"
    "</function>{% endfor %}<|im_end|>{% endfor %}"
)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ('{"city": "Paris", "days": 3}', "<parameter=city>Paris</parameter><parameter=days>3</parameter>"),
        ("no JSON", ""),
        ("[1]", ""),
    ],
)
def test_a_template_that_lists_arguments_gets_an_object(arguments: str, written: str) -> None:
    template = ChatTemplate(XML_TEMPLATE, ["<|im_start|>", "<|im_end|>"], InPlaceRenderer())
    call = ChatMessage(Role.ASSISTANT, "", tool_calls=(ToolCall("weather", arguments),))
    text = template.render([call], (), enable_thinking=True).text
    assert f"<function=weather>{written}</function>" in text


def test_the_demo_model_is_as_qwen3() -> None:
    facts = read_template(TEMPLATE_PATH.read_text("utf-8"))
    assert facts == TemplateFacts(ThinkingSupport.SWITCHABLE, ToolForm.HERMES, True, False)
