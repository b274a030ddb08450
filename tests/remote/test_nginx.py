"""A real nginx before a real server: base path, buffering, gzip, TLS, basic authentication, no server."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from event_stream import events_of
from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine.remote import ApiKey, ServerAccess, http_transport
from qwen3_chat.engine.remote.body_unpacking import REQUEST_ENCODING
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.events import ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.servers import ServerKind
from tests.remote.conftest import free_port, newest_llama_server, server
from tests.remote.remote_engines import Heard, chat_request, hear, remote_engine_at

pytestmark = pytest.mark.full

USER, PASSWORD = "qwen", "open-sesame"
QUESTION = replace(
    chat_request("How many r's in strawberries?"),
    sampling=SamplingParams(temperature=0.01, top_p=0.9, top_k=5),
)
CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr notice;
events {{ worker_connections 64; }}
http {{
  log_format packing "$uri $status $sent_http_content_encoding";
  access_log {folder}/access packing; client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  gzip on; gzip_types application/json text/event-stream; gzip_min_length 1; gzip_proxied any;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    location /team/llm/ {{
      auth_basic "team"; auth_basic_user_file {folder}/users;
      proxy_pass {upstream}/; proxy_http_version 1.1; proxy_buffering {buffering}; proxy_read_timeout 3600s;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: str, authority: trustme.CA, buffering: str) -> Iterator[str]:
    """Run nginx before a server, as somebody shares one with a team; yield the base path's address."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("needs nginx")
    folder.mkdir()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "chain.pem"))
    shutil.copy(folder / "chain.pem", folder / "key.pem")
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / "users").write_text(f"{USER}:{hashed}\n")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=upstream, buffering=buffering))
    with server([program, "-p", str(folder), "-c", str(config)], port, "getrlimit"):
        yield f"https://127.0.0.1:{port}/team/llm"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def served(demo_gguf: Path) -> Iterator[str]:
    with newest_llama_server(demo_gguf) as url:
        yield url


def access(authority: trustme.CA, folder: Path, password: str = PASSWORD) -> ServerAccess:
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return ServerAccess(
        ca_file=ca_file, headers={"Authorization": ApiKey(f"Basic {token}", allows_spaces=True)}
    )


@pytest.mark.parametrize("encoding", [REQUEST_ENCODING, "gzip"])
@pytest.mark.parametrize("buffering", ["off", "on"])
async def test_a_reply_through_nginx_is_that_of_the_server(
    served: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    buffering: str,
    encoding: str,
) -> None:
    """Asked for it, nginx packs; a proxy that packs unasked is read as well."""
    monkeypatch.setattr(http_transport, "REQUEST_ENCODING", encoding)
    async with remote_engine_at(served) as direct:
        expected = await hear(direct, QUESTION)
    with nginx(tmp_path / "nginx", served, authority, buffering) as url:
        async with remote_engine_at(url, access=access(authority, tmp_path)) as engine:
            reply = await hear(engine, QUESTION)
            measure = await engine.count_tokens(QUESTION)
            assert engine.model is not None
            assert engine.model.engine.startswith(ServerKind.LLAMA_SERVER)
    assert reply.failure is None
    assert (reply.reasoning, reply.answer) == (expected.reasoning, expected.answer)
    packing = "gzip" if encoding == "gzip" else "-"
    for path in ("models", "chat/completions"):
        assert (
            f"/team/llm/v1/{path} 200 {packing}" in (tmp_path / "nginx" / "access").read_text().splitlines()
        )
    assert measure.exact
    assert reply.end is not None
    assert expected.end is not None
    assert reply.end.usage.answer_tokens == expected.end.usage.answer_tokens


async def test_a_stop_goes_through_nginx(served: str, authority: trustme.CA, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", served, authority, "off") as url:
        async with remote_engine_at(url, access=access(authority, tmp_path)) as engine:
            stopped = Heard()
            events = events_of(engine.generate, QUESTION)
            async for event in events:
                stopped.take(event)
                if isinstance(event, ReasoningDelta):
                    events.cancel()
            assert stopped.end is not None
            assert stopped.end.stop_reason is StopReason.CANCELLED
            again = await hear(engine, replace(QUESTION, mode=ThinkingMode.NO_THINK))
            assert again.failure is None
            assert again.answer


async def test_what_nginx_refuses_is_told(served: str, authority: trustme.CA, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", served, authority, "off") as url:
        cases = (
            (url, access(authority, tmp_path, "wrong"), ErrorCode.SERVER_KEY_REFUSED),
            (url, ServerAccess(), ErrorCode.SERVER_CERTIFICATE_UNTRUSTED),
        )
        for address, how, code in cases:
            async with remote_engine_at(address, access=how) as engine:
                failure = (await hear(engine, QUESTION)).failure
            assert failure is not None
            assert failure.code == code


async def test_a_server_that_is_gone_behind_nginx_is_told(authority: trustme.CA, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with nginx(tmp_path / "nginx", nobody, authority, "off") as url:
        async with remote_engine_at(
            url, access=access(authority, tmp_path), kind=ServerKind.LLAMA_SERVER
        ) as engine:
            failure = (await hear(engine, QUESTION)).failure
    assert failure is not None
    assert failure.code == ErrorCode.SERVER_BEHIND_PROXY_DOWN
