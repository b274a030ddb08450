from __future__ import annotations

import re
from pathlib import Path

import pytest

from qwen3_chat.cli.named_servers import server_rows
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.models.picker import ServerRow
from qwen3_chat.servers import ServerKind
from qwen3_chat.session import ServedModel
from tests.remote.imitations import Imitation
from tests.remote.wire_server import Request, json_reply, running

NOTHING = ModelChoice()


async def rows_of(folder: Path, text: str, started: ModelChoice = NOTHING) -> list[tuple[ServerRow, ...]]:
    """Return the rows of the settings at the beginning and after each answer."""
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return [tuple(rows) async for rows in server_rows(file, started)]


async def test_servers_are_listed_at_once_and_their_states_follow(tmp_path: Path) -> None:
    async with running(lambda _: json_reply({})) as gone:
        pass
    async with running(Imitation(ServerKind.SGLANG)) as wire:
        first, *_, last = await rows_of(
            tmp_path,
            f'[servers.box]\nurl = "{wire.url}"\n[servers.gone]\nurl = "{gone.url}"\n'
            '[servers.keyless]\nurl = "localhost:9"\nkey = "env:NONE_HERE"\n[servers.wrong]\nulr = "x"\n',
        )
    assert [(row.title, row.detail) for row in first] == [
        ("box", "asking…"),
        ("gone", "asking…"),
        ("keyless", "asking…"),
        ("wrong", "can't be used"),
    ]
    box, down, keyless, wrong = last
    assert (box.is_reachable, box.choice, box.endpoint_root) == (
        True,
        ServedModel("box", "Qwen/Qwen3-8B"),
        wire.url,
    )
    assert re.fullmatch(r"up · \d+ ms · Qwen3-8B · SGLang", box.detail)
    assert box.about[0] == "box serves Qwen/Qwen3-8B."
    assert "It has no limit for the thinking, which ends when the model ends it." in box.about
    assert (down.is_reachable, down.detail) == (False, "down")
    assert "Nothing answers at" in down.about[0]
    assert "The variable NONE_HERE, which should hold" in keyless.about[0]
    assert "line 9: “servers.wrong.ulr” is unknown" in wrong.about[0]


STATES = [
    (503, {"error": {"message": "Loading model"}}, "loading its model"),
    (503, {}, "busy"),
    (429, {}, "busy"),
    (401, {}, "key refused"),
    (404, {}, "can't be used"),
    (502, {}, "down"),
]


@pytest.mark.parametrize(("status", "body", "state"), STATES)
async def test_a_server_that_answers_is_not_called_down(
    tmp_path: Path, status: int, body: object, state: str
) -> None:
    async with running(lambda _: json_reply(body, status)) as wire:
        *_, (row,) = await rows_of(tmp_path, f'[servers.box]\nurl = "{wire.url}"\n')
    assert (row.detail, row.is_reachable) == (state, False)


async def test_each_model_of_a_server_can_be_chosen_unless_the_user_has_chosen_one(tmp_path: Path) -> None:
    def two(request: Request) -> object:
        return {"data": [{"id": "Qwen3-8B"}, {"id": "Qwen3-32B"}]}

    async with running(lambda request: json_reply(two(request))) as wire:
        *_, free = await rows_of(tmp_path, f'[servers.box]\nurl = "{wire.url}"\n')
        *_, fixed = await rows_of(tmp_path, f'[servers.box]\nurl = "{wire.url}"\nmodel = "Qwen3-32B"\n')
    assert [row.choice for row in free] == [ServedModel("box", "Qwen3-8B"), ServedModel("box", "Qwen3-32B")]
    assert [row.choice for row in fixed] == [ServedModel("box")]
    assert "Qwen3-32B" in fixed[0].detail


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9", "box"])
async def test_the_server_that_the_app_was_started_with_is_listed_too(tmp_path: Path, endpoint: str) -> None:
    *_, rows = await rows_of(tmp_path, '[servers.box]\nurl = "127.0.0.1:9"\n', ModelChoice(endpoint=endpoint))
    assert [row.title for row in rows] == list(dict.fromkeys(["box", endpoint]))
