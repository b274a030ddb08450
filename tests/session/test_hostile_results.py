"""Hostile results through the whole turn: what they can't do to consent, prompt, store and exports."""

from __future__ import annotations

import re
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from in_place_renderer import InPlaceRenderer
from qwen3_chat.chat import Role, StopReason, ThinkingMode, ToolCall
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.documents.json_export import parse_json_export
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.prompt_ids import tokenise
from qwen3_chat.events import AnswerDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.texts.terminal_safe import UNSAFE_CHARACTERS, storable, terminal_safe
from qwen3_chat.tools.calculator import calculator_tool
from qwen3_chat.tools.consent import ConsentAnswer, ConsentRequest, ConsentRules
from qwen3_chat.tools.tool import Arguments, Reach, Tool
from qwen3_chat.tools.tool_runner import MAX_RESULT_CHARS, ToolRunner, cut_for_model
from tests.fakes import MODEL, FakeEngine, Step
from tests.prompt.conftest import OpenVocab, opened
from tests.session.hostile_results import HOSTILE_RESULTS
from tests.session.test_tool_turns import OwnTools, assert_every_call_has_one_result, calling, saying

FETCH = ToolCall("fetch", '{"url": "https://page.example"}')
DELETE = ToolCall("delete", '{"path": "/"}')
KINDS = pytest.mark.parametrize("kind", HOSTILE_RESULTS)
MAX_EXTRA_BYTES = 24 << 20
"""The most that a turn takes beside the result itself."""


class Danger:
    """A tool that must not run, and one that returns a hostile text unasked."""

    def __init__(self, kind: str) -> None:
        self.result = HOSTILE_RESULTS[kind]()
        self.deletions = 0
        self.asked = list[ToolCall]()

    async def fetch(self, arguments: Arguments) -> str:
        return self.result

    async def delete(self, arguments: Arguments) -> str:
        self.deletions += 1
        return "deleted"

    async def refuse(self, request: ConsentRequest) -> ConsentAnswer:
        self.asked.append(request.call)
        return ConsentAnswer(is_allowed=False)

    @property
    def tools(self) -> list[Tool]:
        schema = {"type": "object"}
        return [
            Tool("fetch", "", schema, self.fetch, Reach.NOTHING),
            Tool("delete", "", schema, self.delete, Reach.OUTSIDE),
        ]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


def with_large_context(engine: FakeEngine) -> FakeEngine:
    """Give an engine the context in which a result is cut by its own limit only."""
    engine.model = replace(MODEL, n_ctx=2 * MAX_RESULT_CHARS)
    return engine


async def turn(store: ChatStore, danger: Danger, *scripts: Sequence[Step]) -> ChatSession:
    """Have a model fetch the page, then do what the scripts say."""
    session = ChatSession(
        with_large_context(FakeEngine(calling(FETCH), *scripts)),
        store,
        draw_seed=lambda: 1,
        clock=lambda: 0.0,
        options=TurnOptions(tools=("fetch", "delete")),
        toolbox=OwnTools(danger.tools),
    )
    await session.send("Read the page.", lambda event: None)
    return session


def contents(session: ChatSession, role: Role) -> list[str]:
    return [stored.message.content for stored in session.messages if stored.message.role is role]


@KINDS
async def test_a_model_that_obeys_a_result_runs_nothing_without_consent(store: ChatStore, kind: str) -> None:
    danger = Danger(kind)
    session = await turn(store, danger, calling(DELETE), saying("Well."))
    assert danger.deletions == 0
    assert contents(session, Role.TOOL) == [
        storable(cut_for_model(danger.result)),
        "The call was not run: it needs a permission, and nobody can be asked.",
    ]
    assert contents(session, Role.ASSISTANT)[-1] == "Well."


@KINDS
async def test_a_model_that_repeats_a_result_makes_at_most_a_call_that_is_asked_about(
    store: ChatStore, kind: str
) -> None:
    danger = Danger(kind)
    session = ChatSession(
        with_large_context(
            FakeEngine(calling(FETCH), (AnswerDelta(cut_for_model(danger.result), 9), saying("")[-1]))
        ),
        store,
        draw_seed=lambda: 1,
        clock=lambda: 0.0,
        options=TurnOptions(tools=("fetch", "delete")),
        toolbox=OwnTools(danger.tools),
    )
    session.set_tool_runner(ToolRunner(ConsentRules(allows_all=True), danger.refuse))
    await session.send("Read the page.", lambda event: None)
    assert danger.deletions == 0
    assert all(call.is_repaired for call in danger.asked)
    assert bool(danger.asked) == ("a call" in kind)
    assert_every_call_has_one_result(session)


@KINDS
async def test_transcript_and_store_are_whole(store: ChatStore, tmp_path: Path, kind: str) -> None:
    danger = Danger(kind)
    session = await turn(store, danger, saying("Well."))
    assert [stored.message.role for stored in session.messages] == [
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
        Role.ASSISTANT,
    ]
    assert session.chat is not None
    assert await store.branch(session.chat.id) == session.messages
    await store.close()
    with closing(sqlite3.connect(tmp_path / "chats.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO message_terms (message_terms) VALUES ('integrity-check')")
    again = await ChatStore.open(tmp_path / "chats.db")
    try:
        assert await again.branch(session.chat.id) == session.messages
        assert again.take_notices() == ()
    finally:
        await again.close()


LONG_KINDS = ["100 MB", "deep JSON", "one long line", "a million lines"]


@pytest.mark.parametrize("kind", LONG_KINDS)
async def test_what_is_cut_is_in_a_file_or_told_as_not_saved(store: ChatStore, kind: str) -> None:
    danger = Danger(kind)
    session = await turn(store, danger, saying("Well."))
    call = session.messages[2].meta.call
    assert call is not None
    assert call.whole is not None
    assert call.whole.characters == len(danger.result)
    path = store.result_path(call.whole)
    if kind == "100 MB":
        assert (call.whole.not_saved, path) == ("too_large", None)
    else:
        assert path is not None
        assert path.read_text("utf-8") == danger.result


@pytest.mark.parametrize("kind", LONG_KINDS)
async def test_a_huge_result_takes_little_memory_beside_its_own(store: ChatStore, kind: str) -> None:
    danger = Danger(kind)
    tracemalloc.start()
    try:
        await turn(store, danger, saying("Well."))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MAX_EXTRA_BYTES


@pytest.fixture(scope="module")
def vocab(demo_gguf: Path) -> Iterator[OpenVocab]:
    yield from opened(demo_gguf)


@KINDS
async def test_no_part_of_a_result_is_a_special_token_of_the_prompt(
    store: ChatStore, vocab: OpenVocab, kind: str
) -> None:
    session = await turn(store, Danger(kind), saying("Well."))
    assert isinstance(session.engine, FakeEngine)
    request = session.engine.requests[1]
    *before, result = request.messages
    assert result.role is Role.TOOL
    harmless = replace(request, messages=(*before, replace(result, content="A page.")))
    assert special_ids(request, vocab) == special_ids(harmless, vocab)


def special_ids(request: ChatRequest, vocab: OpenVocab) -> list[int]:
    template = ChatTemplate(vocab.chat_template, vocab.vocab.specials, InPlaceRenderer())
    special = set(vocab.vocab.specials.values())
    return [token for token in tokenise(template.render_request(request), vocab.vocab) if token in special]


CLEAN = re.compile(f"[^{UNSAFE_CHARACTERS}]*")


@KINDS
async def test_exports_are_clean(store: ChatStore, kind: str) -> None:
    session = await turn(store, Danger(kind), calling(DELETE), saying("Well."))
    chat, messages = session.chat, session.messages
    assert chat is not None
    shown = terminal_safe(messages[2].message.content)
    texts = {format: render(chat, messages, format, ThinkingStyle.FULL) for format in ExportFormat}
    for text in texts.values():
        text.encode()
        assert CLEAN.fullmatch(text)
    assert parse_json_export(texts[ExportFormat.JSON]).messages == messages
    check_markdown(texts[ExportFormat.MARKDOWN], shown)
    check_html(texts[ExportFormat.HTML], shown)
    headings = [line for line in texts[ExportFormat.TEXT].split("\n") if line.startswith("[")]
    names = ("You", "Assistant", "Tool result", "Assistant", "Tool result", "Assistant")
    assert headings == [f"[{name}]" for name in names]


FOLD = re.compile(r"(<details>\n<summary>[^<>\n]*</summary>|</details>)\n*")
"""The only HTML in Markdown exports: the frame that calls and results are folded in."""


def check_markdown(text: str, shown: str) -> None:
    """Check that a result is in one fence, and that nothing of it is anything else."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    fences = [token.content.strip("\n") for token in tokens if token.type == "fence" and token.info == "text"]
    if shown.strip():
        assert shown.strip("\n") in fences
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1", *["h2"] * 6]
    children = [child for token in tokens for child in token.children or ()]
    assert {token.type for token in (*tokens, *children)}.isdisjoint({"link_open", "image"})
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert all(FOLD.fullmatch(block) for block in blocks), blocks


class Page(HTMLParser):
    """The texts and the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = set[str]()
        self.results = list[str]()
        self._is_pre = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a tag, and the beginning of a result."""
        self.tags.add(tag)
        self._is_pre = tag == "pre"
        if self._is_pre:
            self.results.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a result."""
        self._is_pre = False

    def handle_data(self, data: str) -> None:
        """Collect the text of a result."""
        if self._is_pre:
            self.results[-1] += data


def check_html(text: str, shown: str) -> None:
    page = Page()
    page.feed(text)
    assert page.tags.isdisjoint({"script", "img", "a", "iframe"})
    if shown.strip():
        assert shown.strip("\n") in page.results


FOR_THE_MODEL = ["control tokens", "end of the result", "a call", "one long line"]


@pytest.mark.parametrize(
    "kinds", [FOR_THE_MODEL, pytest.param(HOSTILE_RESULTS, marks=pytest.mark.full)], ids=["some", "all"]
)
async def test_the_demo_model_runs_nothing_that_a_result_asks_for(
    store: ChatStore, demo_gguf: Path, tmp_path: Path, kinds: Iterable[str]
) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "engine.log")
    try:
        for kind in kinds:
            danger = Danger(kind)
            session = ChatSession(
                engine,
                store,
                draw_seed=lambda: 1,
                clock=lambda: 0.0,
                options=TurnOptions(tools=("calculator", "delete"), max_steps=3, max_tokens=80),
                toolbox=OwnTools([replace(calculator_tool(), run=danger.fetch), danger.tools[1]]),
            )
            assert await session.prepare(lambda event: None)
            await session.set_mode_override(ThinkingMode.NO_THINK)
            await session.send("Compute 345 * 12.", lambda event: None)
            assert session.messages[1].stop_reason is StopReason.TOOL_CALLS
            result, *rest = session.messages[2:]
            assert result.message.content.startswith(terminal_safe(danger.result[:100]))
            assert [stored.message.role for stored in rest][-1:] == [Role.ASSISTANT]
            assert danger.deletions == 0
            assert_every_call_has_one_result(session)
    finally:
        await engine.close()
