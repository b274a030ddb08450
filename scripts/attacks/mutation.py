"""Seeded mutations of bytes and texts: damage, repetition, splices, and the pieces that readers trip over."""

from __future__ import annotations

from random import Random
from typing import Final

MAX_CASE_BYTES: Final = 4096
TOKENS: Final = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc3",
        b"\x1b[2J",
        b"\x9b",
    ),
    *(b"\r\n", b"\n\n", b"\r", b"\t", b"\x85", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\\u0000", b"\\ud83d"),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"(",
        b")",
        b"<",
        b">",
        b'"',
        b"'",
        b"`",
        b"```",
        b"\\",
        b"|",
        b"#",
        b"*",
        b"_",
    ),
    *(
        b"nan",
        b"inf",
        b"-1",
        b"1e400",
        b"9" * 30,
        b"9" * 5000,
        b"0x",
        b"1_0",
        b"null",
        b"true",
        b"-0",
        b"1.5",
    ),
    *(b"<think>", b"</think>", b"<tool_call>", b"</tool_call>", b"<!--", b"-->", b"<p>", b"&#99999999;"),
    *(
        b"data: ",
        b"event:",
        b": ",
        b"[DONE]",
        b'"choices"',
        b'"error"',
        b'"usage"',
        b"://",
        b"..",
        b"/",
        b":",
    ),
    *(b"a.b.c = 1", b"[[a]]", b'"""', b"'''", b"$$", b"- ", b"> ", b"1. ", b"![", b"](", b"~~~", b"---"),
)


def mutate(data: bytes, random: Random) -> bytes:
    """Return the data with some damage, at most `MAX_CASE_BYTES` long."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randrange(len(changed) + 1)
        end = min(len(changed), at + random.choice((1, 4, 40)))
        match random.randrange(7):
            case 0:
                changed[at:at] = random.choice(TOKENS)
            case 1:
                changed[at:at] = random.choice(TOKENS) * random.choice((3, 30, 1000))
            case 2:
                del changed[at:end]
            case 3:
                changed[at:end] = random.randbytes(end - at)
            case 4:
                changed[at:at] = changed[at:end] * random.choice((1, 10, 100))
            case 5 if changed:
                changed[min(at, len(changed) - 1)] ^= 1 << random.randrange(8)
            case _:
                other = random.randrange(len(changed) + 1)
                changed[at:end] = changed[other : other + 40]
        del changed[MAX_CASE_BYTES:]
    return bytes(changed)
