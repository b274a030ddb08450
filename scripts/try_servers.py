"""Hold the thirty conversations with real servers, and break them: `scripts/test --servers [NAME…]`.

Each server is installed into an environment of its own under `build/servers`, serves the demo model and one
made from it that never stops, and is ended afterwards. The results are kept in `build/servers/results`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from conformance.bench import Bench, Unfit, require
from conformance.column import column, hold_conversations
from conformance.features import Cell, Feature
from pip_run import PipFailed, error_lines
from qwen3_chat.engine.remote import RemoteEngine
from real_servers.environments import SERVERS, prepare_programs
from real_servers.models import make_demo, make_tireless
from real_servers.recipes import LLAMA_SERVER, N_CTX, RECIPES, Recipe, ServedFiles, Start
from real_servers.results import FAILED, Result, read_results, table_lines, write_result
from real_servers.running import NotReadyError, RunningServer, free_port
from real_servers.trials import TRIALS, engine_at
from speech import t
from tests.engine.model_files import LONG_N_CTX
from unpacked_wheels import NEWEST_LLAMA_CPP

RESULTS = SERVERS / "results"


class NotToBeHadError(Exception):
    """A server that can't be installed here; `str()` is the reason."""


def main(names: Sequence[str]) -> int:
    """Try the named servers, or all; return 1 if one failed, or if a named one can't be had."""
    known = {recipe.name: recipe for recipe in RECIPES}
    if unknown := [name for name in names if name not in known]:
        print(t("scripts.servers.unknown", names=", ".join(unknown), known=", ".join(known)), file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _leave)
    status = 0
    for name in names or known:
        try:
            result = _try_recipe(known[name])
        except NotToBeHadError as reason:
            print(t("scripts.servers.not_to_be_had", name=name, reason=reason), flush=True)
            status |= bool(names)
        except NotReadyError as log:
            print(t("scripts.servers.not_ready", name=name, log=log), flush=True)
            status = 1
        else:
            write_result(result, RESULTS)
            status |= not result.is_good
    print(*table_lines(read_results(RESULTS, list(known))), sep="\n")
    return int(status)


def _leave(*_: object) -> None:
    """Leave as an exception does, so that no server stays behind."""
    sys.exit(128 + signal.SIGTERM)


def _try_recipe(recipe: Recipe) -> Result:
    """Install a server, start it, and try it.

    Raises:
        NotToBeHadError: it can't be installed.
        NotReadyError: it does not start.
    """
    print(f"── {recipe.label} {recipe.version}", flush=True)
    try:
        programs = _programs(recipe)
    except PipFailed as failure:
        raise NotToBeHadError("; ".join(error_lines(failure.lines, 2))) from failure
    except OSError as error:
        raise NotToBeHadError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="qwen3-servers-", ignore_cleanup_errors=True) as name:
        return asyncio.run(_try_server(recipe, programs, Path(name)))


def _programs(recipe: Recipe) -> Path:
    """Return the folder of a server's programs, after making sure of the server behind it."""
    if recipe.name == "xllamacpp":
        return NEWEST_LLAMA_CPP.fetch()
    if "llama-server" in (recipe.name, recipe.behind) and not LLAMA_SERVER.is_file():
        raise NotToBeHadError(t("scripts.servers.no_llama_server"))
    return prepare_programs(recipe)


async def _try_server(recipe: Recipe, programs: Path, work: Path) -> Result:
    tireless = make_tireless(work, is_mute_in_thought=recipe.is_mute_in_thought)
    server = _server(recipe, programs, make_demo(work), N_CTX, work)
    brooder = _server(recipe, programs, tireless, LONG_N_CTX, work)
    try:
        await asyncio.gather(server.start(), brooder.start())
        return await _try_running(server, brooder)
    finally:
        server.close()
        brooder.close()


def _server(recipe: Recipe, programs: Path, model: ServedFiles, n_ctx: int, work: Path) -> RunningServer:
    """Return a server that is not started yet, with the one behind it."""
    if not recipe.behind:
        return RunningServer(recipe, Start(programs, model, free_port(), n_ctx, work))
    other = next(it for it in RECIPES if it.name == recipe.behind)
    upstream = _server(other, programs, model, n_ctx, work)
    return RunningServer(recipe, Start(programs, model, free_port(), n_ctx, work, upstream.url), upstream)


async def _try_running(server: RunningServer, brooder: RunningServer) -> Result:
    misses, trials = dict[str, str](), dict[str, str]()
    told = server.recipe.n_ctx_to_tell
    async with (
        engine_at(server.url, n_ctx=told) as talker,
        engine_at(brooder.url, n_ctx=LONG_N_CTX if told else None) as musing,
    ):

        async def stopped() -> None:
            require(await brooder.wait_until_idle(), "the server goes on after it was stopped")

        bench = Bench(talker, talker, musing, stopped)
        began_s = time.monotonic()
        async for name, wrong in hold_conversations(bench):
            print(f"{'✗' if wrong else '✓'} {name}{f': {wrong}' if wrong else ''}", flush=True)
            if wrong:
                misses[name] = wrong
        print(f"   {time.monotonic() - began_s:.0f} s", flush=True)
        cells = {str(feature): str(cell) for feature, cell in column(bench).items()}
        if told:  # by the user, not by the server
            cells[Feature.CONTEXT] = Cell.NOT_OFFERED
        seen_as = _kind_of(talker)
    for name, trial in TRIALS.items():
        try:
            trials[name] = await trial(server, brooder)
        except Unfit as error:
            trials[name] = f"{FAILED}{error}"
        print(f"{name}: {trials[name]}", flush=True)
    recipe = server.recipe
    day = time.strftime("%Y-%m-%d")
    return Result(recipe.name, recipe.label, recipe.version, seen_as, day, misses, trials, cells)


def _kind_of(engine: RemoteEngine) -> str:
    """Return the kind that the app recognised, as its replies name it."""
    return engine.model.engine.partition(" · ")[0] if engine.model else ""


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print(t("scripts.interrupted"), file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
