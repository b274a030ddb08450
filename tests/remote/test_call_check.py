"""The check of `doctor` whether a server reads the calls of tools."""

from __future__ import annotations

import json
from asyncio import to_thread
from pathlib import Path

import pytest

from qwen3_chat.cli.doctor_command import probe_servers
from tests.remote.wire_server import DONE, Reply, Request, chunk, event, json_reply, running

CALL = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}}\n</tool_call>'
FIELD = {"index": 0, "id": "a", "function": {"name": "calculator", "arguments": '{"expression": "6 * 7"}'}}
END = [event(chunk(finish="stop")), DONE]
REFUSED = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


def refusal() -> Reply:
    return json_reply({"error": {"message": REFUSED, "code": 400}}, status=400)


@pytest.mark.parametrize(
    ("owner", "reply", "option"),
    [
        ("vllm", Reply([event(chunk(content=CALL)), *END]), "--tool-call-parser hermes"),
        ("vllm", refusal(), "--tool-call-parser hermes"),
        ("sglang", Reply([event(chunk(content=CALL)), *END]), "--tool-call-parser qwen25"),
        ("vllm", Reply([event(chunk(tool_calls=[FIELD])), *END]), ""),
        ("vllm", Reply([event(chunk(content="It is 42.")), *END]), ""),
        ("somebody", Reply([event(chunk(content=CALL)), *END]), ""),
    ],
)
async def test_doctor_names_the_option_that_a_server_lacks_to_read_calls(
    owner: str, reply: Reply, option: str, tmp_path: Path
) -> None:
    models = json_reply({"data": [{"id": "Qwen3-8B", "owned_by": owner, "max_model_len": 4096}]})
    asked, listings = list[dict[str, object]](), 0

    def answer(request: Request) -> Reply:
        nonlocal listings
        if request.method == "GET":
            listings += request.path.endswith("/v1/models")
            return models
        asked.append(json.loads(request.body))
        return reply

    async with running(answer) as wire:
        settings = tmp_path / "config.toml"
        settings.write_text(f'[servers.box]\nurl = "{wire.url}"\n', "utf-8")
        (server,) = await to_thread(probe_servers, settings)
    named = [lack for lack in server.lacks if "--tool-call-parser" in lack]
    assert [option in lack for lack in named] == ([True] if option else [])
    assert listings == (2 if owner == "somebody" else 3)  # two by the probe, one by the engine that calls
    if owner != "somebody":
        assert any("tools" in body for body in asked)
