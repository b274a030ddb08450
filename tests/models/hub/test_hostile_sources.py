from __future__ import annotations

import json

import httpx2
import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.hub import limited_bodies
from qwen3_chat.models.hub.download_errors import SourceFailedError
from qwen3_chat.models.hub.http_responses import (
    MAX_RETRY_AFTER_S,
    RangeRequest,
    body_offset_bytes,
    check_status,
    retry_after_s,
)
from qwen3_chat.models.hub.limited_bodies import BodyLimitError, limit_body, limit_body_async
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
from qwen3_chat.models.hub.sources import ModelScope
from tests.remote.wire_server import Reply, json_reply, running

HEADERS = [
    {"retry-after": "9" * 400},
    {"retry-after": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"},
    {"retry-after": "Fri, 31 Dec 9999 23:59:59 -9999"},
    {"retry-after": ", , , , :"},
    {"retry-after": "-5"},
    {"retry-after": "\u0665"},
    {"ratelimit": "r=0;t=" + "9" * 400},
    {"content-range": f"bytes {'9' * 5000}-1/{'9' * 5000}"},
    {"content-length": "9" * 5000},
    {"content-length": "\u0665"},
]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("status", [200, 206, 429, 503])
def test_no_number_in_a_header_is_too_absurd(headers: dict[str, str], status: int) -> None:
    wait_s = retry_after_s(headers)
    assert wait_s is None or 0 <= wait_s <= MAX_RETRY_AFTER_S
    sentence = ""
    try:
        assert body_offset_bytes(status, headers, RangeRequest("h", "o/r", "n", 5, 10)) in (0, 5)
        check_status(status, headers, "h", "o/r", "n")
    except HubError as error:
        sentence = str(error)
    assert len(sentence) < 300


def entries(**changes: object) -> object:
    file = {"Path": "a.gguf", "Size": 1, "Sha256": "", "Type": "blob"}
    return {"Code": 200, "Data": {"Files": [{**file, **changes}]}}


LISTINGS = {
    "an infinite size": json_reply(entries(Size=float("inf"))),
    "a size that is no number": json_reply(entries(Size=float("nan"))),
    "a size below zero": json_reply(entries(Size=-1)),
    "a size of 400 digits": json_reply(entries(Size=10**400)),
    "a size of letters": json_reply(entries(Size="x")),
    "a name that is a number": json_reply(entries(Path=5)),
    "a name of 100,000 characters": json_reply(entries(Path="x" * 100_000)),
    "nesting": Reply([b"[" * 100_000], content_type="application/json"),
    "a packed listing": Reply([b"x"], headers={"Content-Encoding": "gzip"}, content_type="application/json"),
    "a listing without an end": Reply([b" " * 100_000] * 100, content_type="application/json"),
}


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)
async def test_a_hostile_listing_is_one_sentence(listing: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_bodies, "MAX_LISTING_BYTES", 1_000_000)
    async with running(lambda request: listing) as wire:
        with pytest.raises(SourceFailedError) as failure:
            await ModelScope(wire.url).list_files("o/r", None, DEFAULT_RETRY_POLICY)
    assert failure.value.code is ErrorCode.SOURCE_LISTING_UNREADABLE


async def test_a_size_in_quotes_is_a_size() -> None:
    async with running(lambda request: json_reply(entries(Size="12"))) as wire:
        (file,) = await ModelScope(wire.url).list_files("o/r", None, DEFAULT_RETRY_POLICY)
    assert file.size_bytes == 12


def test_the_library_of_hugging_face_reads_within_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_bodies, "MAX_LISTING_BYTES", 1000)
    content = json.dumps("x" * 2000).encode()
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, stream=httpx2.ByteStream(content)))
    hooks = {"response": [limit_body]}
    with (
        httpx2.Client(transport=transport, event_hooks=hooks) as client,
        pytest.raises(BodyLimitError),
    ):
        client.get("http://h/")


async def test_a_body_within_the_limit_is_read() -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, stream=httpx2.ByteStream(b"[1]")))
    hooks = {"response": [limit_body_async]}
    async with httpx2.AsyncClient(transport=transport, event_hooks=hooks) as client:
        assert (await client.get("http://h/")).json() == [1]
