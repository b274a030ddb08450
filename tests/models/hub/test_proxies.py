"""The user's proxies, in the spellings that desktops, shells and proxy programs use."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import httpx2
import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.sources import ModelScope, new_http_client
from qwen3_chat.proxies import ProxyAddressError, normalise_proxy, proxy_mounts
from tests.models.hub.conftest import FAST_RETRIES, NAME, REPOSITORY
from tests.models.hub.fake_hub import FakeHub
from tests.models.hub.pull_program import PullProgram

HUB = "http://hub.invalid"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_other_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("address", "normalised"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128/"),
        ("proxy:3128", "http://proxy:3128"),
        ("127.0.0.1:7890", "http://127.0.0.1:7890"),
        (" 'http://proxy:3128' ", "http://proxy:3128"),
        ("HTTP://user:pa%40ss@proxy", "http://user:pa%40ss@proxy"),
        ("https://proxy:443", "https://proxy:443"),
        ("socks://127.0.0.1:7891/", "socks5://127.0.0.1:7891/"),
        ("SOCKS5://127.0.0.1:7891", "socks5://127.0.0.1:7891"),
        ("socks5h://[::1]:1080", "socks5h://[::1]:1080"),
    ],
)
def test_a_proxy_may_be_written_in_many_ways(address: str, normalised: str) -> None:
    assert normalise_proxy(address) == normalised
    httpx2.HTTPTransport(proxy=normalise_proxy(address)).close()


BAD = [
    "socks4://127.0.0.1:1080",
    "socks4a://127.0.0.1:1080",
    "ftp://proxy:21",
    "http://proxy:99999",
    "http://proxy:port",
    "http://:3128",
    "http://",
    "http://[::1",
    "http://a b:3128",
    "not a proxy",
    "://",
    "\x00",
]


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_proxy_is_one_error(address: str) -> None:
    with pytest.raises(ProxyAddressError):
        normalise_proxy(address)


@pytest.mark.parametrize("address", [*(bad for bad in BAD if "\x00" not in bad), "http://\u2603:80"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
async def test_a_bad_proxy_is_a_sentence_wherever_a_client_is_made(
    monkeypatch: pytest.MonkeyPatch, address: str, variable: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(HubError) as raised:
        new_http_client(FAST_RETRIES)
    assert raised.value.code is ErrorCode.DOWNLOAD_PROXY_INVALID
    assert variable.upper() in str(raised.value)
    with pytest.raises(HubError) as raised:
        await ModelScope(HUB).list_files(REPOSITORY, None, FAST_RETRIES)
    assert raised.value.code is ErrorCode.DOWNLOAD_PROXY_INVALID


@pytest.mark.parametrize("command", [["pull", f"{REPOSITORY}:Q8_0"], ["models", REPOSITORY]])
def test_a_bad_proxy_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://secret@127.0.0.1:1080")
    outcome = PullProgram(tmp_path).run(*command)
    assert (outcome.status, len(outcome.stderr.splitlines())) == (1, 1)
    assert "The proxy in ALL_PROXY can't be used" in outcome.stderr
    assert "secret" not in outcome.stderr


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_direct"),
    [
        ("", "hub.invalid", False),
        ("*", "hub.invalid", True),
        ("localhost, *", "hub.invalid", True),
        ("hub.invalid", "hub.invalid", True),
        ("HUB.invalid", "hub.invalid", True),
        (".invalid", "hub.invalid", True),
        ("*.invalid", "hub.invalid", True),
        ("invalid", "hub.invalid", True),
        ("valid", "hub.invalid", False),
        ("localhost other.example\thub.invalid", "hub.invalid", True),
        ("localhost;hub.invalid", "hub.invalid", True),
        ("http://hub.invalid/", "hub.invalid", True),
        ("hub.invalid:8080", "hub.invalid:8080", True),
        ("hub.invalid:8080", "hub.invalid:9090", False),
        ("192.168.0.0/16", "192.168.3.4", True),
        ("192.168.0.0/16", "192.169.3.4", False),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("fd00::/8", "[fd12::1]", True),
        ("10.0.0.0/99,[,]:::,%%,hub.invalid:99999,\u00e9", "hub.invalid", False),
    ],
)
def test_exceptions_are_read_as_curl_reads_them(no_proxy: str, host: str, is_direct: bool) -> None:
    proxies = {"http": "http://127.0.0.1:9", "no": no_proxy}
    direct = httpx2.MockTransport(lambda request: httpx2.Response(200, text="direct"))
    through = httpx2.MockTransport(lambda request: httpx2.Response(200, text="proxy"))
    with httpx2.Client(
        transport=direct, mounts=proxy_mounts(lambda _: through, proxies), trust_env=False
    ) as client:
        assert client.get(f"http://{host}/").text == ("direct" if is_direct else "proxy")


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
async def test_socks_is_socks5(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                for reply in (b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6), NOT_FOUND):
                    received.append(connection.recv(4096))
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv(variable, f"socks://127.0.0.1:{server.getsockname()[1]}/")
        with pytest.raises(HubError, match="there is no repository"):
            await ModelScope(HUB).list_files(REPOSITORY, None, FAST_RETRIES)
        thread.join()
    assert [message[0] for message in received] == [5, 5, ord("G")]


async def test_downloads_and_listings_go_through_a_proxy(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{fake.port}")
    async with new_http_client(FAST_RETRIES) as client:
        assert (await client.get(f"{HUB}/some/page")).status_code == 404
    assert fake.requests == [(f"{HUB}/some/page", None)]


def test_huggingface_hub_goes_through_the_same_proxies(
    fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    outcome = PullProgram(tmp_path, fake, fake).run("pull", f"{REPOSITORY}:{NAME}")
    assert (outcome.status, "Traceback" in outcome.stderr) == (0, False)
