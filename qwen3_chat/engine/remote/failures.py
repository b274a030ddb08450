"""What went wrong between here and a server, as errors with a sentence."""

from __future__ import annotations

import json
import re
import ssl

import httpx2

from qwen3_chat.engine.remote.chunks import error_in
from qwen3_chat.engine.remote.endpoint import OWN_VARIABLE, ApiKey, Endpoint
from qwen3_chat.errors import EngineError
from qwen3_chat.plain import plain

SHOWN_CHARACTERS = 300
_TOO_LONG = re.compile(r"context|maximum.{0,20}(?:length|tokens)|too (?:long|many tokens)", re.IGNORECASE)
_LOADING = re.compile(r"loading model|model is loading|starting", re.IGNORECASE)


def said(text: str, key: ApiKey | None) -> str:
    """Return a server's own words fit to be shown: one line, not endless, without the key."""
    if key is not None:
        text = key.removed_from(text)
    line = plain(" ".join(text.split()))
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def refusal(status: int, body: bytes, location: str, endpoint: Endpoint, key: ApiKey | None) -> EngineError:
    """Return the error that an answer other than 200 stands for."""
    host = endpoint.host
    reason = said(_message(body), key) or str(status)
    match status:
        case 300 | 301 | 302 | 303 | 307 | 308:
            return EngineError("remote.moved", host=host, url=said(location.partition("?")[0], key))
        case 401 | 403:
            return EngineError("remote.unauthorised", host=host, variable=OWN_VARIABLE)
        case 404 | 405:
            return EngineError("remote.not_found", host=host, reason=reason)
        case 429:
            return EngineError("remote.busy", host=host, reason=reason)
        case 503 if _LOADING.search(reason):
            return EngineError("remote.loading", host=host)
        case _ if status < 500 and _TOO_LONG.search(reason):
            return EngineError("remote.too_long", host=host, reason=reason)
        case _ if status < 500:
            return EngineError("remote.refused", host=host, status=status, reason=reason)
        case _:
            return EngineError("remote.failed", host=host, status=status, reason=reason)


def unreachable(error: Exception, endpoint: Endpoint) -> EngineError:
    """Return the error for a connection that was not made or broke."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return EngineError("remote.tls", host=endpoint.host, reason=cause.reason or str(cause))
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol):
        return EngineError(
            "remote.unreachable", host=endpoint.host, reason=str(error) or type(error).__name__
        )
    return EngineError("remote.cut", host=endpoint.host)


def _message(body: bytes) -> str:
    """Find the server's own words in the body of a refusal; a web page has none."""
    text = body.decode(errors="replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text
    return error_in(value) or text
