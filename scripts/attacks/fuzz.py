"""Damaged input of every kind for every reader: only its own errors, and never a second of work."""

# ruff: noqa: E501 - a seed is one line
from __future__ import annotations

import io
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from attacks.mutation import mutate
from attacks.report import Options, Report

N_CASES: Final = 1_000_000
MAX_CASE_S: Final = 1.0
BATCH: Final = 2000
MAX_TOLD: Final = 30

Reader = Callable[[bytes, Path], object]


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _stored_text(data: bytes) -> str:
    return data.decode(errors="replace")


def _readers() -> Mapping[str, tuple[Reader, tuple[bytes, ...]]]:
    """Return each reader with what it reads when nothing is damaged."""
    from qwen3_chat.chat import ThinkingMode
    from qwen3_chat.config.prompt_library import load_prompts
    from qwen3_chat.config.settings_file import read_settings, set_in_toml
    from qwen3_chat.documents.attachments import split_attachments
    from qwen3_chat.documents.file_text import convert_html_to_markdown, read_attachment, read_piped_text
    from qwen3_chat.documents.json_export import parse_json_export
    from qwen3_chat.engine import wire
    from qwen3_chat.engine.remote.reply_reader import ReplyReader
    from qwen3_chat.engine.remote.response_chunks import find_error_message
    from qwen3_chat.engine.remote.stream_decoding import BodyDecoder
    from qwen3_chat.engine.remote.untrusted_json import JsonError, parse_json
    from qwen3_chat.engine.reply_splitter import ReplySplitter, TagScanner
    from qwen3_chat.errors import Qwen3ChatError
    from qwen3_chat.models.gguf import read_header
    from qwen3_chat.models.gguf_file_name import parse_gguf_file_name
    from qwen3_chat.models.hub.http_responses import RangeRequest, body_offset_bytes, retry_after_s
    from qwen3_chat.models.hub.hub_file import HubFile, checked_repository
    from qwen3_chat.servers import Endpoint, SecretReference, read_profiles
    from qwen3_chat.session.draft_store import decode_draft
    from qwen3_chat.store.search_terms import match_expression, match_spans
    from qwen3_chat.texts import Language
    from qwen3_chat.texts.formatting import parse_size
    from qwen3_chat.texts.terminal_safe import terminal_safe
    from qwen3_chat.transcript.markdown_parser import PARSER
    from qwen3_chat.ui.themes import read_theme

    def reply(data: bytes, folder: Path) -> None:
        decoder, reader = BodyDecoder(), ReplyReader(ThinkingMode.THINK, lambda: 1.0, True, False)
        middle = len(data) // 2
        for piece in (data[:middle], data[middle:]):
            for value in decoder.feed(piece):
                reader.feed(value)
        for value in decoder.flush():
            reader.feed(value)
        reader.flush()
        json.dumps(reader.finish_event(1, 1, 4096).timings.tokens_per_s, allow_nan=False)

    def error_body(data: bytes, folder: Path) -> None:
        with suppress(JsonError):
            find_error_message(parse_json(_stored_text(data)))

    def in_file(name: str, read: Callable[[Path], object]) -> Reader:
        def run(data: bytes, folder: Path) -> object:
            (folder / name).write_bytes(data)
            return read(folder / name)

        return run

    def profiles(file: Path) -> None:
        loaded = read_settings(file)
        read_profiles(loaded.settings.servers, loaded.make_error)

    def headers(data: bytes, folder: Path) -> None:
        value = _stored_text(data)
        found = {"retry-after": value, "content-range": value, "content-length": value, "ratelimit": value}
        retry_after_s(found)
        body_offset_bytes(200, found, RangeRequest("h", "o/r", "n", 5, 10))

    def change(data: bytes, folder: Path) -> None:
        with suppress(ValueError):
            set_in_toml(_stored_text(data), "theme", "b")

    def tags(data: bytes, folder: Path) -> None:
        scanner, splitter = TagScanner(), ReplySplitter()
        for part in (*scanner.feed(_stored_text(data)), *scanner.flush()):
            splitter.feed(part)
        splitter.flush()

    def guarded(read: Reader) -> Reader:
        def run(data: bytes, folder: Path) -> object:
            try:
                return read(data, folder)
            except Qwen3ChatError as error:
                return str(error)

        return run

    def wire_line(data: bytes, folder: Path) -> None:
        import msgspec

        for decode in (wire.decode_message, wire.decode_command):
            with suppress(msgspec.MsgspecError, ValueError):
                decode(data)

    events = b'data: {"id": "1", "choices": [{"delta": {"content": "Hi", "reasoning_content": "x"}}]}\n\n'
    calls = b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}}]}\n\n'
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 5}, "timings": {"predicted_ms": 1.5}}\n\ndata: [DONE]\n\n'
    ollama = b'{"message": {"content": "a"}, "done": true, "eval_count": 5, "eval_duration": 7}\n'
    settings = b'theme = "a" # x\nmodel_folders = [\n "a",\n]\n[keys]\nfold = "f7"\n[servers.x]\nurl = "http://h:1"\ncontext = 4096\n'
    theme = b'name = "x"\ndark = true\n[colors]\nprimary = "#ff0000"\n[variables]\nborder = "red 50%"\n'
    moment = b'"2026-01-01T00:00:00Z"'
    export = (
        b'{"format": "qwen3-chat", "version": 1, "chat": {"id": 1, "title": "t", "created_at": %s, "updated_at": %s,'
        b' "head_id": 1}, "messages": [{"id": 1, "parent_id": null, "created_at": %s, "role": "user", "content": "x"}]}'
    ) % (moment, moment, moment)
    page = b"<h1>A</h1><p>one<p>two<ul><li>a<li>b</ul><table><tr><td>x</table><a href='http://x'>y</a><pre>z</pre>"
    markdown = b"# A\n\n* a\n  * b\n\n```py\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> q **b** `c` $x$ [l](http://x)\n"
    gguf = (
        b"GGUF\x03\0\0\0"
        + bytes(8)
        + b"\x01"
        + bytes(7)
        + b"\x04\0\0\0\0\0\0\0name\x08\0\0\0\x01\0\0\0\0\0\0\0x"
    )
    words = "量化让模型更小 the quick brown fox".encode()
    draft = b'{"text": "a", "attachments": [{"name": "n", "text": "x"}]}'
    command = b'{"type": "Cancel", "id": 1}'
    readers: dict[str, tuple[Reader, tuple[bytes, ...]]] = {
        "replies of servers": (reply, (events + calls + usage, events, ollama * 2, ollama + events)),
        "errors of servers": (
            error_body,
            (b'{"error": {"message": "x", "code": 5}}', b'{"detail": [{"msg": "x"}]}'),
        ),
        "headers of hubs": (headers, (b"bytes 5-9/10", b"120", b"Fri, 31 Dec 1999 23:59:59 GMT", b"r=0;t=5")),
        "settings": (in_file("config.toml", read_settings), (settings,)),
        "changes of settings": (change, (settings,)),
        "prompts": (
            in_file("prompts.toml", lambda file: load_prompts(file, Language.EN)),
            (b'[[prompts]]\ntitle = "a"\ntext = "b"\n',),
        ),
        "themes": (in_file("theme.toml", read_theme), (theme,)),
        "servers in settings": (
            in_file(
                "config.toml",
                lambda file: profiles(file),
            ),
            (settings,),
        ),
        "drafts": (lambda data, folder: decode_draft(data), (draft,)),
        "exports": (lambda data, folder: parse_json_export(_text(data)), (export,)),
        "web pages": (lambda data, folder: convert_html_to_markdown(_stored_text(data)), (page,)),
        "files": (in_file("a.txt", read_attachment), (words, page)),
        "piped text": (lambda data, folder: read_piped_text(io.BytesIO(b"x" + data)), (words,)),
        "attachments in messages": (
            lambda data, folder: split_attachments(_text(data)),
            (b"Look\n\na.py:\n```\nx\n```\n",),
        ),
        "names of model files": (
            lambda data, folder: parse_gguf_file_name(_text(data)),
            (b"Qwen3-8B-Q4_K_M-00001-of-00002.gguf",),
        ),
        "paths of hubs": (
            lambda data, folder: HubFile("o/r", _text(data), 1, "0" * 64),
            (b"a/Qwen3-8B-Q4_K_M.gguf",),
        ),
        "names of repositories": (
            lambda data, folder: checked_repository(_text(data)),
            (b"unsloth/Qwen3-8B-GGUF",),
        ),
        "headers of models": (lambda data, folder: read_header(io.BytesIO(data), "a.gguf"), (gguf,)),
        "sizes": (lambda data, folder: parse_size(_text(data)), (b"5.9 GiB", b"640M")),
        "messages of the worker": (wire_line, (command, b'{"type": "Happened", "id": 1, "event": {}}')),
        "tags in replies": (
            tags,
            (b'<think>x</think>y<tool_call>{"name": "f", "arguments": {}}</tool_call>',),
        ),
        "Markdown": (lambda data, folder: PARSER.parse(_stored_text(data)), (markdown,)),
        "addresses of servers": (
            lambda data, folder: Endpoint.parse(_text(data)),
            (b"http://localhost:8000/v1", b"[::1]:80"),
        ),
        "references to secrets": (lambda data, folder: SecretReference.parse(_text(data)), (b"env:NAME",)),
        "search terms": (
            lambda data, folder: (
                match_expression(_stored_text(data)),
                match_spans(_stored_text(data), "the 量化"),
            ),
            (words,),
        ),
        "text for terminals": (lambda data, folder: terminal_safe(_text(data)), (words,)),
    }
    return {name: (guarded(read), seeds) for name, (read, seeds) in readers.items()}


def _run_batch(batch: tuple[int, int]) -> tuple[Counter[str], list[str], float]:
    """Run the cases from one number on; return the cases by reader, the failures, and the slowest case."""
    import faulthandler
    import tempfile

    faulthandler.enable()
    seed, first = batch
    readers = _readers()
    names = sorted(readers)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + BATCH):
            random = Random(f"{seed}:{number}")
            name = names[number % len(names)]
            read, seeds = readers[name]
            data = mutate(random.choice(seeds), random)
            began_s = time.process_time()
            try:
                read(data, Path(folder))
            except Exception as error:
                failures.append(f"{name}, case {number}: {type(error).__name__}: {str(error)[:100]}")
            cpu_s = time.process_time() - began_s
            slowest_s = max(slowest_s, cpu_s)
            if cpu_s > MAX_CASE_S:
                failures.append(f"{name}, case {number}: {cpu_s:.1f} s")
            counts[name] += 1
    return counts, failures, slowest_s


def attack(options: Options) -> Report:
    """Give each reader damaged input, all cores at once; a case is repeated by its seed and number."""
    report = Report()
    n_cases = options.count or N_CASES
    batches = [(options.seed, first) for first in range(0, n_cases, BATCH)]
    counts: Counter[str] = Counter()
    failures: list[str] = []
    slowest_s = 0.0
    with multiprocessing.get_context("spawn").Pool(maxtasksperchild=50) as pool:
        for batch_counts, batch_failures, batch_slowest_s in pool.imap_unordered(_run_batch, batches):
            counts += batch_counts
            failures += batch_failures
            slowest_s = max(slowest_s, batch_slowest_s)
    report.figures["cases"] = f"{counts.total():,} over {len(counts)} readers"
    report.figures["slowest case"] = f"{slowest_s * 1000:.0f} ms of CPU"
    report.figures["failures"] = f"{len(failures):,}"
    report.failures += failures[:MAX_TOLD]
    return report
