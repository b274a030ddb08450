"""The meaning of a source's HTTP response: the offset of its bytes, or the reason for having none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.models.hub.download_errors import SourceFailedError, SourceRefusedError
from qwen3_chat.texts.formatting import format_duration

_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE | re.ASCII)
_RATE_LIMIT = re.compile(r"r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,9})(?!\d)", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)  # some servers send parts of a second
_WHOLE_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
MAX_RETRY_AFTER_S = 366 * 24 * 3600.0
"""The limit for the pause that a source can ask for; it is far longer than any that is made."""
_PAGES = ("text/html", "application/json", "application/xml", "text/xml")
"""The media types of responses that are no model file: a login page, or an error with status 200."""


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """A request for the bytes of a file from an offset on; the names are used in sentences."""

    host: str
    repository: str
    name: str
    offset_bytes: int
    size_bytes: int
    is_redirected: bool = False
    """True if the response came from another address, to which the source had sent the request."""


def body_offset_bytes(status: int, headers: Mapping[str, str], request: RangeRequest) -> int:
    """Return the byte of the file at which the body begins: the one of the request, or 0.

    `Content-Range` decides, not the status: ModelScope has been seen to send a range with status 200.
    The names in `headers` are in lower case.

    Raises:
        SourceFailedError: another attempt may help.
        SourceRefusedError: it won't.
    """
    check_status(
        status, headers, request.host, request.repository, request.name, is_redirected=request.is_redirected
    )
    if headers.get("content-type", "").partition(";")[0].strip().lower() in _PAGES:
        raise SourceRefusedError(ErrorCode.SOURCE_SENT_WEB_PAGE, host=request.host, name=request.name)
    begin, size = 0, None
    if match := _CONTENT_RANGE.match(headers.get("content-range", "")):
        begin, size = int(match[1]), None if match[3] == "*" else int(match[3])
    elif status == 206:
        raise SourceFailedError(ErrorCode.SOURCE_SENT_WRONG_RANGE, host=request.host)
    elif _WHOLE_NUMBER.fullmatch(length := headers.get("content-length", "")):
        size = int(length)
    if size not in (None, request.size_bytes):
        raise SourceRefusedError(ErrorCode.SOURCE_FILE_DIFFERS, host=request.host, name=request.name)
    if begin not in (0, request.offset_bytes):
        raise SourceFailedError(ErrorCode.SOURCE_SENT_WRONG_RANGE, host=request.host)
    return begin


def check_status(
    status: int,
    headers: Mapping[str, str],
    host: str,
    repository: str,
    name: str,
    *,
    is_redirected: bool = False,
) -> None:
    """Raise the error of a status that is no success.

    A link to which a source redirects is signed and expires; asked again, the source gives a fresh one.

    Raises:
        SourceFailedError: another attempt may help.
        SourceRefusedError: it won't.
    """
    code = headers.get("x-error-code", "")
    match status:
        case 200 | 206:
            return
        case 400 | 401 | 403 | 410 if is_redirected and not code:
            raise SourceFailedError(ErrorCode.SOURCE_LINK_REFUSED, host=host, name=name, status=status)
        case 401 | 403 if code == "GatedRepo":
            raise SourceRefusedError(ErrorCode.REPOSITORY_GATED, host=host, repository=repository)
        case 401 | 403:
            raise SourceRefusedError(ErrorCode.REPOSITORY_FORBIDDEN, host=host, repository=repository)
        case 404 | 410 if code == "RepoNotFound":
            raise SourceRefusedError(ErrorCode.REPOSITORY_NOT_FOUND, host=host, repository=repository)
        case 404 | 410:
            raise SourceRefusedError(
                ErrorCode.REPOSITORY_FILE_NOT_FOUND, host=host, repository=repository, name=name
            )
        case 416:
            raise SourceRefusedError(ErrorCode.SOURCE_FILE_DIFFERS, host=host, name=name)
        case 429:
            if (wait_s := retry_after_s(headers)) is None:
                raise SourceFailedError(ErrorCode.SOURCE_RATE_LIMITED, host=host)
            raise SourceFailedError(
                ErrorCode.SOURCE_RATE_LIMITED_FOR_TIME, wait_s=wait_s, host=host, time=format_duration(wait_s)
            )
        case _ if status >= 500 or status in (400, 408, 425):
            raise SourceFailedError(
                ErrorCode.SOURCE_FAILED, wait_s=retry_after_s(headers), host=host, status=status
            )
        case _:
            raise SourceRefusedError(ErrorCode.SOURCE_STATUS_UNEXPECTED, host=host, status=status)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that Retry-After or RateLimit ask clients to wait; None where neither does."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER_S)
    if value:
        try:
            until = parsedate_to_datetime(value)
            if until.tzinfo is None:
                until = until.replace(tzinfo=UTC)
            wait_s = (until - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):  # as the parser meets odd dates
            return None
        return min(max(0.0, wait_s), MAX_RETRY_AFTER_S)
    match = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return min(float(match[1]), MAX_RETRY_AFTER_S) if match else None
