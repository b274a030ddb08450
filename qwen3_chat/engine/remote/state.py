"""Whether a server is up, what it serves, how soon it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from qwen3_chat.engine.remote.access import Access
from qwen3_chat.engine.remote.kinds import TRAITS, Lack
from qwen3_chat.engine.remote.probing import served_names
from qwen3_chat.engine.remote.transport import Patience, Transport
from qwen3_chat.errors import EngineError
from qwen3_chat.servers import Endpoint, ServerKind

BRIEF = Patience(connect_s=3, question_s=5)


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Which server, and what is not left to it: None lets it tell; `name` is what the user calls it."""

    endpoint: Endpoint
    model: str | None = None
    kind: ServerKind | None = None
    access: Access = field(default_factory=Access)
    n_ctx: int | None = None
    patience: Patience = field(default_factory=Patience)
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server said when it was asked for its models; `failure` is a sentence, empty where it is up."""

    label: str = ""
    models: tuple[str, ...] = ()
    latency_s: float = 0.0
    failure: str = ""
    lacks: tuple[Lack, ...] = ()


async def look_at(settings: RemoteSettings, clock: Callable[[], float] = monotonic) -> ServerState:
    """Ask a server for its models, twice: the second time tells how soon it answers once it is reached."""
    transport = Transport(settings.endpoint, settings.access, BRIEF)
    try:
        await served_names(transport, settings.kind)
        began_s = clock()
        kind, names = await served_names(transport, settings.kind)
    except EngineError as error:
        return ServerState(failure=str(error))
    finally:
        await transport.close()
    return ServerState(TRAITS[kind].label, tuple(names), clock() - began_s, lacks=TRAITS[kind].lacks)
