"""Forms of servers: what is read of their schemas, what may be typed, how a server gets the answer."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from made_up_mcp_server import FORM_FIELDS
from qwen3_chat.errors import UsageError
from qwen3_chat.mcp.forms import (
    MAX_FIELDS,
    FieldKind,
    FormAction,
    FormAnswer,
    FormChoice,
    FormError,
    FormField,
    FormRequested,
    parse_value,
    parse_values,
    read_fields,
    read_url,
)
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_process.elicitation import MAX_FORMS_PER_CALL
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.call_context import CallContext, current_call
from qwen3_chat.tools.tool import ToolError
from tests.conftest import WAIT_LIMIT_S
from tests.mcp.real_servers import made_up, running_tools

SCHEMA: dict[str, Any] = {"type": "object", "properties": FORM_FIELDS, "required": ["name"]}
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and processes")


def test_the_fields_of_a_schema_are_read() -> None:
    name, size, colour, news = read_fields(SCHEMA)
    title = "Your \ufffd[31mname"
    assert name == FormField("name", title, FieldKind.TEXT, is_required=True, low=2, high=20)
    assert (size.kind, size.default, size.expected) == (FieldKind.INTEGER, "3", "a whole number (1–9)")
    assert colour.choices == (FormChoice("r", "Red"), FormChoice("g", "Green"))
    assert colour.expected == "the number of one: 1 Red · 2 Green"
    assert (news.kind, news.first_text, news.about) == (FieldKind.BOOLEAN, "no", "Letters each day")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"type": "object", "properties": {"a": None}},
        {"type": "object", "properties": {"a": {"type": "string", "enum": list(range(3))}}},
        {"type": "object", "properties": {"a": {"type": "string", "enum": [str(n) for n in range(99)]}}},
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(MAX_FIELDS + 1)}},
    ],
)
def test_a_schema_that_is_not_flat_or_too_large_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(FormError):
        read_fields(schema)


TUNES = (FormChoice("j", "Jazz"), FormChoice("f", "Folk"), FormChoice("r", "Rock"))


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        (FieldKind.TEXT, " a b ", "a b"),
        (FieldKind.EMAIL, "me@example.com", "me@example.com"),
        (FieldKind.EMAIL, "me", None),
        (FieldKind.URI, "https://example.com", "https://example.com"),
        (FieldKind.URI, "example", None),
        (FieldKind.DATE, "2026-11-29", "2026-11-29"),
        (FieldKind.DATE, "2026-13-29", None),
        (FieldKind.MOMENT, "2026-11-29T18:30:00Z", "2026-11-29T18:30:00Z"),
        (FieldKind.MOMENT, "2026-11-29", None),
        (FieldKind.NUMBER, "2.5", 2.5),
        (FieldKind.NUMBER, "nan", None),
        (FieldKind.NUMBER, "1e300", None),
        (FieldKind.INTEGER, "7", 7),
        (FieldKind.INTEGER, "7.5", None),
        (FieldKind.BOOLEAN, "是", True),
        (FieldKind.BOOLEAN, "No", False),
        (FieldKind.BOOLEAN, "perhaps", None),
        (FieldKind.CHOICE, "2", "f"),
        (FieldKind.CHOICE, "Rock", "r"),
        (FieldKind.CHOICE, "4", None),
        (FieldKind.CHOICES, "1, Rock，1", ["j", "r"]),
        (FieldKind.CHOICES, "1,9", None),
    ],
)
def test_what_is_typed_becomes_a_value_or_a_sentence(kind: FieldKind, typed: str, value: object) -> None:
    field = FormField("x", "X", kind, choices=TUNES if "choice" in kind else ())
    if value is not None:
        assert parse_value(field, typed) == value
        return
    with pytest.raises(UsageError, match="Needed here: "):
        parse_value(field, typed)


def test_limits_hold_and_an_empty_line_leaves_out_what_is_not_required() -> None:
    fields = read_fields(SCHEMA)
    assert parse_values(fields, {"name": "Bo", "size": "", "news": "yes"}) == {"name": "Bo", "news": True}
    for wrong in ({"name": ""}, {"name": "B"}, {"name": "Bo", "size": "10"}):
        with pytest.raises(UsageError):
            parse_values(fields, wrong)


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "javascript:alert(1)", "http://", "https://a b", "//x"]
)
def test_only_addresses_of_the_web_are_shown(url: str) -> None:
    with pytest.raises(FormError):
        read_url(url)


async def ask(tools: McpTools, text: str) -> str:
    (tool,) = tools.tools_named("mcp:Asking.echo")
    return await tool.run({"text": text})


@posix
async def test_a_server_gets_what_the_user_answers_and_nothing_unasked(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Asking")) as (tools, sentences):
        assert sentences == []
        declined = await ask(tools, "form")
        assert declined.startswith('{"action": "decline"}\n[The server asked the user for something,')
        requests, held = list[FormRequested](), list[bool]()

        async def fill(request: FormRequested) -> FormAnswer:
            requests.append(request)
            return FormAnswer(FormAction.ACCEPT, {} if request.url else {"name": "Bo", "size": 3})

        tools.set_trust(replace(tools._trust, fill=fill))
        token = current_call.set(CallContext(hold=held.append))
        assert json.loads(await ask(tools, "form")) == {
            "action": "accept",
            "content": {"name": "Bo", "size": 3},
        }
        current_call.reset(token)
        assert held == [True, False]  # the time of the call stands still meanwhile
        assert json.loads(await ask(tools, "url")) == {"action": "accept"}
        assert [(r.server, r.message, r.url) for r in requests] == [
            ("Asking", "Who are you?", ""),
            ("Asking", "Log in.", "https://example.com/in?a=b"),
        ]
        for kind in ("deep", "many", "bad url"):
            assert json.loads(await ask(tools, kind))["code"] == -32602
        assert len(requests) == 2
        assert json.loads(await ask(tools, "again"))["code"] == -32600
        assert len(requests) == 2 + MAX_FORMS_PER_CALL


@posix
async def test_addresses_that_a_call_needs_are_visited_before_it_is_sent_again(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Asking")) as (tools, _):
        with pytest.raises(
            ToolError, match=r"This needs a visit\.\n\[The server asked the user for something,"
        ):
            await ask(tools, "visit always")
        requests, actions = list[FormRequested](), [FormAction.ACCEPT]

        async def fill(request: FormRequested) -> FormAnswer:
            requests.append(request)
            return FormAnswer(actions[-1])

        tools.set_trust(replace(tools._trust, fill=fill))
        assert await ask(tools, "visit") == "visited"
        assert len(requests) <= 1
        with pytest.raises(ToolError, match=r"This needs a visit\.$"):
            await ask(tools, "visit nothing")
        requests.clear()
        with pytest.raises(ToolError, match=r"This needs a visit\.$"):
            await ask(tools, "visit always")
        assert [(r.message, r.url) for r in requests] == [("Pay.", "https://example.com/pay")] * (
            MAX_FORMS_PER_CALL
        )
        requests.clear()
        actions.append(FormAction.DECLINE)
        with pytest.raises(ToolError, match=r"This needs a visit\.$"):
            await ask(tools, "visit always")
        assert len(requests) == 1


@posix
async def test_a_form_closes_with_the_call_that_needs_it(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Asking")) as (tools, _):
        is_open, is_closed = asyncio.Event(), asyncio.Event()

        async def fill(request: FormRequested) -> FormAnswer:
            is_open.set()
            try:
                await asyncio.Event().wait()
            finally:
                is_closed.set()
            raise AssertionError

        tools.set_trust(replace(tools._trust, fill=fill))
        calling = asyncio.create_task(ask(tools, "form"))
        async with asyncio.timeout(WAIT_LIMIT_S):
            await is_open.wait()
            calling.cancel()
            await is_closed.wait()
