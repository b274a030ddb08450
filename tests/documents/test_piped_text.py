from __future__ import annotations

import codecs
import gzip
import io
import os
import random
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from qwen3_chat.cli.ask_command import _read_prompt
from qwen3_chat.documents.file_text import MAX_TEXT_BYTES
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from tests.documents.test_attachments import pdf


def pipe(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    """Make a stream what is piped into the command."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream, isatty=lambda: False))


class Yes(io.RawIOBase):
    """A stream without an end, which counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        assert self.n_read < 100 * MAX_TEXT_BYTES
        buffer[:] = b"y\n" * (len(buffer) // 2) + b"y" * (len(buffer) % 2)
        self.n_read += len(buffer)
        return len(buffer)


def test_a_flood_is_read_up_to_the_limit_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    flood = Yes()
    pipe(monkeypatch, io.BufferedReader(flood))
    with pytest.raises(UsageError) as refusal:
        _read_prompt("What is this?", ())
    assert refusal.value.code is ErrorCode.FILE_TOO_LARGE
    assert "stdin" in str(refusal.value)
    assert flood.n_read < 2 * MAX_TEXT_BYTES


CHINESE = "量化让模型更小，也更快。"
TEXTS = {
    "UTF-8": CHINESE.encode(),
    "UTF-8 with a mark": codecs.BOM_UTF8 + CHINESE.encode(),
    "GBK": CHINESE.encode("gbk"),
    "UTF-16": CHINESE.encode("utf-16"),
}


@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
def test_piped_text_is_decoded_as_a_file_is(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, io.BytesIO(data))
    assert _read_prompt("Say:", ()) == f"Say:\n\n{CHINESE}"


REFUSED = {
    "gzip": (gzip.compress(b"hello" * 100), ErrorCode.FILE_NOT_TEXT),
    "random bytes": (random.Random(1).randbytes(1000), ErrorCode.FILE_NOT_TEXT),
    "Latin-1": ("déjà vu".encode("latin-1"), ErrorCode.FILE_NOT_TEXT),
    "UTF-16 without a mark": ("hello".encode("utf-16-le"), ErrorCode.FILE_NOT_TEXT),
    "half a character": (CHINESE.encode()[:-1], ErrorCode.FILE_NOT_TEXT),
    "a picture": (b"\x89PNG\r\n\x1a\n...", ErrorCode.FILE_IS_PICTURE),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_text_is_refused_and_not_sent(
    data: bytes, code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, io.BytesIO(data))
    with pytest.raises(UsageError) as refusal:
        _read_prompt("What is this?", ())
    assert refusal.value.code is code


def test_a_pdf_can_be_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, io.BytesIO(pdf("Hello")))
    assert _read_prompt("Say:", ()) == "Say:\n\n[1]\nHello"


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_nothing_piped_in_leaves_the_prompt(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, io.BytesIO(data))
    assert _read_prompt("Say hello.", ()) == "Say hello."


def test_a_closed_stdin_is_no_input_and_one_that_cant_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert _read_prompt("Say hello.", ()) == "Say hello."
    with open(os.open(os.devnull, os.O_WRONLY), "wb") as unreadable:
        pipe(monkeypatch, unreadable)
        with pytest.raises(UsageError) as refusal:
            _read_prompt("Say hello.", ())
    assert refusal.value.code is ErrorCode.FILE_UNREADABLE
