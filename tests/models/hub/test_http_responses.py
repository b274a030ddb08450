from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qwen3_chat.models.hub.download_errors import SourceFailedError, SourceRefusedError
from qwen3_chat.models.hub.http_responses import RangeRequest, body_offset_bytes, retry_after_s

ASKED = RangeRequest("hub.example", "a/b", "x.gguf", 400, 1000)


@pytest.mark.parametrize(
    ("status", "headers", "begin"),
    [
        (206, {"content-range": "bytes 400-999/1000", "content-length": "600"}, 400),
        (206, {"content-range": "Bytes 400-999/*"}, 400),
        (206, {"content-range": "bytes 0-999/1000"}, 0),
        (200, {"content-range": "bytes 400-999/1000"}, 400),
        (200, {"content-length": "1000"}, 0),
        (200, {}, 0),
        (200, {"content-type": "application/octet-stream", "content-length": "1000"}, 0),
    ],
)
def test_content_range_tells_where_the_bytes_begin(status: int, headers: dict[str, str], begin: int) -> None:
    assert body_offset_bytes(status, headers, ASKED) == begin


@pytest.mark.parametrize(
    ("status", "headers", "key"),
    [
        (206, {}, "hub.wrong_range"),
        (206, {"content-range": "bytes 401-999/1000"}, "hub.wrong_range"),
        (206, {"content-range": "pages 4-9/10"}, "hub.wrong_range"),
        (429, {}, "hub.rate_limited"),
        (429, {"retry-after": "300"}, "hub.rate_limited_for"),
        (408, {}, "hub.server_error"),
        (425, {}, "hub.server_error"),
        (500, {}, "hub.server_error"),
        (599, {}, "hub.server_error"),
    ],
)
def test_some_answers_are_worth_asking_again(status: int, headers: dict[str, str], key: str) -> None:
    with pytest.raises(SourceFailedError) as raised:
        body_offset_bytes(status, headers, ASKED)
    assert raised.value.key == key


@pytest.mark.parametrize(
    ("status", "headers", "key"),
    [
        (206, {"content-range": "bytes 400-1000/1001"}, "hub.other_file"),
        (200, {"content-length": "999"}, "hub.other_file"),
        (416, {}, "hub.other_file"),
        (200, {"content-type": "text/html; charset=utf-8"}, "hub.sent_a_page"),
        (200, {"content-type": "application/json"}, "hub.sent_a_page"),
        (401, {"x-error-code": "GatedRepo"}, "hub.gated"),
        (403, {"x-error-code": "GatedRepo"}, "hub.gated"),
        (401, {}, "hub.forbidden"),
        (403, {}, "hub.forbidden"),
        (404, {"x-error-code": "RepoNotFound"}, "hub.no_repository"),
        (404, {}, "hub.no_file"),
        (410, {}, "hub.no_file"),
        (204, {}, "hub.odd_status"),
        (304, {}, "hub.odd_status"),
        (402, {}, "hub.odd_status"),
    ],
)
def test_others_are_not(status: int, headers: dict[str, str], key: str) -> None:
    with pytest.raises(SourceRefusedError) as raised:
        body_offset_bytes(status, headers, ASKED)
    assert raised.value.key == key


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"ratelimit": '"resolvers";r=0;t=55'}, 55),
        ({"ratelimit": '"resolvers";r=12;t=55'}, None),
    ],
)
def test_a_source_may_say_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, now=datetime(2026, 11, 22, 12, tzinfo=UTC)) == wait_s
