from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.engine.reply_splitter import ReplyPart, ReplySplitter, ReplyTag, TagScanner
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested
from tests.reasoning.replies import NOW, REPLIES, Reply, answer, call, thinking


def joined(parts: Iterable[ReplyPart]) -> tuple[ReplyPart, ...]:
    whole: list[ReplyPart] = []
    for part in parts:
        match whole[-1:], part:
            case [ReasoningDelta(text=before)], ReasoningDelta(text=after):
                whole[-1] = ReasoningDelta(before + after)
            case [AnswerDelta(text=before)], AnswerDelta(text=after):
                whole[-1] = AnswerDelta(before + after)
            case _:
                whole.append(part)
    return tuple(whole)


def split_raw(pieces: Iterable[str], opened_by_prompt: bool) -> Iterator[ReplyPart]:
    scanner, splitter = TagScanner(), ReplySplitter(opened_by_prompt)
    for piece in pieces:
        for part in scanner.feed(piece):
            yield from splitter.feed(part)
    for part in scanner.flush():
        yield from splitter.feed(part)
    yield from splitter.flush()


def split_marked(parts: Iterable[str | ReplyTag], opened_by_prompt: bool = False) -> tuple[ReplyPart, ...]:
    splitter = ReplySplitter(opened_by_prompt)
    return joined([*chain.from_iterable(map(splitter.feed, parts)), *splitter.flush()])


def marked(text: str) -> list[str | ReplyTag]:
    scanner = TagScanner()
    return scanner.feed(text) + scanner.flush()


def cut(text: str, places: Iterable[int]) -> list[str]:
    return [text[start:end] for start, end in pairwise([0, *places, len(text)])]


every_reply = pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)


@every_reply
def test_a_reply_in_one_piece_is_split(reply: Reply) -> None:
    assert joined(split_raw([reply.text], reply.opened_by_prompt)) == reply.parts


@every_reply
@pytest.mark.parametrize("pieces", [2, 3])
def test_the_split_is_the_same_wherever_the_stream_is_cut(reply: Reply, pieces: int) -> None:
    for places in combinations(range(1, len(reply.text)), pieces - 1):
        parts = joined(split_raw(cut(reply.text, places), reply.opened_by_prompt))
        assert parts == reply.parts, places


@every_reply
def test_the_split_is_the_same_character_by_character(reply: Reply) -> None:
    assert joined(split_raw(reply.text, reply.opened_by_prompt)) == reply.parts


@every_reply
def test_the_split_is_the_same_with_marks_from_token_ids(reply: Reply) -> None:
    parts = marked(reply.text)
    letters = [letter for part in parts for letter in ([part] if isinstance(part, ReplyTag) else part)]
    assert split_marked(parts, reply.opened_by_prompt) == reply.parts
    assert split_marked(letters, reply.opened_by_prompt) == reply.parts


def test_text_that_spells_a_mark_is_text() -> None:
    assert split_marked(["<think>", "a", "</think>", NOW]) == (answer(f"<think>a</think>{NOW}"),)
    assert split_marked([ReplyTag.THINK_OPEN, "a", "</think>", ReplyTag.THINK_CLOSE, "b"]) == (
        thinking("a</think>"),
        answer("b"),
    )


def test_certain_text_is_not_held_back() -> None:
    splitter = ReplySplitter()
    seen = [
        splitter.feed(part)
        for part in (ReplyTag.THINK_OPEN, "\n", "a ", "b\n", "c", ReplyTag.THINK_CLOSE, "\n\n", "d")
    ]
    assert seen == [
        *([], [], [thinking("a ")], [thinking("b")], [thinking("\nc")], [], [], [answer("d")]),
    ]


def test_text_before_a_possible_tag_is_not_held_back() -> None:
    scanner = TagScanner()
    assert scanner.feed("a < b <thi") == ["a < b "]
    assert scanner.feed("ng") == ["<thing"]
    assert scanner.feed("</") == []
    assert scanner.feed("think><") == [ReplyTag.THINK_CLOSE]
    assert scanner.flush() == ["<"]
    assert scanner.flush() == []


def test_the_scanner_tells_marks_from_text() -> None:
    parts = marked("a<think></think>b<tool_call></tool_call>")
    assert [isinstance(part, ReplyTag) for part in parts] == [False, True, True, False, True, True]


def test_it_is_known_when_the_model_thinks() -> None:
    splitter = ReplySplitter()
    states = []
    for part in (
        "\n",
        ReplyTag.THINK_OPEN,
        "a",
        ReplyTag.TOOL_CALL_OPEN,
        ReplyTag.THINK_CLOSE,
        "b",
        ReplyTag.THINK_OPEN,
        "c",
    ):
        splitter.feed(part)
        states.append(splitter.in_reasoning)
    assert states == [False, True, True, True, False, False, False, False]
    assert ReplySplitter(opened_by_prompt=True).in_reasoning


def test_half_a_character_in_a_call_stays_escaped_or_makes_it_text() -> None:
    good = '<tool_call>{"name": "f", "arguments": {"a": "\\ud800好"}}</tool_call>'
    bad = '<tool_call>{"name": "\\ud800"}</tool_call>'
    assert split_marked(marked(good)) == (call("f", '{"a": "\\ud800\\u597d"}'),)
    assert split_marked(marked(bad)) == (answer(bad),)


@pytest.mark.parametrize("body", ["[" * 100_000, "1" * 10_000, '"' * 9_999, '{"a' * 10_000, "\\" * 10_000])
def test_a_hostile_call_stays_text(body: str) -> None:
    text = f"<tool_call>{body}\n</tool_call>"
    assert split_marked(marked(text)) == (answer(text),)


FRAGMENTS = st.lists(
    st.sampled_from(
        [*ReplyTag, NOW, *"<>/\n\n\n {}", "</", "think", "ok", '"', '{"name": "f"', "好", "👩‍👧"]
    ),
    max_size=14,
)


@given(FRAGMENTS, st.lists(st.integers(0, 200), max_size=12), st.booleans())
def test_no_cut_changes_what_comes_out(
    fragments: list[str], places: list[int], opened_by_prompt: bool
) -> None:
    text = "".join(fragments)
    whole = joined(split_raw([text], opened_by_prompt))
    assert joined(split_raw(text, opened_by_prompt)) == whole
    assert joined(split_raw(cut(text, sorted(min(p, len(text)) for p in places)), opened_by_prompt)) == whole


@given(FRAGMENTS, st.booleans())
def test_only_white_space_and_the_tags_of_the_thinking_are_left_out(
    fragments: list[str], opened_by_prompt: bool
) -> None:
    text = "".join(fragments)
    parts = split_raw([text], opened_by_prompt)
    written = "".join(NOW if isinstance(part, ToolCallRequested) else part.text for part in parts)
    assert bare(written) == bare(text)


def bare(text: str) -> str:
    return "".join(text.replace(ReplyTag.THINK_OPEN, "").replace(ReplyTag.THINK_CLOSE, "").split())


@given(st.lists(st.text("a \n", max_size=4), max_size=5), st.lists(st.text("b \n", max_size=4), max_size=5))
def test_newlines_are_trimmed_as_the_template_trims_them(thoughts: list[str], answers: list[str]) -> None:
    written, said = "".join(thoughts), "".join(answers)
    kept: list[ReplyPart] = [thinking(written.strip("\n"))] if written.strip() else []
    kept += [answer(said.lstrip("\n"))] if said.strip() else []
    assert split_marked([ReplyTag.THINK_OPEN, *thoughts, ReplyTag.THINK_CLOSE, *answers]) == tuple(kept)


def test_a_call_that_quotes_ever_more_tags_is_not_read_again_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    characters: list[int] = []

    def parse(source: str, *, repairs: bool = True) -> tuple[()]:
        characters.append(len(source))
        return ()

    monkeypatch.setattr("qwen3_chat.engine.reply_splitter.parse_calls", parse)
    text = '<tool_call>{"name": "w", "arguments": {"t": "' + "</tool_call>" * 5_000
    assert split_marked(marked(text)) == (answer(text),)
    assert sum(characters) < 10 * len(text)
