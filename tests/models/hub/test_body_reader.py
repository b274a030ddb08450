"""Downloads past the HTTP client: over TLS, without a length, from sources that fall silent."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import trustme

from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.download_errors import SourceRefusedError
from qwen3_chat.models.hub.downloader import Downloader
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.part_file import part_path
from qwen3_chat.models.hub.sources import HuggingFace, network_error, new_http_client
from tests.models.hub.conftest import FAST_RETRIES, PAYLOAD, RecordingObserver, content, size_of, until

MIB = 1 << 20
Respond = Callable[[socket.socket, str], None]


@contextmanager
def source(respond: Respond, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a source that answers each connection once."""

    def serve(connection: socket.socket) -> None:
        try:
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(1 << 16)
                respond(connection, request.decode())
        except OSError:  # the client has gone
            pass

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


async def fetch(endpoint: str, file: HubFile, target: Path, notes: RecordingObserver) -> None:
    async with new_http_client(FAST_RETRIES) as client:
        await Downloader(client, (HuggingFace(endpoint),), notes, FAST_RETRIES).fetch(file, target)


def send_from(connection: socket.socket, request: str, until_bytes: int = len(PAYLOAD)) -> None:
    """Send the file from the byte that is asked for."""
    begin = int(request.partition("bytes=")[2].partition("-")[0] or 0)
    kind = f"206 Partial Content\r\nContent-Range: bytes {begin}-{len(PAYLOAD) - 1}/{len(PAYLOAD)}"
    head = f"HTTP/1.1 {kind if begin else '200 OK'}\r\nContent-Length: {len(PAYLOAD) - begin}\r\n\r\n"
    connection.sendall(head.encode() + PAYLOAD[begin:until_bytes])


async def test_a_download_over_tls_goes_on_where_it_was_cut(
    file: HubFile, target: Path, notes: RecordingObserver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    asked: list[str] = []

    def respond(connection: socket.socket, request: str) -> None:
        asked.append(request)
        send_from(connection, request, 2 * MIB + 5 if len(asked) == 1 else len(PAYLOAD))

    with source(respond, tls) as endpoint:
        await fetch(endpoint, file, target, notes)
    assert content(target) == PAYLOAD
    assert len(asked) == 2
    assert f"bytes={2 * MIB + 5}-" in asked[1]


async def test_a_stranger_s_certificate_is_refused(
    file: HubFile, target: Path, notes: RecordingObserver
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with (
        source(send_from, tls) as endpoint,
        pytest.raises(HubError, match=r"can.t be reached|could not be reached"),
    ):
        await fetch(endpoint, file, target, notes)
    assert content(target) is None


@pytest.mark.parametrize("n_behind", [0, 7], ids=["to the end", "with too much behind it"])
async def test_a_body_without_a_length_arrives(
    file: HubFile, target: Path, notes: RecordingObserver, n_behind: int
) -> None:
    def respond(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = PAYLOAD + b"x" * n_behind
        for begin in range(0, len(data), 300_000):
            piece = data[begin : begin + 300_000]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")

    with source(respond) as endpoint:
        await fetch(endpoint, file, target, notes)
    assert content(target) == PAYLOAD


async def test_few_bytes_are_on_the_disk_though_the_source_falls_silent(
    file: HubFile, target: Path, notes: RecordingObserver
) -> None:
    let_go = threading.Event()

    def respond(connection: socket.socket, request: str) -> None:
        send_from(connection, request, 70_000)
        let_go.wait()

    with source(respond) as endpoint:
        running = asyncio.create_task(fetch(endpoint, file, target, notes))
        await until(lambda: size_of(part_path(target, file)) == 70_000 and 70_000 in notes.arrivals)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        let_go.set()
    assert content(part_path(target, file)) == PAYLOAD[:70_000]


async def test_a_download_is_cancelled_while_its_source_has_not_answered(
    file: HubFile, target: Path, notes: RecordingObserver
) -> None:
    is_asked, let_go = threading.Event(), threading.Event()

    def respond(*_: object) -> None:
        is_asked.set()
        let_go.wait()

    with source(respond) as endpoint:
        running = asyncio.create_task(fetch(endpoint, file, target, notes))
        await asyncio.to_thread(is_asked.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not let_go.is_set()
        let_go.set()


def test_a_redirect_in_circles_is_no_failure_that_passes() -> None:
    assert isinstance(network_error("a", httpx2.TooManyRedirects("")), SourceRefusedError)
