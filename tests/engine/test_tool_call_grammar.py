"""Tool calls that are held to a grammar while the real model writes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from benchmarks.in_process import Turn, clear_context, open_model, reply_to
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine import wire
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prompt_ids import count_prompt_tokens
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.engine.worker.tool_call_constraint import Grammar
from qwen3_chat.engine.worker.tool_call_grammar import MAX_GRAMMAR_CHARS, tool_call_grammar
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.events import EngineEvent, ToolCallRequested
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings, ToolSpec
from qwen3_chat.sampling import SamplingParams
from tests.engine.made_up_schemas import HOSTILE_SCHEMAS, made_up_schema
from tests.engine.requests import chat_request, user_message

Schema = Mapping[str, Any]
WILD = SamplingParams(temperature=2, top_p=1, top_k=0)

SCHEMAS: Mapping[str, Schema] = {
    "two values": {"properties": {"unit": {"enum": ["celsius", "fahrenheit"]}}, "required": ["unit"]},
    "range": {
        "properties": {"n": {"type": "integer", "minimum": -7, "exclusiveMaximum": 120}, "m": {"const": 5}},
        "required": ["n", "m"],
    },
    "decimals": {
        "properties": {
            "x": {"type": "number", "minimum": 0, "maximum": 1},
            "y": {"type": ["number", "null"]},
        },
        "required": ["x", "y"],
        "additionalProperties": False,
    },
    "nested": {
        "properties": {
            "rows": {
                "type": "array",
                "minItems": 1,
                "maxItems": 3,
                "items": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
            },
            "at": {"$ref": "#/$defs/point"},
        },
        "required": ["rows", "at"],
        "additionalProperties": False,
        "$defs": {
            "point": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
                "required": ["x", "y"],
                "additionalProperties": False,
            }
        },
    },
    "unicode": {
        "properties": {
            "城市": {"type": "string", "minLength": 2, "maxLength": 6},
            "单位": {"enum": ["摄氏", "华氏", "🌡️", 'a"\\\n\u3000b']},
        },
        "required": ["城市", "单位"],
    },
    "tuple": {
        "properties": {
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "string", "maxLength": 3}, {"type": "integer"}],
                "items": False,
                "minItems": 1,
            }
        },
        "required": ["pair"],
    },
    "union": {
        "allOf": [{"properties": {"kind": {"const": "a"}}}, {"required": ["kind"]}],
        "properties": {"id": {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["all", "none"]}]}},
        "required": ["id"],
    },
    "many": {
        "properties": {f"p{i}": {"type": "boolean"} for i in range(8)},
        "required": ["p1", "p6"],
        "additionalProperties": False,
    },
    "tree": {
        "properties": {"leaf": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["leaf"],
        "additionalProperties": False,
    },
}


def tool(schema: object, name: str = "f") -> ToolSpec:
    function = {"name": name, "description": "A tool.", "parameters": schema}
    return ToolSpec(json.dumps({"type": "function", "function": function}))


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log", n_threads=1)


@pytest.fixture
async def engine(demo_gguf: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(LoadSettings(str(demo_gguf), n_threads=1), log_path)
    yield engine
    await engine.close()


def begun(model: LlamaModel, text: str = "") -> ChatMessage:
    """Return a reply that was stopped after the tag of a call and a text."""
    opening = model.vocab.specials["<tool_call>"]
    return ChatMessage(Role.ASSISTANT, f"<tool_call>{text}", token_ids=(opening, *model.vocab.encode(text)))


def calling(model: LlamaModel, schema: object, seed: int, **changes: Any) -> ChatRequest:
    """Return a request whose reply has begun a call."""
    request = chat_request(
        user_message("Weather?"),
        sampling=WILD,
        seed=seed,
        tools=(tool(schema), tool({"type": "object"}, "other")),
        prefix=begun(model),
        max_tokens=180,
        guesses=False,
    )
    return replace(request, **changes)


def check_is_held(turn: Turn, schema: Schema, name: str | None = None) -> bool:
    """Check that the first call of a reply fits its schema; return False if it was not finished."""
    if not turn.message.tool_calls:
        assert turn.stop_reason in (StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL)
        assert turn.message.content.startswith("<tool_call>")
        return False
    call = turn.message.tool_calls[0]
    assert not call.is_repaired
    assert call.name in ("f", "other")
    assert name in (None, call.name)
    if call.name == "f":
        Draft202012Validator({**schema, "type": "object"}).validate(json.loads(call.arguments))
    return True


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_finished_call_fits_its_schema(model: LlamaModel, name: str) -> None:
    start = begun(model, '\n{"name": "f", ')
    turns = [reply_to(model, calling(model, SCHEMAS[name], seed, prefix=start)) for seed in range(2)]
    assert sum(check_is_held(turn, SCHEMAS[name], "f") for turn in turns)


def test_only_a_tool_that_exists_is_called(model: LlamaModel) -> None:
    turns = [reply_to(model, calling(model, SCHEMAS["two values"], seed)) for seed in range(4)]
    assert sum(check_is_held(turn, SCHEMAS["two values"]) for turn in turns)


def test_the_same_seed_gives_the_same_call(model: LlamaModel) -> None:
    messages = []
    for _ in range(2):
        clear_context(model)
        messages.append(reply_to(model, calling(model, SCHEMAS["unicode"], 5)).message)
    assert messages[0] == messages[1]


def test_presence_penalties_count_the_tokens_of_a_call(model: LlamaModel) -> None:
    penalised = replace(WILD, presence_penalty=1.5)
    turns = [reply_to(model, calling(model, SCHEMAS["union"], seed, sampling=penalised)) for seed in range(2)]
    assert sum(check_is_held(turn, SCHEMAS["union"]) for turn in turns)


@pytest.mark.parametrize("tools", [(), (tool({"type": "object"}),)])
def test_a_reply_without_a_call_is_the_same_with_and_without_a_grammar(
    model: LlamaModel, tools: tuple[ToolSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = chat_request(
        user_message("Count to 12."),
        mode=ThinkingMode.THINK,
        sampling=replace(WILD, temperature=1),
        tools=tools,
        max_tokens=80,
        guesses=False,
    )
    opening = model.vocab.specials["<tool_call>"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "qwen3_chat.engine.worker.tool_call_constraint.ToolCallConstraint.follow", lambda *_: None
        )
        free = {seed: _reply_anew(model, replace(request, seed=seed)) for seed in range(6)}
    without_call = {seed: ids for seed, ids in free.items() if opening not in ids}
    assert len(without_call) >= 2
    held = {seed: _reply_anew(model, replace(request, seed=seed)) for seed in without_call}
    assert held == without_call


def _reply_anew(model: LlamaModel, request: ChatRequest) -> tuple[int, ...]:
    clear_context(model)
    return reply_to(model, request).message.token_ids


def test_a_call_that_the_model_writes_well_is_the_same_with_and_without_a_grammar(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwen3_chat.tools.clock import clock_tool

    request = chat_request(
        user_message("What time is it in Berlin?"), tools=(clock_tool().spec,), max_tokens=200, guesses=False
    )
    clear_context(model)
    held = reply_to(model, request)
    assert held.message.tool_calls
    monkeypatch.setattr(
        "qwen3_chat.engine.worker.tool_call_constraint.ToolCallConstraint.follow", lambda *_: None
    )
    clear_context(model)
    assert reply_to(model, request).message == held.message


def test_a_call_within_the_thinking_is_held_to_nothing(model: LlamaModel) -> None:
    thinking = ChatMessage(
        Role.ASSISTANT,
        "",
        "I call <tool_call>",
        token_ids=(
            model.vocab.specials["<think>"],
            *model.vocab.encode("\nI call "),
            model.vocab.specials["<tool_call>"],
        ),
    )
    rests = []
    for seed in range(1, 6):  # by chance, the model may begin as it would be held to
        request = calling(model, SCHEMAS["range"], seed, prefix=thinking, mode=ThinkingMode.THINK)
        turn = reply_to(model, replace(request, max_tokens=12))
        rests.append(turn.message.reasoning.removeprefix("I call <tool_call>"))
    assert all(rests)
    assert not all(rest.isascii() for rest in rests)  # the names and keys of the tools are


def test_a_call_that_broke_the_grammar_before_it_was_stopped_goes_on_without_one(model: LlamaModel) -> None:
    broken = begun(model, '\n{"name": "nothing", "arguments": [')
    for seed in range(3):
        turn = reply_to(model, calling(model, SCHEMAS["range"], seed, prefix=broken, max_tokens=60))
        assert len(turn.message.token_ids) > len(broken.token_ids)


def test_a_call_that_is_continued_is_held_from_where_it_was_stopped(model: LlamaModel) -> None:
    for text in (
        '\n{"name": "f", "arguments": {"n": 1',
        '\n{"na',
        '\n{"name": "f", "arguments": {"m": 5, "n": -',
    ):
        turn = reply_to(model, calling(model, SCHEMAS["range"], 2, prefix=begun(model, text)))
        assert check_is_held(turn, SCHEMAS["range"], "f" if '"f"' in text else None)


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("北京🌡️", True),
        ('a\\"b', True),
        ("\\ud83d\\ude00", False),
        ("x\\ud83d\\ude00", True),
        ("x\\ud83d", False),
        ("𠮷", False),
        ("𠮷𠮷", True),
        ("a\nb", False),
        ("</tool_call>", False),
    ],
)
def test_the_characters_of_a_string_are_counted_however_they_are_written(
    demo_vocab: Vocab, text: str, is_allowed: bool
) -> None:
    assert accepts(demo_vocab, SCHEMAS["unicode"], f'{{"城市": "{text}", "单位": "摄氏"}}') == is_allowed


@pytest.mark.parametrize(
    ("spelled", "is_text"),
    [
        ("e4 b8 ad", True),
        ("e0 84 80", False),
        ("ed a0 80", False),
        ("f0 85 80 80", False),
        ("ed 9f bf", True),
    ],
)
def test_bytes_that_are_no_character_are_forbidden(demo_vocab: Vocab, spelled: str, is_text: bool) -> None:
    id_of = {demo_vocab.piece(token): token for token in range(demo_vocab.n_tokens)}
    grammar = Grammar(
        demo_vocab, tool_call_grammar((tool(SCHEMAS["unicode"]),), demo_vocab.specials["</tool_call>"])
    )
    start = demo_vocab.encode('{"name": "f", "arguments": {"城市": "x')
    ids = [*start, *(id_of[bytes([byte])] for byte in bytes.fromhex(spelled))]
    assert all(grammar.advance(token) for token in ids) == is_text
    grammar.close()


def test_the_closing_tag_may_stand_in_a_string(demo_vocab: Vocab) -> None:
    closing = demo_vocab.specials["</tool_call>"]
    grammar = Grammar(demo_vocab, tool_call_grammar((tool({"type": "object"}),), closing))
    start = demo_vocab.encode('{"name": "f", "arguments": {"a": "x ')
    ids = [*start, closing, *demo_vocab.encode('"}}'), closing]
    assert [grammar.advance(token) for token in ids] == [True] * len(ids)
    grammar.close()


def accepts(vocab: Vocab, schema: object, arguments: str) -> bool:
    closing = vocab.specials["</tool_call>"]
    grammar = Grammar(vocab, tool_call_grammar((tool(schema),), closing))
    ids = vocab.encode(f'{{"name": "f", "arguments": {arguments}}}')
    is_allowed = all(grammar.advance(token) for token in [*ids, closing])
    grammar.close()
    return is_allowed


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("http://127.0.0.1:80/a?b=c#d", True),
        ("https://例子.测试/路径", True),
        ("notes://day.md", True),
        ("h:x", True),
        ("mailto:a@b", True),
        ("http", False),
        ("http:x", False),
        ("http//x", False),
        ("http://", False),
        ("http://a b", False),
        ("example.com/a", False),
        ("", False),
    ],
)
def test_a_uri_has_a_scheme_and_no_spaces(demo_vocab: Vocab, text: str, is_allowed: bool) -> None:
    address = {"type": "string", "format": "uri", "minLength": 1}
    schema = {"properties": {"url": address}, "required": ["url"]}
    assert accepts(demo_vocab, schema, json.dumps({"url": text}, ensure_ascii=False)) is is_allowed


@pytest.mark.parametrize("low", [-120, -10, -1, 0, 7, 99])
@pytest.mark.parametrize("high", [-100, 0, 10, 101, 250])
def test_a_range_of_integers_is_exact(demo_vocab: Vocab, low: int, high: int) -> None:
    schema = {"properties": {"n": {"type": "integer", "minimum": low, "maximum": high}}, "required": ["n"]}
    for n in {low - 1, low, low + 1, (low + high) // 2, high - 1, high, high + 1, 0, 9, 11, -11, 1000}:
        if low <= high:  # else nothing fits, and the check of the arguments will say so
            assert accepts(demo_vocab, schema, f'{{"n": {n}}}') == (low <= n <= high), n


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        ({"minimum": 0, "maximum": 1}, ("0", "1", "0.5", "0.0"), ("1.5", "-0.1", "2", "-1")),
        ({"minimum": -2, "maximum": 3}, ("-1.99", "-2", "2.99", "-0.5", "3"), ("-2.01", "3.01", "4")),
        ({"exclusiveMinimum": 0, "maximum": 10}, ("0.05", "1", "10"), ("0", "0.0", "-1", "11")),
        ({"exclusiveMaximum": 3}, ("2.99", "2", "-5.5"), ("3", "2.99999999999999999", "3.0")),
        ({"minimum": 0.5}, ("0.5", "0.75", "1e3"), ()),
        ({"maximum": -3}, ("-3", "-3.5", "-100"), ("-2.5", "0", "3")),
    ],
)
def test_a_range_of_numbers_allows_all_that_fits(
    demo_vocab: Vocab, bounds: Schema, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    schema = {"properties": {"x": {"type": "number", **bounds}}}
    assert [n for n in good if not accepts(demo_vocab, schema, f'{{"x": {n}}}')] == []
    assert [n for n in bad if accepts(demo_vocab, schema, f'{{"x": {n}}}')] == []


def test_properties_come_in_any_order_and_optional_ones_may_be_missing(demo_vocab: Vocab) -> None:
    schema = {
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}},
        "required": ["b"],
    }
    for names in ("b", "ab", "ba", "cb", "bca", "cab"):
        assert accepts(demo_vocab, schema, json.dumps(dict.fromkeys(names)))
    for text in ("{}", '{"a": null}', '{"b": null, "b": null}', '{"b": null, "d": null}', '{"b": null,}'):
        assert not accepts(demo_vocab, schema, text)


def random_call(vocab: Vocab, schema: object, random: Random, max_tokens: int = 80) -> str:
    """Return the text of random tokens that the grammar allows; empty if they don't come to an end."""
    closing = vocab.specials["</tool_call>"]
    source = tool_call_grammar((tool(schema),), closing)
    assert len(source) <= MAX_GRAMMAR_CHARS
    grammar = Grammar(vocab, source)
    ids = vocab.encode('{"name": "f", "arguments": {')
    assert all(grammar.advance(token) for token in ids)
    (end, *_) = vocab.end_ids
    while not grammar.allows(end) and len(ids) < max_tokens:
        likely = [
            closing,
            *vocab.encode(random.choice('"}],: 1')),
            *random.choices(range(vocab.n_tokens), k=20),
        ]
        first = random.randrange(vocab.n_tokens)
        others = chain(range(first, vocab.n_tokens), range(first))
        ids.append(next(token for token in chain(likely, others) if grammar.advance(token)))
    is_whole = grammar.allows(end)
    grammar.close()
    text = b"".join(map(vocab.piece, ids)).decode(errors="replace")
    return text.removesuffix("</tool_call>") if is_whole else ""


@pytest.mark.parametrize("name", HOSTILE_SCHEMAS)
def test_a_hostile_schema_ends_in_a_grammar_that_can_be_used(demo_vocab: Vocab, name: str) -> None:
    for seed in range(3):
        call = random_call(demo_vocab, HOSTILE_SCHEMAS[name], Random(seed))
        assert not call or isinstance(json.loads(call)["arguments"], dict)


@pytest.mark.full
async def test_the_worker_survives_hostile_schemas(engine: LocalEngine, model: LlamaModel) -> None:
    await engine.load(lambda event: None)
    worker = await engine.ensure_worker()
    schemas = [schema for schema in HOSTILE_SCHEMAS.values() if len(json.dumps(schema)) < 1000]
    for seed, schema in enumerate(schemas):
        await engine.generate(calling(model, schema, seed, max_tokens=25), lambda event: None)
    assert await engine.ensure_worker() is worker
    assert len(schemas) > 30


@pytest.mark.full
def test_whatever_the_grammar_of_a_made_up_schema_allows_fits_the_schema(demo_vocab: Vocab) -> None:
    n_finished = 0
    for seed in range(200):
        schema = made_up_schema(Random(seed))
        if call := random_call(demo_vocab, schema, Random(seed), max_tokens=150):
            n_finished += 1
            Draft202012Validator(schema).validate(json.loads(call)["arguments"])
    assert n_finished > 80


@pytest.mark.full
async def test_no_made_up_schema_ends_the_worker(engine: LocalEngine, model: LlamaModel) -> None:
    await engine.load(lambda event: None)
    worker = await engine.ensure_worker()
    n_finished = 0
    for seed in range(100):
        schema = made_up_schema(Random(seed), depth=1)  # the prompt holds it, and takes most of the time
        events = list[EngineEvent]()
        request = calling(model, schema, seed, prefix=begun(model, '\n{"name": "f",'), max_tokens=100)
        await engine.generate(request, events.append)
        calls = [event.call for event in events if isinstance(event, ToolCallRequested)]
        for call in calls[:1]:
            n_finished += 1
            Draft202012Validator(schema).validate(json.loads(call.arguments))
    assert await engine.ensure_worker() is worker
    assert n_finished > 30


def required(model: LlamaModel, prefix: ChatMessage, **changes: Any) -> Turn:
    """Return the reply that a finished one becomes if a call is required."""
    return reply_to(model, calling(model, SCHEMAS["two values"], 1, prefix=prefix, must_call=True, **changes))


@pytest.mark.parametrize(
    ("reply", "mode"),
    [
        (ChatMessage(Role.ASSISTANT, "I call the tool now."), ThinkingMode.NO_THINK),
        (ChatMessage(Role.ASSISTANT, "I call it:\n"), ThinkingMode.NO_THINK),
        (ChatMessage(Role.ASSISTANT, ""), ThinkingMode.NO_THINK),
        (ChatMessage(Role.ASSISTANT, "", "I need the tool."), ThinkingMode.THINK),
        (ChatMessage(Role.ASSISTANT, "Just a moment.", "I need the tool."), ThinkingMode.THINK),
        (ChatMessage(Role.ASSISTANT, "<tool_call>\n"), ThinkingMode.NO_THINK),
    ],
)
def test_a_reply_that_must_call_goes_on_with_a_call(
    model: LlamaModel, reply: ChatMessage, mode: ThinkingMode
) -> None:
    turn = required(model, reply, mode=mode)
    assert check_is_held(turn, SCHEMAS["two values"])
    assert turn.stop_reason is StopReason.TOOL_CALLS
    assert turn.message.reasoning == reply.reasoning
    assert turn.message.content.startswith(reply.content.rstrip("\n"))


def test_a_reply_as_it_was_sampled_goes_on_with_a_call(model: LlamaModel) -> None:
    for question, mode in (("Count to 3.", ThinkingMode.THINK), ("Hello!", ThinkingMode.NO_THINK)):
        request = chat_request(user_message(question), mode=mode, max_tokens=200)
        ended = reply_to(model, request)
        assert ended.stop_reason is StopReason.END_OF_TURN
        mild = replace(WILD, temperature=1)  # at 2 a value may not end within the tokens that there are
        turn = required(model, ended.message, messages=request.messages, mode=mode, sampling=mild)
        assert check_is_held(turn, SCHEMAS["two values"])
        kept = ended.message.token_ids[:-1]
        assert turn.message.token_ids[: len(kept)] == kept
        assert turn.message.content.startswith(ended.message.content)


def test_a_call_that_is_under_way_is_not_begun_again(model: LlamaModel) -> None:
    turn = required(model, begun(model, '\n{"name": "f", '))
    assert check_is_held(turn, SCHEMAS["two values"], "f")
    assert turn.message.token_ids.count(model.vocab.specials["<tool_call>"]) == 1
    assert not turn.message.content


def test_the_tokens_of_the_tag_are_counted(model: LlamaModel) -> None:
    plain = calling(model, SCHEMAS["range"], 1, prefix=ChatMessage(Role.ASSISTANT, "Wait."))
    counts = [
        count_prompt_tokens(model.template, model.vocab, request).total
        for request in (plain, replace(plain, must_call=True))
    ]
    generator = ReplyGenerator(model, replace(plain, must_call=True), Job(wire.Generate(1, plain)))
    assert len(generator.known_ids) == counts[1] > counts[0]


CODE = {"properties": {"code": {"type": "string"}}, "required": ["code"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ('{"code": "x"}}', True),
        ('{"code": ""}}\n<code>\nprint("a\\n")\nif 1 < 2 << 3: x = "</b></c></co</cod"\n</code>', True),
        ('{"code": ""}}<code></code>\n', True),
        ('{"code": ""}}<code>你好 <</code>', True),
        ('{"code": ""}}<code>x', False),
        ('{"code": ""}}<code>x</code>y', False),
        ('{"code": ""}}x', False),
    ],
)
def test_code_may_stand_behind_the_object(demo_vocab: Vocab, text: str, is_allowed: bool) -> None:
    closing = demo_vocab.specials["</tool_call>"]
    grammar = Grammar(demo_vocab, tool_call_grammar((tool({"type": "object"}, "g"), tool(CODE)), closing))
    ids = demo_vocab.encode(f'{{"name": "f", "arguments": {text}')
    assert all(grammar.advance(token) for token in [*ids, closing]) == is_allowed
    grammar.close()


def test_a_tool_without_code_has_no_text_behind_the_object(demo_vocab: Vocab) -> None:
    assert accepts(demo_vocab, SCHEMAS["tree"], '{"leaf": 1}')
    assert not accepts(demo_vocab, SCHEMAS["tree"], '{"leaf": 1}}<code>x</code>')
