"""The process that colours code: `python -m qwen3_chat.highlighting`.

Requests come in on stdin, replies go out on stdout. It limits itself where the system can do that: Python's
`re` reacts to nothing, but the kernel ends a process whose processor time is up.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from time import process_time

import msgspec

from qwen3_chat.highlighting.limits import CPU_LIMIT_S, MAX_BLOCKS, MAX_MEMORY_BYTES, MAX_SPANS_PER_MESSAGE
from qwen3_chat.highlighting.messages import (
    BlockForgotten,
    ColourRows,
    ColoursFailed,
    HighlighterReady,
    HtmlRendered,
    IndexedSpan,
    RenderHtml,
    Reply,
    Request,
    RowsColoured,
)
from qwen3_chat.parent_death import die_with_parent
from qwen3_chat.process_limits import set_limit


def main() -> None:
    """Answer requests until stdin is closed."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_limit("RLIMIT_AS", MAX_MEMORY_BYTES)
    from qwen3_chat.highlighting.lexing import CodeLexer, render_block_as_html  # under the limit of memory

    lexers: OrderedDict[int, CodeLexer] = OrderedDict()
    """The lexers of the blocks that may get more rows, the one used longest ago first."""

    def replies_to(request: Request) -> Iterator[Reply]:
        match request:
            case RenderHtml(language, text):
                start_clock(CPU_LIMIT_S)
                yield HtmlRendered(render_block_as_html(language, text))
            case ColourRows(block_id, language, first_row, rows, is_end):
                lexer = lexers.pop(block_id, None)
                if lexer is None or first_row == 0:
                    lexer = CodeLexer(language)
                if lexer.n_rows != first_row:
                    yield BlockForgotten()
                    return
                first_known, started_s = lexer.n_returned, process_time()
                start_clock(CPU_LIMIT_S - lexer.used_s)
                spans = lexer.add_rows(rows, is_end)
                lexer.used_s += process_time() - started_s
                if not is_end:
                    lexers[block_id] = lexer
                    while len(lexers) > MAX_BLOCKS:
                        lexers.popitem(last=False)
                yield from _divided(first_known, spans)

    decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
    _send(encode(HighlighterReady()))
    for line in sys.stdin.buffer:
        try:
            # The replies are complete before the first is sent: what fails has none.
            output = [encode(reply) for reply in replies_to(decode(line))]
        except Exception:
            # A lexer is foreign code over untrusted text: a bug in it costs colours, never the chat.
            output = [encode(ColoursFailed())]
        start_clock(0)
        _send(*output)


def start_clock(limit_s: float) -> None:
    """Have the system end this process once it has used so much processor time, where it can; 0 is no limit.

    The signal is left to the system, as a handler of Python's would wait for `re`.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, limit_s)


def _divided(first_row: int, spans: list[list[IndexedSpan]]) -> Iterator[RowsColoured]:
    """Divide rows into messages that are each read in a moment."""
    sizes = [0, *accumulate(len(row) + 1 for row in spans)]
    start = 0
    for end in range(1, len(spans) + 1):
        if end == len(spans) or sizes[end + 1] - sizes[start] > MAX_SPANS_PER_MESSAGE:
            yield RowsColoured(first_row + start, spans[start:end], is_last=end == len(spans))
            start = end
    if not spans:
        yield RowsColoured(first_row, [], is_last=True)


def _send(*lines: bytes) -> None:
    data = memoryview(b"".join(line + b"\n" for line in lines))
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
