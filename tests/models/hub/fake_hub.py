"""A hub on the loopback that speaks Hugging Face and ModelScope, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import select
import socket
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

COMMIT = "c" * 40
GIVE_UP_S = 60
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Fault:
    """A fault: the response to one request for bytes instead of the right one."""


@dataclass(frozen=True)
class Cut(Fault):
    """A fault: so many bytes, then the connection breaks."""

    after_bytes: int


@dataclass(frozen=True)
class Stall(Fault):
    """A fault: so many bytes, then silence until the client disconnects."""

    after_bytes: int


@dataclass(frozen=True)
class Held(Fault):
    """A fault: so many bytes, then silence until the test releases the others."""

    after_bytes: int


@dataclass(frozen=True)
class Status(Fault):
    """A fault: an HTTP error."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)


class IgnoredRange(Fault):
    """A fault: the whole file from its first byte, whatever the request."""


class RangeAs200(Fault):
    """A fault: the right bytes with Content-Range, but with status 200."""


class WrongRange(Fault):
    """A fault: bytes from another offset than requested, with the header that admits it."""


class FlippedBit(Fault):
    """A fault: all bytes, one of them wrong."""


class Redirected(Fault):
    """A fault: a redirect through another address."""


@dataclass(frozen=True)
class ExpiredLink(Fault):
    """A fault: a redirect to another address that refuses, as one whose signature has expired."""

    code: int = 403


class LoginPage(Fault):
    """A fault: a web page with status 200."""


class OtherVersion(Fault):
    """A fault: a file of another size."""


class FakeHub:
    """A server of repositories from memory; each request for bytes uses up one of `faults`."""

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        self.repositories = repositories
        self.faults: deque[Fault] = deque()
        self.pieces_fail = False
        """True if requests for a range with an end use up faults too, such as those for a header."""
        self.sent_bytes = 0
        self.requests: list[tuple[str, str | None]] = []
        self.tokens: list[tuple[str, str | None]] = []
        self.listing_status: Status | None = None
        self.listing_faults: deque[Status] = deque()
        """The responses to the next listings; after them, `listing_status` counts."""
        self.pause_s = 0.0
        """The pause after each 64 KiB of a response without an end: the client is to see some of it first."""
        self.link_uses = 0
        """How often a link to which the hub redirects works; 0 where the hub sends the bytes itself."""
        self.links: dict[int, int] = {}
        self.n_together = 0
        """The responses with a piece that wait for each other, as far as there are so many; 0 for none."""
        self.max_open = 0
        """The most responses with a piece that were open at once."""
        self._n_open = 0
        self._opened = threading.Condition()
        self.stalled = threading.Event()
        self.let_go = threading.Event()
        hub = self

        class Handler(_Handler):
            fake = hub

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def next_listing_status(self) -> Status | None:
        return self.listing_faults.popleft() if self.listing_faults else self.listing_status

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a response that is open; it waits for others if the test wants them together."""
        with self._opened:
            self._n_open += 1
            self.max_open = max(self.max_open, self._n_open)
            self._opened.notify_all()
            self._opened.wait_for(lambda: self.max_open >= self.n_together, GIVE_UP_S)
        try:
            yield
        finally:
            with self._opened:
                self._n_open -= 1

    def new_link(self) -> int:
        with self._opened:
            self.links[len(self.links)] = self.link_uses
            return len(self.links) - 1

    def may_use(self, link: int) -> bool:
        with self._opened:
            self.links[link] -= 1
            return self.links[link] >= 0

    @property
    def listings(self) -> list[str]:
        """The paths of all requests for listings."""
        return [path for path, _ in self.requests if path.startswith("/api/") and "FilePath=" not in path]

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def downloads(self) -> list[str | None]:
        """The Range headers of all requests for bytes."""
        return [asked for path, asked in self.requests if "/resolve/" in path or "FilePath=" in path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors: clients of these tests disconnect in the middle."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeHub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        path, query = urllib.parse.unquote(address.path), urllib.parse.parse_qs(address.query)
        self.fake.requests.append((self.path, self.headers.get("Range")))
        self.fake.tokens.append((self.headers["Host"], self.headers.get("Authorization")))
        if match := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo/files", path):
            self._modelscope_listing(match[1])
        elif match := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo", path):
            self._file(match[1], query["FilePath"][0])
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path):
            self._hugging_face_listing(match[1])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._file(match[1], match[2])
        elif match := re.fullmatch(r"/expired/(\d+)", path):
            self._answer(int(match[1]), {"Content-Type": "application/xml"}, b"<Error>expired</Error>")
        elif match := re.fullmatch(r"/signed/(\d+)/([^/]+/[^/]+)/(.+)", path):
            if self.fake.may_use(int(match[1])):
                self._bytes(self.fake.repositories[match[2]][match[3]], None)
            else:
                self._answer(403, {"Content-Type": "application/xml"}, b"<Error>expired</Error>")
        elif match := re.fullmatch(r"/elsewhere/([^/]+/[^/]+)/(.+)", path):
            self._bytes(self.fake.repositories[match[1]][match[2]], None)
        else:
            self._answer(404)

    def _answer(self, status: int, headers: Mapping[str, str] = NO_HEADERS, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _hugging_face_listing(self, repository: str) -> None:
        if (status := self.fake.next_listing_status()) is not None:
            self._answer(status.code, status.headers)
        elif repository not in self.fake.repositories:
            self._answer(404, {"X-Error-Code": "RepoNotFound"})
        else:
            files = [
                {
                    "rfilename": path,
                    "size": len(data),
                    "blobId": "0" * 40,
                    "lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 134},
                }
                for path, data in self.fake.repositories[repository].items()
            ]
            self._json({"id": repository, "siblings": files})

    def _modelscope_listing(self, repository: str) -> None:
        if (status := self.fake.next_listing_status()) is not None:
            self._answer(status.code, status.headers)
        elif repository not in self.fake.repositories:
            self._json({"Code": 10010205001, "Message": "not found", "Success": False})
        else:
            files = [
                {"Type": "blob", "Path": path, "Size": len(data), "Sha256": sha256(data)}
                for path, data in self.fake.repositories[repository].items()
            ]
            self._json({"Code": 200, "Success": True, "Data": {"Files": files}})

    def _file(self, repository: str, path: str) -> None:
        data = self.fake.repositories.get(repository, {}).get(path)
        if data is None:
            missing = "EntryNotFound" if repository in self.fake.repositories else "RepoNotFound"
            self._answer(404, {"X-Error-Code": missing})
            return
        is_piece = re.fullmatch(r"bytes=\d+-\d+", self.headers.get("Range", "")) is not None
        may_fail = self.fake.faults and (self.fake.pieces_fail or not is_piece)
        fault = self.fake.faults.popleft() if may_fail else None
        match fault:
            case Status(code=code, headers=headers):
                self._answer(code, headers)
            case LoginPage():
                self._answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please log in</html>")
            case Redirected():
                target = f"http://localhost:{self.fake.port}/elsewhere/{repository}/{path}"
                self._answer(302, {"Location": target})
            case ExpiredLink(code=code):
                self._answer(302, {"Location": f"http://localhost:{self.fake.port}/expired/{code}"})
            case OtherVersion():
                self._bytes(data + b"more", None)
            case FlippedBit():
                self._bytes(data[:-1] + bytes([data[-1] ^ 1]), None)
            case _ if self.fake.link_uses:
                target = (
                    f"http://localhost:{self.fake.port}/signed/{self.fake.new_link()}/{repository}/{path}"
                )
                self._answer(302, {"Location": target})
            case _:
                self._bytes(data, fault)

    def _write(self, data: bytes) -> None:
        is_piece = re.fullmatch(r"bytes=\d+-\d+", self.headers.get("Range", "")) is not None
        for place in range(0, len(data), 1 << 16):
            piece = data[place : place + (1 << 16)]
            self.wfile.write(piece)
            self.fake.sent_bytes += len(piece)
            if self.fake.pause_s and not is_piece:
                time.sleep(self.fake.pause_s)

    def _bytes(self, data: bytes, fault: Fault | None) -> None:
        is_piece = re.fullmatch(r"bytes=\d+-\d+", self.headers.get("Range", "")) is not None
        with self.fake.counted() if is_piece else nullcontext():
            self._send_bytes(data, fault)

    def _send_bytes(self, data: bytes, fault: Fault | None) -> None:
        begin, status, whole = 0, 200, len(data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not isinstance(fault, IgnoredRange):
            begin, status = int(asked[1]), 200 if isinstance(fault, RangeAs200) else 206
            if begin >= len(data):
                self._answer(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            data = data[: int(asked[2]) + 1 if asked[2] else None]
        if isinstance(fault, WrongRange):
            begin, status = len(data) // 2 + 1, 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) - begin))
        self.send_header("Content-Type", "application/octet-stream")
        if (asked and not isinstance(fault, IgnoredRange)) or isinstance(fault, WrongRange):
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{whole}")
        self.end_headers()
        end = len(data)
        if isinstance(fault, Cut | Stall):
            end = min(end, begin + fault.after_bytes)
        try:
            if isinstance(fault, Held):
                self._write(data[begin : begin + fault.after_bytes])
                self.fake.let_go.wait(GIVE_UP_S)
                begin += fault.after_bytes
            self._write(data[begin:end])
        except OSError:
            return
        if isinstance(fault, Stall):
            self.fake.stalled.set()
            select.select([self.connection], [], [], GIVE_UP_S)
        if end < len(data):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
