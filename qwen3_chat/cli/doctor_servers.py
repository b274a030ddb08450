"""What `qwen3-chat doctor` says of the servers that the user has named."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from qwen3_chat.cli.server_rows import server_states
from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import t


class ServerFacts(msgspec.Struct, frozen=True):
    """A server's state; `failure` is empty where it is up, `lacks` are sentences."""

    name: str
    server: str = ""
    models: tuple[str, ...] = ()
    answer_ms: int | None = None
    failure: str = ""
    lacks: tuple[str, ...] = ()


def ask_servers(settings_file: Path) -> list[ServerFacts]:
    """Ask all of them at once."""
    found = []
    for name, state in asyncio.run(server_states(settings_file)).items():
        if isinstance(state, ConfigError):
            found.append(ServerFacts(name, failure=str(state)))
        elif state.failure:
            found.append(ServerFacts(name, failure=state.failure))
        else:
            lacks = tuple(lack.sentence for lack in state.lacks)
            answer_ms = round(state.latency_s * 1000)
            found.append(ServerFacts(name, state.label, state.models, answer_ms, lacks=lacks))
    return found


def server_lines(servers: list[ServerFacts]) -> list[str]:
    """Write a line for each, then what it lacks."""
    lines = []
    for server in servers:
        if server.failure:
            lines.append(t("doctor.server_down", name=server.name, reason=server.failure))
            continue
        models = ", ".join(server.models)
        lines.append(
            t(
                "doctor.server_up",
                name=server.name,
                server=server.server,
                milliseconds=server.answer_ms,
                models=models,
            )
        )
        lines += [f"  · {lack}" for lack in server.lacks]
    return lines
