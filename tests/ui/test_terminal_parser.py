"""What a terminal sends, as the app sees it; each assumption about Textual's parser that ours extends."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual import messages
from textual._xterm_parser import XTermParser
from textual.events import AppFocus, Key, MouseDown, MouseMove, Paste
from textual.message import Message

from qwen3_chat.ui.textual_compat.terminal_parser import MAX_PASTE_CHARACTERS, PASTE_PAUSE_S, TerminalParser

START, END = b"\x1b[200~", b"\x1b[201~"


class Clock:
    """A clock that stands still until a test moves it."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Typed:
    """A parser with a clock, and the events of what it was sent."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.parser = TerminalParser(lambda: (80, 24), self.clock)

    def send(self, *pieces: bytes) -> list[Message]:
        return [event for piece in pieces for event in self.parser.feed_bytes(piece)]

    def wait(self, duration_s: float) -> list[Message]:
        self.clock.now_s += duration_s
        return list(self.parser.tick())


def described(events: Iterable[Message]) -> list[str]:
    """Return keys by their names, and pastes in quotes."""
    found = []
    for event in events:
        match event:
            case Key(key=key):
                found.append(key)
            case Paste(text=text):
                found.append(repr(text))
            case _:
                found.append(type(event).__name__)
    return found


def sent(*pieces: bytes) -> list[str]:
    return described(Typed().send(*pieces))


# bytes


@pytest.mark.parametrize(
    ("data", "characters"),
    [
        (b"\xc4\xe3!", "\ufffd\ufffd!"),
        (b"caf\xe9!", "caf\ufffd!"),
        ("天🍓".encode(), "天🍓"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_undecodable_bytes_become_the_replacement_character(data: bytes, characters: str) -> None:
    assert [event.character for event in Typed().send(data) if isinstance(event, Key)] == list(characters)


def test_a_character_split_across_reads_is_one() -> None:
    assert sent(*(bytes([byte]) for byte in "天".encode())) == ["天"]


def test_a_character_that_is_never_completed_appears_without_another_key() -> None:
    typed = Typed()
    assert typed.send(b"\xe9") == []
    assert described(typed.wait(0.5)) == ["replacement_character"]
    assert described(typed.send(b"a")) == ["a"]


# pastes


def test_a_paste_is_text_whatever_is_in_it() -> None:
    text = b"\x1b[31mred\x1b[0m\r\x1b[200~\x1b\x1b[A\x1b]0;t\x07\xff\r\n"
    assert sent(START + text + END + b"x") == [repr(text.decode(errors="replace")), "x"]


def test_textual_still_types_the_escapes_of_a_paste() -> None:
    assert len(list(XTermParser().feed("\x1b[200~\x1b[35;1;9z\x1b[201~"))) > 1


def test_a_paste_may_come_in_any_pieces() -> None:
    data = START + b"a\x1b[20\x1b[201\x1b[31m\rb" + END + b"c"
    for seed in range(50):
        rng, pieces, rest = Random(seed), [], data
        while rest:
            length = rng.randrange(1, 8)
            pieces.append(rest[:length])
            rest = rest[length:]
        assert sent(*pieces) == [repr("a\x1b[20\x1b[201\x1b[31m\rb"), "c"]


def test_an_end_mark_without_a_paste_is_ignored() -> None:
    assert sent(b"a" + END + b"b") == ["a", "b"]


def test_two_pastes_and_keys_keep_their_order() -> None:
    assert sent(b"a" + START + b"1" + END + b"b~" + START + b"2" + END) == ["a", "'1'", "b", "tilde", "'2'"]


def test_a_paste_of_megabytes_is_looked_at_once() -> None:
    typed = Typed()
    piece = b"line ~\x1b[ 1\r" * 372
    typed.send(START)
    for _ in range(500):
        assert typed.send(piece) == []
    paste = typed.parser._paste
    assert paste is not None
    assert len(paste._pieces) <= 1_000
    (event,) = typed.send(END)
    assert isinstance(event, Paste)
    assert event.text == piece.decode() * 500


def test_a_paste_without_end_keeps_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3_chat.ui.textual_compat.terminal_parser.MAX_PASTE_CHARACTERS", 1_000)
    typed = Typed()
    typed.send(START, *[b"x" * 400] * 20)
    (event,) = typed.send(END)
    assert isinstance(event, Paste)
    assert len(event.text) == 1_000
    assert MAX_PASTE_CHARACTERS > 1_000


def test_a_paste_without_end_is_shown_after_a_pause_and_gives_the_keyboard_back() -> None:
    typed = Typed()
    typed.send(START + b"half a line\r")
    assert described(typed.wait(PASTE_PAUSE_S)) == [repr("half a line\r")]
    assert described(typed.send(b"\x11")) == ["ctrl+q"]
    assert described(typed.send(b"a\r")) == ["a", "enter"]


def test_a_slow_paste_goes_on_after_a_pause_and_its_line_ends_send_nothing() -> None:
    typed = Typed()
    typed.send(START + b"one")
    assert described(typed.wait(PASTE_PAUSE_S)) == ["'one'"]
    assert described(typed.send(b"\r")) == []
    typed.clock.now_s += PASTE_PAUSE_S
    assert described(typed.send(b"two\r" + END + b"x")) == [repr("\rtwo\r"), "x"]


def test_a_burst_of_characters_is_a_paste_and_its_line_end_is_enter() -> None:
    assert sent(b"x" * 64 + b"\r") == [repr("x" * 64), "enter"]
    assert sent(b"x" * 63) == ["x"] * 63
    assert sent("天".encode() * 99) == [repr("天" * 99)]
    assert sent(b"a\x1b[A" + b"y" * 99) == ["a", "up", repr("y" * 99)]
    assert sent(b"\x1bPno end of " + b"y" * 99 + b"\x07z") == ["z"]
    assert sent(START + b"z" * 99 + END) == [repr("z" * 99)]


# sequences


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"\x1b[1114112u", []),
        (b"\x1b[55296u", []),
        (b"\x1b[97;1;99999999u", []),
        (b"\x1b[" + b"9" * 5_000 + b"u", []),
        (b"\x1b[97:65;2:1u", ["shift+a"]),
        (b"\x1b[97;1:3u", []),
        (b"\x1b[0;1;20013:25991u", ["中", "文"]),
        (b"\x1b[13;3u", ["alt+enter"]),
        (b"\x1b\r", ["ctrl+j"]),
        (b"\x1be", ["alt+e"]),
        (b"\x1bb", ["ctrl+left"]),
        (b"\x1b[A\x1bOP\x1b[[A\x1b[15~\x1b[24$\x1b[1;5A", ["up", "f1", "f1", "f5", "f24", "ctrl+up"]),
        (b"\x1b[M !!\x1b[32;10;5M\x1b[M\xff\xff\xff", []),
        (b"\x1b[<0;9;9M", ["MouseDown"]),
        (b"\x1b[<0;-9;9M\x1b[<99999;1;1M", []),
        (b"\x1b[I\x1b[O", ["AppFocus", "AppBlur"]),
        (b"\x1b[?62;4c\x1b[>1;1;0c\x1b[5;1;1x", []),
        (b"\x1b]11;rgb:00/00/00\x07\x1bP1$r0m\x1b\\\x1b_Gi=1;OK\x1b\\\x1b^x\x1b\\\x1bXy\x07", []),
        (b"\x1b[48;0;0;0;0t\x1b[48;99999;99999;1;1t\x1b[<0;5;5M", ["MouseDown"]),
        (b"\x1b[1\x1b[A", ["up"]),
        (b"\x1b[1\r", ["enter"]),
        (b"\x1b[\xe5\xa4\xa9", ["left_square_bracket", "天"]),
        (b"\x1b]ab\x1b[A", ["right_square_bracket", "a", "b", "up"]),
    ],
)
def test_a_sequence_is_a_key_an_event_or_nothing(data: bytes, names: list[str]) -> None:
    assert sent(data + b".") == [*names, "full_stop"]
    assert sent(*(bytes([byte]) for byte in data + b".")) == [*names, "full_stop"]


def test_a_report_of_the_size_is_believed_for_the_pixels_alone() -> None:
    typed = Typed()
    assert typed.send(b"\x1b[48;999;999;480;1600t") == []
    (event,) = typed.send(b"\x1b[<0;41;41M")
    assert isinstance(event, MouseDown)
    assert (event.x, event.y) == (2, 2)


def test_a_terminal_is_asked_for_modes_by_textual_and_its_answers_are_events() -> None:
    kinds = [type(event) for event in Typed().send(b"\x1b[?2026;2$y\x1b[?2048;2$y\x1b[<35;5;5M\x1b[I")]
    assert kinds == [
        messages.TerminalSupportsSynchronizedOutput,
        messages.InBandWindowResize,
        MouseMove,
        AppFocus,
    ]


PIECES = [
    *(
        b"\x1b[",
        b"\x1b]",
        b"\x1bP",
        b"\x1b_",
        b"\x1bO",
        b"\x1b[M",
        b"\x1b[<",
        b"\x1b[?",
        b"\x1b[48;",
        b"\x1b",
        START,
    ),
    *(
        END,
        b";",
        b":",
        b"M",
        b"m",
        b"u",
        b"~",
        b"t",
        b"R",
        b"$y",
        b"\x07",
        b"\x1b\\",
        b"\x9b",
        b"\xff",
        b"\r",
    ),
    *(b"9999999999", b"1114112", b"55296", b"-1", b"0", b"2026", b"2048", "٣".encode(), "天".encode(), b"a"),
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=40))
@example([b"\x1b[", "٣".encode(), b"u"])
def test_no_bytes_are_an_error_and_the_next_key_arrives(pieces: list[bytes]) -> None:
    typed = Typed()
    typed.send(*pieces)
    typed.wait(10)
    events = [*typed.send(b"\x1b\\"), *typed.wait(10), *typed.send(END), *typed.send(b"z")]
    assert described(events)[-1] == "z"
