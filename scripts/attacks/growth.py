"""The time of each incremental reader at 100,000 characters beside that at 10,000: no more than 15 times."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from attacks.report import Options, Report

SMALL, LARGE = 10_000, 100_000
MAX_GROWTH: Final = 15
TRIES: Final = 2
PIECE: Final = 100
MIN_S: Final = 0.005
"""The shortest time that is compared."""

Read = Callable[[str], object]


def _readers() -> dict[str, tuple[Read, tuple[str, ...]]]:
    """Return each reader with the texts that it reads, each repeated up to the size."""
    from qwen3_chat.chat import ThinkingMode
    from qwen3_chat.config.settings_file import find_key_lines
    from qwen3_chat.config.toml_text import TomlError, parse_toml
    from qwen3_chat.documents.attachments import split_attachments
    from qwen3_chat.documents.file_text import convert_html_to_markdown
    from qwen3_chat.engine.remote.reply_reader import ReplyReader
    from qwen3_chat.engine.remote.stream_decoding import BodyDecoder, JsonSplitter, SseDecoder

    def in_pieces(feed: Callable[[str], object], text: str) -> None:
        for at in range(0, len(text), PIECE):
            feed(text[at : at + PIECE])

    def settings(text: str) -> None:
        with suppress(TomlError):
            parse_toml(text)
            find_key_lines(text)

    def body(text: str) -> None:
        decoder, reader = BodyDecoder(), ReplyReader(ThinkingMode.THINK, time.monotonic, True, False)
        for at in range(0, len(text), PIECE):
            for value in decoder.feed(text[at : at + PIECE].encode()):
                reader.feed(value)

    event = 'data: {"choices": [{"delta": {"content": "word "}}]}\n\n'
    pages = ("<p>x", "<li>x", "<ol><li>x", "<!--", "<div>x", "<b>x", "<td>x", "<a b='", "<svg>", "<", "&#1;")
    return {
        "events": (
            lambda text: in_pieces(SseDecoder().feed, text),
            ("data: x\n\n", "x", ": \n", "data: x\n"),
        ),
        "JSON": (lambda text: in_pieces(JsonSplitter().feed, text), ("[\n", '{"a": 1}\n', '"\\', "{", "1\n")),
        "replies": (body, (event, "[\n", '{\n"a":\n[1,\n', "data: [\n\n")),
        "settings": (
            settings,
            ("a = [\n1,\n", '[a]\nb = """\n', "a.b.c", "[[a]]\n", "a = '''x\n", "#\n", "["),
        ),
        "web pages": (convert_html_to_markdown, pages),
        "attachments": (split_attachments, ("\n\na:\n```\nx\n```", "```\n", "\n", "`", " ")),
    }


def _cpu_s(read: Read, text: str) -> float:
    tries = []
    for _ in range(TRIES):
        began_s = time.process_time()
        read(text)
        tries.append(time.process_time() - began_s)
    return max(min(tries), MIN_S)


def attack(options: Options) -> Report:
    """Compare the processor time of each reader at both sizes, on each of its texts."""
    report = Report()
    for name, (read, texts) in _readers().items():
        worst = 0.0
        for piece in texts[: options.count]:
            small, large = (piece * (size // len(piece)) for size in (SMALL, LARGE))
            growth = _cpu_s(read, large) / _cpu_s(read, small)
            worst = max(worst, growth)
            report.check(growth <= MAX_GROWTH, f"{name}, {piece!r}: {growth:.0f} times")
        report.figures[name] = f"{worst:.1f} times at most, over {len(texts[: options.count])} texts"
    return report
