from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qwen3_chat.error_codes import ErrorCode
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
    ("status", "headers", "code"),
    [
        (206, {}, ErrorCode.SOURCE_SENT_WRONG_RANGE),
        (206, {"content-range": "bytes 401-999/1000"}, ErrorCode.SOURCE_SENT_WRONG_RANGE),
        (206, {"content-range": "pages 4-9/10"}, ErrorCode.SOURCE_SENT_WRONG_RANGE),
        (429, {}, ErrorCode.SOURCE_RATE_LIMITED),
        (429, {"retry-after": "300"}, ErrorCode.SOURCE_RATE_LIMITED_FOR_TIME),
        (408, {}, ErrorCode.SOURCE_FAILED),
        (425, {}, ErrorCode.SOURCE_FAILED),
        (500, {}, ErrorCode.SOURCE_FAILED),
        (599, {}, ErrorCode.SOURCE_FAILED),
    ],
)
def test_some_answers_are_worth_asking_again(status: int, headers: dict[str, str], code: ErrorCode) -> None:
    with pytest.raises(SourceFailedError) as raised:
        body_offset_bytes(status, headers, ASKED)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (206, {"content-range": "bytes 400-1000/1001"}, ErrorCode.SOURCE_FILE_DIFFERS),
        (200, {"content-length": "999"}, ErrorCode.SOURCE_FILE_DIFFERS),
        (416, {}, ErrorCode.SOURCE_FILE_DIFFERS),
        (200, {"content-type": "text/html; charset=utf-8"}, ErrorCode.SOURCE_SENT_WEB_PAGE),
        (200, {"content-type": "application/json"}, ErrorCode.SOURCE_SENT_WEB_PAGE),
        (401, {"x-error-code": "GatedRepo"}, ErrorCode.REPOSITORY_GATED),
        (403, {"x-error-code": "GatedRepo"}, ErrorCode.REPOSITORY_GATED),
        (401, {}, ErrorCode.REPOSITORY_FORBIDDEN),
        (403, {}, ErrorCode.REPOSITORY_FORBIDDEN),
        (404, {"x-error-code": "RepoNotFound"}, ErrorCode.REPOSITORY_NOT_FOUND),
        (404, {}, ErrorCode.REPOSITORY_FILE_NOT_FOUND),
        (410, {}, ErrorCode.REPOSITORY_FILE_NOT_FOUND),
        (204, {}, ErrorCode.SOURCE_STATUS_UNEXPECTED),
        (304, {}, ErrorCode.SOURCE_STATUS_UNEXPECTED),
        (402, {}, ErrorCode.SOURCE_STATUS_UNEXPECTED),
    ],
)
def test_others_are_not(status: int, headers: dict[str, str], code: ErrorCode) -> None:
    with pytest.raises(SourceRefusedError) as raised:
        body_offset_bytes(status, headers, ASKED)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"ratelimit": '"resolvers";r=0;t=55'}, 55),
        ({"ratelimit": '"resolvers";r=12;t=55'}, None),
    ],
)
def test_a_source_may_say_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, now=datetime(2026, 11, 22, 12, tzinfo=UTC)) == wait_s
