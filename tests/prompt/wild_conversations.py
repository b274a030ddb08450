"""Conversations in the form of OpenAI's protocol, as any program would hand them to transformers."""

from __future__ import annotations

from typing import Any

PARIS: dict[str, Any] = {"city": "Paris"}
BEIJING: dict[str, Any] = {"city": "北京", "days": 2, "units": ["°C", "km/h"]}


def _function(name: str, description: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


TOOLS: list[dict[str, Any]] = [
    _function(
        "get_weather",
        "Look up the weather of a city, <b>today</b> & later.",
        {
            "city": {"type": "string", "description": 'The city\'s name, 例如 "北京"'},
            "days": {"type": "integer", "description": "Days to look ahead", "default": 1},
            "units": {"type": "array", "items": {"type": "string", "enum": ["°C", "°F", "km/h"]}},
        },
        ["city"],
    ),
    _function("now", "Tell the time.", {}, []),
]


def _call(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "question": [{"role": "user", "content": 'How many r\'s are in "strawberries"? <3 & {{ so on }}'}],
    "chinese": [
        {"role": "system", "content": "你是一位耐心的老师。\n\n只用中文回答。"},
        {"role": "user", "content": "“你好”——请用一句话介绍《红楼梦》……\n"},
    ],
    "history": [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2", "reasoning_content": "Easy:\n1+1 is 2."},
        {"role": "user", "content": "And 2+2?"},
        {"role": "assistant", "content": "**4**.\n\n```python\nprint(2 + 2)\n```"},
        {"role": "user", "content": "  Really?  "},
    ],
    "call": [
        {"role": "user", "content": "Weather in Paris?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I need a tool.",
            "tool_calls": [_call("call00001", "get_weather", PARIS)],
        },
        {
            "role": "tool",
            "name": "get_weather",
            "tool_call_id": "call00001",
            "content": '{"celsius": 21, "sky": "clear"}',
        },
    ],
    "two_calls": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris and 北京?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                _call("call00001", "get_weather", PARIS),
                _call("call00002", "get_weather", BEIJING),
            ],
        },
        {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "21 °C"},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call00002", "content": "晴，12 °C"},
        {"role": "assistant", "content": "21 °C and 12 °C.", "reasoning_content": "Done."},
        {"role": "user", "content": "Thanks!"},
    ],
    "steps": [
        {"role": "user", "content": "What time is it, and how is the weather?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "First the time.",
            "tool_calls": [_call("call00001", "now", {})],
        },
        {"role": "tool", "name": "now", "tool_call_id": "call00001", "content": "14:05"},
        {
            "role": "assistant",
            "content": "Now the weather.",
            "reasoning_content": "Then the weather.",
            "tool_calls": [_call("call00002", "get_weather", BEIJING)],
        },
        {"role": "tool", "name": "get_weather", "tool_call_id": "call00002", "content": "晴"},
    ],
}
