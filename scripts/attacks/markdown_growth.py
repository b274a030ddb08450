"""Blocks without an end, streamed as the app does it: processor time at 10,000 and at 100,000 characters."""

from __future__ import annotations

import time
from collections.abc import Callable

from attacks.report import Options, Report
from qwen3_chat.engine.reply_splitter import ReplySplitter, TagScanner
from qwen3_chat.transcript.markdown_section import MarkdownSection
from qwen3_chat.transcript.section import PlainTextSection

MAX_RATIO = 15.0
SMALL, LARGE = 10_000, 100_000
WIDTH = 100
TOKEN_CHARACTERS = 4
UPDATE_CHARACTERS = 32
"""The characters that one update of the transcript adds: some eight tokens, twenty times a second."""

_SENTENCE = "Some **bold text**, a [link](https://example.com/a), `code` and *more*. "
_LINE = "some **bold** text"


def _repeated(head: str, part: str) -> Callable[[int], str]:
    return lambda size: (head + part * (size // len(part) + 1))[:size]


MARKDOWN = {
    "paragraph, one line": _repeated("", _SENTENCE),
    "paragraph, lines": _repeated("", f"{_SENTENCE}\n"),
    "paragraph, nothing closed": _repeated("", "**bold [text and a $link *with `code "),
    "heading": _repeated("# ", _SENTENCE),
    "table": _repeated("| a | b |\n|---|---|\n", f"| {_LINE} | [x](y) |\n"),
    "table, one cell": _repeated("| a | b |\n|---|---|\n| ", f"{_LINE} "),
    "fence": _repeated("```python\n", "def f(x): return x + 1\n"),
    "fence, one row": _repeated("```python\n", "x"),
    "fence in a list": _repeated("1. a\n   ```python\n", "   def f(x): return x + 1\n"),
    "list": _repeated("", f"- {_LINE}\n"),
    "list in a list": _repeated("1. a\n", f"   - {_LINE}\n"),
    "list of brackets": _repeated("", "- [\n"),
    "quote": _repeated("", f"> {_LINE}\n"),
    "formula": _repeated("$$\n", "x_1 + y\n"),
    "code without a fence": _repeated("", "    def f(x): return x + 1\n"),
    "definitions": _repeated("", "[a]: b\n"),
    "lines of brackets": _repeated("", "[a\n"),
    "newlines": _repeated("", "\n"),
    "spaces": _repeated("", " "),
}
"""Markdown that never ends, by its block."""

PLAIN = {"thinking, one line": _repeated("", "word "), "thinking, newlines": _repeated("", "\n")}
"""Thinking, which is shown as plain text."""

REPLIES = {
    "splitter, newlines": _repeated("a", "\n"),
    "splitter, newlines first": _repeated("", "\n"),
    "splitter, thinking of newlines": _repeated("<think>\na", "\n"),
    "splitter, text": _repeated("", _SENTENCE),
    "splitter, tags": _repeated("", "<think><tool_"),
    "splitter, open call": _repeated('<tool_call>{"name": "', "x"),
    "splitter, tags in a call": _repeated('<tool_call>{"name": "', "</tool_call>"),
    "splitter, broken calls": _repeated("", "<tool_call>{</tool_call>"),
}
"""Replies for the splitter, token by token."""


def attack(options: Options) -> Report:
    """Measure each reader at both sizes; `count` divides the sizes, for a sample."""
    report = Report()
    factor = options.count or 1
    small, large = SMALL // factor, LARGE // factor
    readers = [
        *((name, text, _read_markdown) for name, text in MARKDOWN.items()),
        *((name, text, _read_thinking) for name, text in PLAIN.items()),
        *((name, text, _read_reply) for name, text in REPLIES.items()),
    ]
    for name, text, read in readers:
        read(text(small))  # imports and caches
        small_s, large_s = read(text(small)), read(text(large))
        ratio = large_s / max(small_s, 0.001)
        report.figures[name] = f"{small_s:.2f} s, {large_s:.2f} s: × {ratio:.1f}"
        report.check(ratio <= MAX_RATIO, f"{name}: {large:,} characters cost {ratio:.1f} × {small:,}")
    return report


def _read_markdown(text: str) -> float:
    return _timed(MarkdownSection(WIDTH, 0).feed, text, UPDATE_CHARACTERS)


def _read_thinking(text: str) -> float:
    return _timed(PlainTextSection(WIDTH, 0).feed, text, UPDATE_CHARACTERS)


def _read_reply(text: str) -> float:
    scanner, splitter = TagScanner(), ReplySplitter()

    def feed(piece: str) -> None:
        for part in scanner.feed(piece):
            splitter.feed(part)

    return _timed(feed, text, TOKEN_CHARACTERS)


def _timed(feed: Callable[[str], object], text: str, size: int) -> float:
    """Return the processor time to feed a text in pieces."""
    started_s = time.process_time()
    for at in range(0, len(text), size):
        feed(text[at : at + size])
    return time.process_time() - started_s
