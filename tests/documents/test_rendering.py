"""What a transcript says, in each format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from qwen3_chat.chat import StopReason, Timings, Usage
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.store.records import MessageMeta
from qwen3_chat.texts import Language, set_language
from tests.documents.conversation import CONVERSATION, branch, chat_of, question, reply

HERE = Path(__file__).parent
FOR_READERS = [ExportFormat.MARKDOWN, ExportFormat.HTML, ExportFormat.TEXT]


@pytest.fixture
def in_chinese() -> Iterator[None]:
    set_language(Language.ZH)
    yield
    set_language(Language.EN)


def test_markdown_shows_everything_with_the_thinking_folded() -> None:
    text = render(chat_of(), CONVERSATION, ExportFormat.MARKDOWN, ThinkingStyle.FOLDED, UTC)
    assert text == (HERE / "markdown_folded.md").read_text()


def test_text_shows_everything_with_the_thinking_in_full() -> None:
    text = render(chat_of(), CONVERSATION, ExportFormat.TEXT, ThinkingStyle.FULL, UTC)
    assert text == (HERE / "text_full.txt").read_text()


THINKING = [
    (ExportFormat.MARKDOWN, ThinkingStyle.NONE, None, None),
    (ExportFormat.MARKDOWN, ThinkingStyle.FOLDED, "<summary>Thought 14 s · 612 tok</summary>", True),
    (ExportFormat.MARKDOWN, ThinkingStyle.FULL, "**Thought 14 s · 612 tok**", True),
    (ExportFormat.HTML, ThinkingStyle.NONE, None, None),
    (ExportFormat.HTML, ThinkingStyle.FOLDED, "<details><summary>Thought 14 s · 612 tok</summary>", True),
    (ExportFormat.HTML, ThinkingStyle.FULL, "<details open><summary>Thought 14 s", True),
    (ExportFormat.TEXT, ThinkingStyle.NONE, None, None),
    (ExportFormat.TEXT, ThinkingStyle.FOLDED, "(Thought 14 s · 612 tok)", False),
    (ExportFormat.TEXT, ThinkingStyle.FULL, "(Thought 14 s · 612 tok)", True),
    (ExportFormat.JSON, ThinkingStyle.NONE, None, None),
    (ExportFormat.JSON, ThinkingStyle.FOLDED, '"reasoning_tokens": 612', True),
    (ExportFormat.JSON, ThinkingStyle.FULL, '"reasoning_tokens": 612', True),
]


@pytest.mark.parametrize(("format", "style", "header", "with_text"), THINKING)
def test_thinking_is_left_out_folded_or_shown(
    format: ExportFormat, style: ThinkingStyle, header: str | None, with_text: bool | None
) -> None:
    text = render(chat_of(), CONVERSATION, format, style, UTC)
    assert ("Let me count" in text) == bool(with_text)
    if header is None:
        assert "Thought" not in text
        assert "151667" not in text
    else:
        assert header in text


@pytest.mark.parametrize("format", FOR_READERS)
def test_a_reply_without_thinking_has_no_header_for_it(format: ExportFormat) -> None:
    for reasoning in ("", "\n\n"):
        text = render(chat_of(), branch(reply("3", reasoning)), format, ThinkingStyle.FULL)
        assert "Thought" not in text
        assert "<details" not in text


def test_formulas_are_mathml_in_a_page_and_source_elsewhere() -> None:
    message = "It is $\\frac{1}{2}$, not $5.\n\n\\[\nx \\ce{y}\n\\]"
    page = render(chat_of(), branch(reply(message)), ExportFormat.HTML, ThinkingStyle.NONE)
    assert "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>" in page
    assert "not $5." in page
    assert "<p class=formula><code>\\[\nx \\ce{y}\n\\]</code></p>" in page
    for format in (ExportFormat.MARKDOWN, ExportFormat.TEXT):
        assert message in render(chat_of(), branch(reply(message)), format, ThinkingStyle.NONE)


def test_a_fence_in_a_fence_stays_inside_on_a_page() -> None:
    message = "```markdown\n# T\n```sh\nls\n```\nText\n```\nend"
    page = render(chat_of(), branch(reply(message)), ExportFormat.HTML, ThinkingStyle.NONE)
    assert "Text\n</code></pre>\n<p>end</p>" in page


HEADERS = [
    (0.0, 0, "Thought"),
    (0.42, 9, "Thought 0.4 s · 9 tok"),
    (59.4, 0, "Thought 59 s"),
    (59.6, 5, "Thought 1 min 0 s · 5 tok"),
    (754.0, 9001, "Thought 12 min 34 s · 9001 tok"),
]


@pytest.mark.parametrize(("seconds", "tokens", "header"), HEADERS)
def test_the_header_of_the_thinking_says_what_is_known(seconds: float, tokens: int, header: str) -> None:
    meta = MessageMeta(
        usage=Usage(reasoning_tokens=tokens),
        timings=Timings(reasoning_s=seconds),
        stop_reason=StopReason.END_OF_TURN,
    )
    text = render(chat_of(), branch(reply("a", "b", meta)), ExportFormat.TEXT)
    assert f"({header})\n" in text


STOPS = [
    (StopReason.END_OF_TURN, ""),
    (StopReason.TOOL_CALLS, ""),
    (StopReason.MAX_TOKENS, "Ended at the token limit."),
    (StopReason.CONTEXT_FULL, "Ended because the context was full."),
    (StopReason.CANCELLED, "Stopped before the end."),
    (StopReason.ERROR, "Ended by an error; what arrived is kept."),
    (None, "Stopped before the end."),
]


@pytest.mark.parametrize("format", FOR_READERS)
@pytest.mark.parametrize(("reason", "note"), STOPS)
def test_a_reply_that_ended_early_says_why(
    format: ExportFormat, reason: StopReason | None, note: str
) -> None:
    text = render(chat_of(), branch(reply("a", "", MessageMeta(stop_reason=reason))), format)
    for _, other in STOPS:
        assert (other in text) == (other == note or other == "")


@pytest.mark.parametrize("format", FOR_READERS)
@pytest.mark.parametrize(
    ("reason", "reasoning", "note"),
    [
        (StopReason.END_OF_TURN, "Hm.", "The model stopped while thinking and gave no answer."),
        (StopReason.END_OF_TURN, "", "The model sent an empty reply."),
        (StopReason.MAX_TOKENS, "Hm.", "Reached the token limit while thinking, before any answer."),
        (
            StopReason.CONTEXT_FULL,
            "Hm.",
            "The context was full before the thinking ended, so there is no answer.",
        ),
        (StopReason.MAX_TOKENS, "", "Ended at the token limit."),
        (StopReason.TOOL_CALLS, "Hm.", ""),
    ],
)
def test_a_reply_without_an_answer_says_so(
    format: ExportFormat, reason: StopReason, reasoning: str, note: str
) -> None:
    text = render(chat_of(), branch(reply(" \n", reasoning, MessageMeta(stop_reason=reason))), format)
    assert note in text


def test_chinese_readers_get_chinese_words(in_chinese: None) -> None:
    text = render(chat_of(), CONVERSATION, ExportFormat.MARKDOWN, zone=UTC)
    for words in ("## 你", "## 助手", "思考了 14 秒 · 612 tok", "思考关闭", "回答中途停止。"):
        assert words in text
    page = render(chat_of(), CONVERSATION, ExportFormat.HTML, zone=UTC)
    assert '<html lang="zh-CN">' in page


def test_dates_are_told_in_the_given_zone() -> None:
    text = render(chat_of(), (), ExportFormat.TEXT, zone=timezone(timedelta(hours=8)))
    assert "2026-03-01 20:00" in text


@pytest.mark.parametrize("format", list(ExportFormat))
def test_a_chat_without_messages_or_title_can_be_exported(format: ExportFormat) -> None:
    text = render(chat_of("", system=""), (), format)
    assert "Chat 4" in text or format in (ExportFormat.JSON, ExportFormat.JSON_LINES)
    assert text.endswith("\n") or format is ExportFormat.JSON_LINES


ESCAPES = "\x1b[2J \x9b31m \x07 \u202egnp.exe \u2028 \x00 \x1b]52;c;aGk=\x07"
ALLOWED = re.compile(r"[^\n\t -\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]|\x7f")


@pytest.mark.parametrize("format", list(ExportFormat))
def test_no_file_steers_the_terminal_that_shows_it(format: ExportFormat) -> None:
    meta = MessageMeta(model=ESCAPES, quant=ESCAPES)
    messages = branch(question(ESCAPES), reply(ESCAPES, ESCAPES, meta))
    text = render(chat_of(ESCAPES, system=ESCAPES), messages, format, ThinkingStyle.FULL)
    assert ALLOWED.findall(text) == []


HOSTILE = [
    "```",
    "~~~~\nnever closed",
    "```python\nprint(1)",
    "> ```\n> quoted and open",
    "- ```\n  listed and open",
    "1. one\n\n   ```\n   open",
    "`` ` open span",
    "</details>",
    "</details></div></article>",
    "<!-- a comment that stays open",
    "<script>alert(1)</script>",
    "<script>\nalert(1)",
    "<pre>\n\nopen",
    "text <details> text",
    "> text <a\n> href='x'> b",
    "<![CDATA[ open",
    "<?php open",
    "<!DOCTYPE html>",
    "`<b>` <b> `<b>`",
    "<!--\n```\n-->\n<b>",
    "\\<b> \\\\<b>",
    "<div>\n```\n</div>\n```\n<i>",
    "# A heading\n\n---\n\n## You",
    "[a]: <",
    "| a | b |\n|---|---|\n| <b> | ``` |",
    "    indented\n\n    code",
    "````\n```\n",
    "``` ` ```\n",
    "text\n```",
    "```\n```\n```",
    "&lt;b&gt; &#60;script&#62;",
    '<img src=x onerror="alert(1)">',
    "![x](javascript:alert(1)) [y](javascript:alert(1)) [z](data:text/html,x)",
    "![x](https://example.com/pixel.png)",
    "<https://example.com> <javascript:alert(1)>",
    "\\",
    "{{ }} {% %} ${x}",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("style", list(ThinkingStyle))
def test_no_message_reaches_beyond_itself_in_markdown(hostile: str, style: ThinkingStyle) -> None:
    messages = branch(question(hostile), reply(hostile, hostile), question("LAST"))
    text = render(chat_of(system=hostile), messages, ExportFormat.MARKDOWN, style)
    tokens = MarkdownIt("commonmark").parse(text)
    speakers = [
        tokens[index + 1].content
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0
    ]
    if "## You" not in hostile:
        assert speakers == ["System prompt", "You", "Assistant", "You"]
    last = tokens[-2]
    assert (last.content, last.level) == ("LAST", 1)
    own = {"<sub>", "</sub>", "<details>\n<summary>Thought 14 s · 612 tok</summary>\n", "</details>\n"}
    for token in tokens:
        pieces = token.children or [token]
        assert {piece.content for piece in pieces if piece.type.startswith("html_")} <= own


class Page(HTMLParser):
    """Collects a page's elements and checks that each is closed."""

    VOID = frozenset({"meta", "br", "hr", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_message_reaches_beyond_itself_in_html(hostile: str) -> None:
    messages = branch(question(hostile), reply(hostile, hostile), question("LAST"))
    text = render(chat_of(hostile, system=hostile), messages, ExportFormat.HTML, ThinkingStyle.FULL)
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert text.count("<article ") == 4
    assert not page.tags & {"script", "link", "iframe", "object", "base", "form", "b", "i"}
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name == "href":
            assert value is not None
            assert value.startswith("http")
        if name == "src":
            assert value is not None
            assert value.startswith("data:image/")


def test_html_is_one_file_that_fetches_nothing_and_follows_the_readers_theme() -> None:
    messages = branch(reply("![dot](https://example.com/a.png)\n\n```python\nx = '天气'\n```"))
    text = render(chat_of(), messages, ExportFormat.HTML)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert '<a href="https://example.com/a.png"' in text
    assert "<img" not in text
    assert '<span class="o">=</span>' in text
    assert "天气" in text


def test_calls_and_results_are_folded_away() -> None:
    text = render(chat_of(), CONVERSATION, ExportFormat.HTML, ThinkingStyle.FULL)
    assert "<details><summary>Calls get_weather</summary>\n<pre>" in text
    assert "<details><summary>get_weather · allowed by you with changed arguments" in text
    assert text.index("Ran with the arguments changed to:") > text.index("<details><summary>get_weather")


def test_images_that_the_text_carries_are_shown() -> None:
    text = render(chat_of(), branch(reply('![a "b"](data:image/png;base64,iVBO=)')), ExportFormat.HTML)
    assert '<img src="data:image/png;base64,iVBO=" alt="a &quot;b&quot;">' in text


def test_code_in_an_unknown_language_is_shown_as_it_is() -> None:
    text = render(chat_of(), branch(reply('```"><script>\n<b>\n```')), ExportFormat.HTML)
    assert "&lt;b&gt;" in text
    assert "<script" not in text


def test_a_typed_line_break_stays_one_in_html() -> None:
    text = render(chat_of(), branch(question("one\ntwo"), reply("three\nfour")), ExportFormat.HTML)
    assert "one<br />\ntwo" in text
    assert "three\nfour" in text
