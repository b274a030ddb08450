"""The ways in which models damage calls, in both forms, and what becomes of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_fates import Fate, FatedCall, fates, read_reply
from qwen3_chat.chat import ToolCall
from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolRegistry
from tests.conftest import REPOSITORY


async def run(arguments: Arguments) -> str:
    return json.dumps(arguments)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "wind": {"type": "boolean"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = ToolRegistry([Tool("weather", "", SCHEMA, run, Reach.NOTHING)])
ARGUMENTS = {"city": "New York", "days": 3}

HERMES = '{"name": "weather", "arguments": {"city": "New York", "days": 3}}'
XML = (
    "<function=weather>\n<parameter=city>\nNew York\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>"
)


def form(source: str) -> str:
    return f"<tool_call>\n{source}\n</tool_call>"


@dataclass(frozen=True, slots=True)
class Damage:
    """A damage with the reply that has it, in both forms, and the fate of its call in each."""

    name: str
    hermes: str
    hermes_fate: Fate
    xml: str
    xml_fate: Fate


def inside(
    name: str, hermes: tuple[str, str], hermes_fate: Fate, xml: tuple[str, str], xml_fate: Fate
) -> Damage:
    """Return a damage that replaces a part of the call."""
    assert hermes[0] in HERMES
    assert xml[0] in XML
    return Damage(name, form(HERMES.replace(*hermes, 1)), hermes_fate, form(XML.replace(*xml, 1)), xml_fate)


def around(name: str, frame: str, hermes_fate: Fate, xml_fate: Fate) -> Damage:
    """Return a damage of what stands around the call."""
    return Damage(name, frame.replace("CALL", HERMES), hermes_fate, frame.replace("CALL", XML), xml_fate)


R, A, T, X = Fate.RUN, Fate.ASKED, Fate.RETRIED, Fate.TEXT

DAMAGES = (
    around("none", form("CALL"), R, R),
    around("text before the call", "I look it up.\n" + form("CALL"), R, R),
    around("text after the call", form("CALL") + "\nPlease wait.", R, R),
    around("two calls", form("CALL") + "\n" + form("CALL"), R, R),
    around("no end tag", "<tool_call>\nCALL", A, A),
    around("no begin tag", "CALL\n</tool_call>", A, A),
    around("no tags", "CALL", A, A),
    around("no begin tag, text before", "I look it up.\nCALL\n</tool_call>", A, A),
    around("no tags, text before", "I look it up.\nCALL", X, X),
    around("a fenced block within the tags", form("```json\nCALL\n```"), A, A),
    around("a fenced block without tags", "```\nCALL\n```", A, A),
    around("another tag", "<function_call>\nCALL\n</function_call>", X, X),
    around("the begin tag twice", "<tool_call>\n<tool_call>\nCALL\n</tool_call>", R, R),
    around("within thinking that never ends", "<think>\nI look it up.\n" + form("CALL"), A, A),
    around("planned in thinking, then answered", "<think>\n" + form("CALL") + "\n</think>\n\nDone.", X, X),
    inside("cut off within a value", (' York", "days": 3}}', ""), T, (XML[XML.index(" York") :], ""), T),
    inside("a closing mark too few", ("}}", "}"), A, ("</function>", ""), A),
    inside("a closing mark too many", ("}}", "}}}"), A, ("</function>", "</function></function>"), A),
    inside("what parts two arguments left out", (', "days', ' "days'), A, ("</parameter>\n", ""), A),
    inside(
        "a comma after the last argument · empty lines",
        ("3}", "3,}"),
        A,
        ("</function>", "\n\n</function>"),
        R,
    ),
    inside("single quotes", (HERMES, HERMES.replace('"', "'")), A, ("weather", "'weather'"), T),
    inside("quotes left out · put around a name", ('"city"', "city"), A, ("=city", '="city"'), T),
    inside(
        "full-width punctuation",
        (HERMES, HERMES.replace('": ', '"：').replace('", ', '"，')),
        T,
        ("<function=weather>", "＜function=weather＞"),
        T,
    ),
    inside(
        "a comment", ("3}", "3} // three"), T, ("<parameter=days>", "<!-- three -->\n<parameter=days>"), T
    ),
    inside(
        "Python's True",
        ("3}", '3, "wind": True}'),
        A,
        ("</function>", "<parameter=wind>\nTrue\n</parameter>\n</function>"),
        R,
    ),
    inside(
        "arguments as a text",
        ('{"city": "New York", "days": 3}', json.dumps(json.dumps(ARGUMENTS))),
        A,
        (XML[18:-11], "<parameter=arguments>\n" + json.dumps(ARGUMENTS) + "\n</parameter>\n"),
        T,
    ),
    inside(
        "another key of the arguments",
        ("arguments", "parameters"),
        A,
        ("<parameter=city>\nNew York\n</parameter>", "<param=city>\nNew York\n</param>"),
        T,
    ),
    inside(
        "the name under another key",
        ('"name"', '"function"'),
        A,
        ("<function=weather>", '<function name="weather">'),
        T,
    ),
    inside(
        "a wrapper",
        (HERMES, '{"type": "function", "function": ' + HERMES + "}"),
        A,
        (XML, "<tools>\n" + XML + "\n</tools>"),
        T,
    ),
    inside("a list of calls", (HERMES, f"[{HERMES}]"), A, (XML, f"[{XML}]"), T),
    inside("two calls in one pair of tags", (HERMES, f"{HERMES}\n{HERMES}"), A, (XML, f"{XML}\n{XML}"), R),
    inside(
        "an argument twice",
        ('"days": 3', '"days": 3, "days": 5'),
        T,
        ("</function>", "<parameter=days>\n5\n</parameter>\n</function>"),
        T,
    ),
    inside(
        "arguments twice",
        ("3}", '3}, "arguments": {"city": "Rome", "days": 1}'),
        T,
        ("</function>", "</function>\n<parameter=days>\n1\n</parameter>"),
        T,
    ),
    inside(
        "arguments beside the name",
        ('"arguments": {"city": "New York", "days": 3}', '"city": "New York", "days": 3'),
        T,
        ("<function=weather>", "<function=weather></function>"),
        T,
    ),
    inside("no arguments", (', "arguments": {"city": "New York", "days": 3}', ""), T, (XML[18:-11], ""), T),
    inside("an argument missing", (', "days": 3', ""), T, ("<parameter=days>\n3\n</parameter>\n", ""), T),
    inside("an argument of another type", ("3}", '"three"}'), T, ("\n3\n", "\nthree\n"), T),
    inside(
        "an invented argument",
        ("3}", '3, "unit": "C"}'),
        T,
        ("</function>", "<parameter=unit>\nC\n</parameter>\n</function>"),
        T,
    ),
    inside("an invented tool", ("weather", "forecast"), T, ("weather", "forecast"), T),
    inside("no name", ('"name": "weather", ', ""), T, ("<function=weather>", "<function=>"), T),
    inside(
        "no call at all",
        (HERMES, "weather(city='New York', days=3)"),
        T,
        (XML, "weather: New York, 3 days"),
        T,
    ),
    inside("a line break within a value", ("New York", "New\nYork"), R, ("New York", "New\nYork"), R),
    Damage("the form of another model", form(XML), R, form(HERMES), R),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
@pytest.mark.parametrize("is_xml", [False, True], ids=["Hermes", "XML"])
async def test_each_damage_has_the_fate_that_the_table_tells(damage: Damage, is_xml: bool) -> None:
    text, expected = (damage.xml, damage.xml_fate) if is_xml else (damage.hermes, damage.hermes_fate)
    reply = read_reply([text], TOOLS.names)
    for fated in await fates(reply, TOOLS):
        assert fated.fate is expected
        match fated:
            case FatedCall(Fate.RUN | Fate.ASKED, ToolCall() as call):
                arguments = json.loads(call.arguments)
                assert arguments.pop("wind", True) is True
                assert arguments.pop("city").split() == ["New", "York"]  # one damage breaks the line
                assert arguments == {"days": 3}
            case FatedCall(Fate.RETRIED, result=result):
                assert result.startswith(("The call could not be read", "There is no tool", "The arguments"))
                if "Write it as" in result:
                    assert ("<function=…>" in result) is ("<function=" in text)
            case _:
                assert reply.content in text


TEXTS = tuple(text for damage in DAMAGES for text in (damage.hermes, damage.xml))
EDITS = st.tuples(
    st.integers(0, 300),
    st.integers(0, 12),
    st.sampled_from(
        ["", "<", ">", '"', "}", "\n", "</", "</tool_call>", "<tool_call>", "</function>", "好", "x"]
    ),
)


@given(st.sampled_from(TEXTS), st.lists(EDITS, max_size=3), st.lists(st.integers(0, 400), max_size=12))
def test_every_call_is_read_the_same_however_its_text_is_cut(
    text: str, edits: list[tuple[int, int, str]], places: list[int]
) -> None:
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    whole = read_reply([text], TOOLS.names)
    assert read_reply(text, TOOLS.names) == whole
    cuts = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    assert read_reply((text[start:end] for start, end in pairwise(cuts)), TOOLS.names) == whole


def test_the_document_has_the_table() -> None:
    rows = [
        "| damage | Hermes | XML |",
        "|---|---|---|",
        *(f"| {damage.name} | {damage.hermes_fate} | {damage.xml_fate} |" for damage in DAMAGES),
    ]
    assert "\n".join(rows) in (REPOSITORY / "docs" / "tool-calls.md").read_text("utf-8"), "\n".join(rows)
