from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import pytest
import trustme

from conformance.replies import hear
from event_stream import events_of
from qwen3_chat.engine.remote import ApiKey, FallbackEngine, RemoteEngine, RemoteSettings, ServerAccess
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.servers import Endpoint, ServerKind
from tests.remote.imitations import ANSWERED, Imitation
from tests.remote.remote_engines import QUICK_RETRIES, chat_request, remote_engine_at
from tests.remote.wire_server import Reply, Request, json_reply, running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


async def failure_of(url: str, access: ServerAccess) -> EngineFailed | None:
    async with remote_engine_at(url, access=access) as engine:
        return (await hear(engine, chat_request("hi"))).failure


async def test_a_certificate_of_the_teams_own_authority_is_trusted_where_the_profile_names_it(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with running(Imitation(ServerKind.VLLM), server_tls) as wire:
        stranger = await failure_of(wire.url, ServerAccess())
        assert stranger is not None
        assert stranger.code == ErrorCode.SERVER_CERTIFICATE_UNTRUSTED
        async with remote_engine_at(wire.url, access=ServerAccess(ca_file=ca_file)) as engine:
            assert [event async for event in events_of(engine.load)] == []
            assert (await hear(engine, chat_request("How many?"))).answer == ANSWERED


async def test_a_server_that_hangs_up_on_plain_text_is_said_to_want_https(
    server_tls: ssl.SSLContext,
) -> None:
    """Python's and uvicorn's servers close the connection without a word."""
    async with (
        running(Imitation(ServerKind.VLLM), server_tls) as wire,
        remote_engine_at(wire.url.replace("https:", "http:")) as engine,
    ):
        (failed,) = [event async for event in events_of(engine.load)]
    assert isinstance(failed, EngineFailed)
    assert failed.code == ErrorCode.SERVER_NEEDS_HTTPS


async def test_an_unchecked_certificate_is_warned_of_once(server_tls: ssl.SSLContext) -> None:
    async with (
        running(Imitation(ServerKind.VLLM), server_tls) as wire,
        remote_engine_at(wire.url, access=ServerAccess(verifies_certificate=False)) as engine,
    ):
        told = [event async for event in events_of(engine.load)]
        assert [event.key for event in told if isinstance(event, Notice)] == ["remote.unverified"]
        assert [event async for event in events_of(engine.load)] == []


async def test_a_client_shows_its_certificate_to_a_server_that_wants_one(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    wants = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(wants)
    authority.configure_trust(wants)
    wants.verify_mode = ssl.CERT_REQUIRED
    mine = tmp_path / "me.pem"
    authority.issue_cert("me@team").private_key_and_cert_chain_pem.write_to_path(str(mine))
    async with running(Imitation(ServerKind.VLLM), wants) as wire:
        assert await failure_of(wire.url, ServerAccess(ca_file=ca_file)) is not None
        assert await failure_of(wire.url, ServerAccess(ca_file=ca_file, client_certificate=mine)) is None


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_certificate_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    for access in (ServerAccess(ca_file=file), ServerAccess(client_certificate=file)):
        failure = await failure_of("https://127.0.0.1:9", access)
        assert failure is not None
        assert (failure.code, failure.values["file"]) == (ErrorCode.CERTIFICATE_FILE_INVALID, str(file))


async def test_headers_go_along_with_every_request() -> None:
    headers: dict[str, str | ApiKey] = {"X-Team": "blue", "X-Pass": ApiKey("open sesame", allows_spaces=True)}
    async with (
        running(Imitation(ServerKind.VLLM)) as wire,
        remote_engine_at(wire.url, access=ServerAccess(headers=headers)) as engine,
    ):
        await hear(engine, chat_request("How many?"))
    assert {(request.headers["x-team"], request.headers["x-pass"]) for request in wire.requests} == {
        ("blue", "open sesame")
    }


async def test_requests_go_through_the_proxy_that_the_profile_names() -> None:
    imitation = Imitation(ServerKind.OPENAI)

    def proxied(request: Request) -> Reply:
        asked = request.path.removeprefix("http://model.example")
        return imitation(Request(request.method, asked, request.headers, request.body))

    async with (
        running(proxied) as proxy,
        remote_engine_at("http://model.example", access=ServerAccess(proxy=proxy.url)) as engine,
    ):
        heard = await hear(engine, chat_request("How many?"))
    assert heard.answer == ANSWERED
    assert {request.path.partition("/v1")[0] for request in proxy.requests} == {"http://model.example"}


async def test_a_proxy_that_is_no_address_is_told() -> None:
    failure = await failure_of("http://model.example", ServerAccess(proxy="gopher://sk-secret@proxy"))
    assert failure is not None
    assert failure.code == ErrorCode.PROXY_INVALID
    assert "sk-secret" not in repr(failure)


async def test_a_server_that_wants_a_key_names_the_place_where_the_profile_has_it() -> None:
    async with running(lambda _: json_reply({}, 401)) as wire:
        failure = await failure_of(wire.url, ServerAccess(key_location="keyring:box"))
    assert failure is not None
    assert failure.values["variable"] == "keyring:box"


def named(url: str, name: str) -> RemoteEngine:
    return RemoteEngine(RemoteSettings(Endpoint.parse(url), timeouts=QUICK_RETRIES, name=name))


async def loaded(engine: FallbackEngine) -> list[EngineEvent]:
    return [event async for event in events_of(engine.load)]


async def test_a_server_that_is_down_is_replaced_by_its_fallback_and_that_is_said() -> None:
    async with running(lambda _: json_reply({})) as gone:
        pass
    async with running(Imitation(ServerKind.VLLM)) as wire:
        engine = FallbackEngine(named(gone.url, "box"), [("laptop", partial(named, wire.url, "laptop"))])
        (told,) = await loaded(engine)
        assert isinstance(told, Notice)
        assert (told.key, told.values["name"]) == ("remote.fell_back", "laptop")
        assert "Nothing answers" in str(told.values["reason"])
        assert engine.model is not None
        assert engine.model.engine == "vLLM · laptop"
        assert await loaded(engine) == []
        await engine.close()


async def test_a_server_that_goes_down_between_two_turns_is_replaced() -> None:
    async with running(Imitation(ServerKind.SGLANG)) as laptop:
        async with running(Imitation(ServerKind.VLLM)) as box:
            engine = FallbackEngine(named(box.url, "box"), [("laptop", partial(named, laptop.url, "laptop"))])
            assert await loaded(engine) == []
            assert engine.model is not None
            assert engine.model.engine == "vLLM · box"
        (told,) = await loaded(engine)
        assert isinstance(told, Notice)
        assert engine.model.engine == "SGLang · laptop"
        await engine.close()


async def test_only_a_server_that_is_down_is_replaced() -> None:
    async with running(lambda _: json_reply({}, 401)) as wire:
        engine = FallbackEngine(named(wire.url, "box"), [("laptop", partial(named, wire.url, "laptop"))])
        (told,) = await loaded(engine)
        assert isinstance(told, EngineFailed)
        assert told.code == ErrorCode.SERVER_KEY_REFUSED
        await engine.close()


async def test_a_fallback_whose_key_is_missing_is_told() -> None:
    def missing() -> RemoteEngine:
        raise UsageError(ErrorCode.API_KEY_VARIABLE_MISSING, variable="TEAM_KEY")

    async with running(lambda _: json_reply({})) as gone:
        pass
    engine = FallbackEngine(named(gone.url, "box"), [("laptop", missing)])
    _, told = await loaded(engine)
    assert isinstance(told, EngineFailed)
    assert told.code == ErrorCode.API_KEY_VARIABLE_MISSING
    await engine.close()
