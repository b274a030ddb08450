"""The errors for failed connections and refused requests, each with its sentence."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import httpx2

from qwen3_chat.engine.remote.response_chunks import find_error_message
from qwen3_chat.engine.remote.server_access import ServerAccess
from qwen3_chat.engine.remote.untrusted_json import JsonError, parse_json
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import Notice
from qwen3_chat.servers import Endpoint
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_MESSAGE_CHARACTERS = 300
_TOO_LONG = re.compile(r"context|maximum.{0,20}(?:length|tokens)|too (?:long|many tokens)", re.IGNORECASE)
_WITHOUT_KEY_STORE = b'"no_db_connection"'
"""The reason of LiteLLM for a key that is not its own, where it has no database to look others up in."""
_LOADING = re.compile(r"loading model|model is loading|starting", re.IGNORECASE)
_HTTP_AT_HTTPS_PORT = re.compile(
    rb"HTTP request (?:was sent )?to (?:an )?HTTPS (?:port|server)", re.IGNORECASE
)
"""The words of nginx and of Go's servers for a request without TLS."""
_TLS_RECORD = re.compile(r"\\x1[56]\\x03")
"""The beginning of an alert or a handshake of TLS, as the client library prints it."""
_NO_SUCH_PATH = re.compile(
    r"(?:404[ :]*)?(?:page |file |path )?not found\.?|method not allowed\.?", re.IGNORECASE
)
"""The words of servers for a path that they don't know; other words are about the request, or its model."""
_RETRY_NOTICES = {
    ErrorCode.SERVER_NOT_LISTENING: "remote.waiting_down",
    ErrorCode.SERVER_UNREACHABLE: "remote.waiting_unreachable",
    ErrorCode.SERVER_TIMEOUT: "remote.waiting_unreachable",
    ErrorCode.SERVER_DISCONNECTED: "remote.waiting_broken",
    ErrorCode.SERVER_LOADING: "remote.waiting_loading",
    ErrorCode.SERVER_BEHIND_PROXY_DOWN: "remote.waiting_behind_proxy",
}


def displayable_message(text: str, access: ServerAccess) -> str:
    """Return a server's message for display: one line of limited length, without secrets."""
    line = terminal_safe(" ".join(access.redact(text).split()))
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def error_from_response(
    status: int, body: bytes, location: str, endpoint: Endpoint, access: ServerAccess
) -> EngineError:
    """Return the error for a response whose status is not 200."""
    host = endpoint.host
    message = displayable_message(_message_in_body(body), access)
    reason = message or _phrase(status)
    match status:
        case 400 if not endpoint.is_encrypted and _HTTP_AT_HTTPS_PORT.search(body):
            return EngineError(ErrorCode.SERVER_NEEDS_HTTPS, host=host)
        case 300 | 301 | 302 | 303 | 307 | 308:
            return EngineError(
                ErrorCode.SERVER_MOVED, host=host, url=displayable_message(location.partition("?")[0], access)
            )
        case 400 if _WITHOUT_KEY_STORE in body:
            return EngineError(ErrorCode.SERVER_KEY_REFUSED, host=host, variable=access.key_location)
        case 401 | 403:
            return EngineError(ErrorCode.SERVER_KEY_REFUSED, host=host, variable=access.key_location)
        case 404 | 405 if not message or _NO_SUCH_PATH.fullmatch(message):
            return EngineError(ErrorCode.SERVER_PATH_NOT_FOUND, host=host, reason=reason)
        case 503 if _LOADING.search(reason):
            return EngineError(ErrorCode.SERVER_LOADING, host=host)
        case 429 | 503:
            return EngineError(ErrorCode.SERVER_BUSY, host=host, reason=reason)
        case 502 | 504:
            return EngineError(ErrorCode.SERVER_BEHIND_PROXY_DOWN, host=host, status=status, reason=reason)
        case _ if status < 500 and _TOO_LONG.search(reason):
            return EngineError(ErrorCode.SERVER_CONTEXT_EXCEEDED, host=host, reason=reason)
        case _ if status < 500:
            return EngineError(ErrorCode.SERVER_REFUSED, host=host, status=status, reason=reason)
        case _:
            return EngineError(ErrorCode.SERVER_FAILED, host=host, status=status, reason=reason)


def retry_notice(error: EngineError, delay_s: float) -> Notice:
    """Return the notice that a request is made again after an error."""
    key = _RETRY_NOTICES.get(error.code, "remote.waiting")
    return Notice(key, {"host": str(error.values["host"]), "seconds": round(delay_s)})


def connection_error(
    error: Exception, endpoint: Endpoint, access: ServerAccess, connect_s: float
) -> EngineError:
    """Return the error for a connection that failed, took longer than `connect_s`, or broke."""
    host = endpoint.host
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                reason = getattr(cause, "verify_message", "") or str(cause)
                return EngineError(ErrorCode.SERVER_CERTIFICATE_UNTRUSTED, host=host, reason=reason)
            case ssl.SSLError():
                return EngineError(ErrorCode.SERVER_WITHOUT_HTTPS, host=host)
            case socket.gaierror():
                return EngineError(ErrorCode.SERVER_HOST_UNKNOWN, host=host)
            case ConnectionRefusedError():
                return EngineError(ErrorCode.SERVER_NOT_LISTENING, host=host)
    match error:
        case httpx2.RemoteProtocolError() if not endpoint.is_encrypted and _TLS_RECORD.search(str(error)):
            return EngineError(ErrorCode.SERVER_NEEDS_HTTPS, host=host)
        case httpx2.ConnectTimeout():
            return EngineError(ErrorCode.SERVER_TIMEOUT, host=host, seconds=round(connect_s))
        case httpx2.ConnectError() | httpx2.ProxyError() | httpx2.UnsupportedProtocol():
            return EngineError(
                ErrorCode.SERVER_UNREACHABLE,
                host=host,
                reason=displayable_message(str(error), access) or type(error).__name__,
            )
        case _:
            return EngineError(ErrorCode.SERVER_DISCONNECTED, host=host)


def _phrase(status: int) -> str:
    """Return the words of the standard for a status; a status that it does not know has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "?"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, through exception groups: one host may have several addresses."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error = error.__cause__ or error.__context__


def _message_in_body(body: bytes) -> str:
    """Return the server's message in the body of a refusal; a web page has none."""
    text = body.decode(errors="replace").strip()
    try:
        value = parse_json(text)
    except JsonError:
        return "" if text.startswith("<") else text
    return find_error_message(value) or (text if value else "")
