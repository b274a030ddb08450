"""The ways in which models write calls and damage them, and what becomes of each."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.chat import ToolCall
from qwen3_chat.engine.tool_call_parser import parse_calls

WELL_FORMED = '{"name": "f", "arguments": {"a": 1}}'
F = ToolCall("f", '{"a": 1}')
REPAIRED_F = ToolCall("f", '{"a": 1}', is_repaired=True)

REPAIRED = {
    "a trailing comma": '{"name": "f", "arguments": {"a": 1,}}',
    "single quotes": "{'name': 'f', 'arguments': {'a': 1}}",
    "a brace too few": '{"name": "f", "arguments": {"a": 1}',
    "a brace too many": '{"name": "f", "arguments": {"a": 1}}}',
    "a missing comma": '{"name": "f" "arguments": {"a": 1}}',
    "no quotes around keys": '{name: "f", arguments: {a: 1}}',
    "arguments as a string": '{"name": "f", "arguments": "{\\"a\\": 1}"}',
    "parameters": '{"name": "f", "parameters": {"a": 1}}',
    "a function wrapper": '{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}',
    "the name under function": '{"function": "f", "arguments": {"a": 1}}',
    "a list": '[{"name": "f", "arguments": {"a": 1}}]',
    "a fenced block": '```json\n{"name": "f", "arguments": {"a": 1}}\n```',
    "spaces around the name": '{"name": " f ", "arguments": {"a": 1}}',
}

ONE, END = "<parameter=a>\n1\n", "</parameter>\n"
REPAIRED_XML = {
    "no end of the parameter": f"<function=f>\n{ONE}</function>",
    "no end of a parameter before another": f"<function=f>\n<parameter=b>\n2\n{ONE}{END}</function>",
    "no end of the function": f"<function=f>\n{ONE}{END}",
    "an end too many": f"<function=f>\n{ONE}{END}</function>\n</function>",
    "a fenced block": f"```xml\n<function=f>\n{ONE}{END}</function>\n```",
}

REFUSED = {
    "no JSON": "f(a=1)",
    "arguments beside the name": '{"name": "f", "a": 1}',
    "two sets of arguments": '{"name": "f", "arguments": {"a": 1}, "parameters": {"a": 2}}',
    "the same key twice": '{"name": "f", "arguments": {"a": 1}, "arguments": {"a": 2}}',
    "a string that breaks off": '{"name": "f", "arguments": {"city": "Pa',
    "a string without an end": '{"name": "f", "arguments": {"city": "Pa}}',
    "a number that breaks off": '{"name": "f", "arguments": {"a": 12',
    "arguments that are a list": '{"name": "f", "arguments": [1]}',
    "arguments that are null": '{"name": "f", "arguments": null}',
    "no name": '{"arguments": {"a": 1}}',
    "an empty name": '{"name": " ", "arguments": {"a": 1}}',
    "a comment": '{"name": "f", "arguments": {"a": 1} // one\n}',
    "a list with something else": '[{"name": "f", "arguments": {}}, 7]',
    "half a character as name": '{"name": "\\ud800", "arguments": {}}',
    "XML that breaks off in a value": "<function=f>\n<parameter=a>\n1",
    "XML without a begin": "<parameter=a>\n1\n</parameter>\n</function>",
    "XML in which a call holds another": "<function=f>\n<function=g>\n</function>\n</function>",
    "XML with text between": "<function=f>\nhm\n<parameter=a>\n1\n</parameter>\n</function>",
    "an XML parameter twice": "<function=f><parameter=a>1</parameter><parameter=a>2</parameter></function>",
    "more XML parameters than any tool has": "<function=f>"
    + "".join(f"<parameter=p{number}>1</parameter>" for number in range(1_001))
    + "</function>",
    "too much of everything": '{"name": "f", "arguments": {"a": "' + "x" * 200_001 + '"}}',
}


def test_a_call_in_the_form_that_was_asked_for_is_not_marked() -> None:
    assert parse_calls(WELL_FORMED) == (F,)


@pytest.mark.parametrize("source", REPAIRED.values(), ids=REPAIRED)
def test_small_damage_is_repaired_and_marked(source: str) -> None:
    assert parse_calls(source) == (REPAIRED_F,)


@pytest.mark.parametrize("source", REPAIRED_XML.values(), ids=REPAIRED_XML)
def test_missing_tags_of_the_xml_form_are_repaired_and_marked(source: str) -> None:
    (call,) = parse_calls(source)
    assert json.loads(call.arguments)["a"] == "1"
    assert call.is_repaired
    assert parse_calls(source, repairs=False) == ()


@pytest.mark.parametrize("value", ["1<parameter=b>2", "1</parameterx>2", "<function=g>"])
def test_a_value_that_holds_a_tag_of_a_call_may_be_two_values_and_is_marked(value: str) -> None:
    (call,) = parse_calls(f"<function=f><parameter=a>{value}</parameter></function>")
    assert json.loads(call.arguments) == {"a": value}
    assert call.is_repaired


@pytest.mark.parametrize("source", REFUSED.values(), ids=REFUSED)
def test_what_could_mean_something_else_is_no_call(source: str) -> None:
    assert parse_calls(source) == ()


def test_python_words_become_those_of_json() -> None:
    (call,) = parse_calls("{'name': 'f', 'arguments': {'a': True, 'b': None, 'c': 'True'}}")
    assert json.loads(call.arguments)["a"] is True
    assert json.loads(call.arguments)["b"] is None
    assert call.is_repaired


def test_two_objects_in_one_block_are_two_calls_in_order() -> None:
    calls = parse_calls(WELL_FORMED + "\n" + WELL_FORMED.replace('"f"', '"g"'))
    assert [(call.name, call.is_repaired) for call in calls] == [("f", True), ("g", True)]


def test_the_xml_form_gives_text_for_every_argument() -> None:
    code = "<parameter=code>\nx = 1\n\ny\n</parameter>"
    source = f"\n<function=f>\n<parameter=a>\n1\n</parameter>\n{code}\n</function>\n"
    (call,) = parse_calls(source)
    assert json.loads(call.arguments) == {"a": "1", "code": "x = 1\n\ny"}
    assert call.values_are_text
    assert not call.is_repaired


def test_brackets_without_counterparts_cost_no_more_than_reading_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("json_repair takes quadratic time on these")

    monkeypatch.setattr("json_repair.repair_json", fail)
    assert parse_calls('{"a"' * 5_000) == ()
    assert parse_calls("[" * 20_000) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_arguments_arrive_as_they_were_written(arguments: dict[str, object]) -> None:
    (call,) = parse_calls(json.dumps({"name": "f", "arguments": arguments}))
    assert json.loads(call.arguments) == arguments
    assert not call.is_repaired


SOURCE = 'print("a\\n")\nif 1 < 2: x = "</b>"'


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f'{{"name": "python", "arguments": {{"code": ""}}}}\n<code>\n{SOURCE}\n</code>\n', SOURCE),
        ('{"name": "python", "arguments": {"code": ""}}<code>1</code>', "1"),
        ('{"name": "python", "arguments": {"code": "x"}}\n<code>\ny\n</code>', None),
        ('{"name": "python", "arguments": {}}<code>y</code>', None),
        ('{"name": "python", "arguments": {"code": ""}} x <code>y</code>', None),
        ('{"name": "python", "arguments": {"code": ""}}<code>y', None),
    ],
)
def test_code_may_stand_behind_the_object_without_escapes(text: str, code: str | None) -> None:
    calls = parse_calls(text, repairs=False)
    assert [json.loads(call.arguments)["code"] for call in calls] == ([] if code is None else [code])
    assert not any(call.is_repaired for call in calls)
