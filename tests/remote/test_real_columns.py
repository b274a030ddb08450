from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from conformance.bench import Bench
from conformance.features import read_documented_cells
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.remote import TimeoutPolicy
from qwen3_chat.request import LoadSettings
from qwen3_chat.servers import ServerKind
from tests.engine.model_files import LONG_N_CTX
from tests.remote.conftest import N_CTX, llama_cpp_server, llama_server, newest_llama_server
from tests.remote.remote_engines import remote_engine_at
from tests.remote.test_conformance import LOCAL, README, run_conversations

IDLE_CHECKS = 20

Roles = tuple[tuple[Path, int], ...]


@pytest.fixture
def roles(demo_gguf: Path, scripted_gguf: Path, musing_gguf: Path) -> Roles:
    """Models for the three roles of a bench, each with its context."""
    return (demo_gguf, N_CTX), (scripted_gguf, N_CTX), (musing_gguf, LONG_N_CTX)


async def test_thirty_conversations_on_this_machine_find_its_column(roles: Roles, tmp_path: Path) -> None:
    talker, caller, brooder = (
        LocalEngine(LoadSettings(str(model), n_ctx, n_threads=1), tmp_path / "engine.log")
        for model, n_ctx in roles
    )

    async def stopped() -> None:
        await idle(lambda: psutil.Process().children())

    try:
        cells = await run_conversations(Bench(talker, caller, brooder, stopped))
    finally:
        for engine in (talker, caller, brooder):
            await engine.close()
    assert cells == read_documented_cells(README)[LOCAL]


def wants_to_run(process: psutil.Process) -> Iterator[bool]:
    """Yield for each thread of a process whether it runs or waits for a processor."""
    for thread in process.threads():
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(thread.id).status() == psutil.STATUS_RUNNING


async def idle(processes: Callable[[], Sequence[psutil.Process]]) -> None:
    """Wait until none of the processes runs or waits for a processor, seen many times in a row."""
    n_idle = 0
    while n_idle < IDLE_CHECKS:
        is_busy = any(any(wants_to_run(process)) for process in processes())
        n_idle = 0 if is_busy else n_idle + 1
        await asyncio.sleep(0.01)


def listening_process(port: int) -> psutil.Process:
    """Return the process that listens on a port."""
    return next(
        process
        for process in psutil.Process().children(recursive=True)
        if any(
            connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            for connection in process.net_connections()
        )
    )


async def check_column(
    kind: ServerKind,
    servers: Sequence[AbstractContextManager[str]],
    stopped: Callable[[str], Awaitable[None]],
) -> None:
    """Hold the conversations with a real server for each role."""
    async with AsyncExitStack() as stack:
        urls = [stack.enter_context(server) for server in servers]
        talker, caller, brooder = [
            await stack.enter_async_context(remote_engine_at(url, timeouts=TimeoutPolicy())) for url in urls
        ]
        cells = await run_conversations(Bench(talker, caller, brooder, lambda: stopped(urls[-1])))
        assert brooder.model is not None
        assert brooder.model.engine.startswith(kind)
    assert cells == read_documented_cells(README)[kind]


@pytest.mark.full
async def test_thirty_conversations_with_llama_cpp_python_find_its_column(
    demo_gguf: Path, scripted_gguf: Path, tireless_gguf: Path
) -> None:
    async def stopped(url: str) -> None:
        process = listening_process(int(url.rpartition(":")[2]))
        await idle(lambda: [process])

    endless = llama_cpp_server(tireless_gguf, LONG_N_CTX)
    servers = (llama_cpp_server(demo_gguf), llama_cpp_server(scripted_gguf), endless)
    await check_column(ServerKind.LLAMA_CPP_PYTHON, servers, stopped)


@pytest.mark.full
@pytest.mark.parametrize("run", [llama_server, newest_llama_server])
async def test_thirty_conversations_with_llama_server_find_its_column(
    roles: Roles, run: Callable[[Path, int], AbstractContextManager[str]]
) -> None:
    async def stopped(url: str) -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            while any(slot["is_processing"] for slot in (await client.get(f"{url}/slots")).json()):
                pass

    await check_column(ServerKind.LLAMA_SERVER, [run(model, n_ctx) for model, n_ctx in roles], stopped)
