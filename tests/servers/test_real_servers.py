"""The trials of real servers, on a server of a few lines: what starts, ends, is named, is written down."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

import checks
import try_servers
from conformance.bench import Unfit
from conformance.conversations import CONVERSATIONS
from conformance.features import Feature
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.record_copies import replace
from qwen3_chat.servers import ServerKind
from real_servers.environments import SERVERS
from real_servers.recipes import RECIPES, Recipe, ServedFiles, Start
from real_servers.results import Result, read_results, table_lines, write_result
from real_servers.running import NotReadyError, RunningServer, free_port
from real_servers.trials import TRIALS, a_server_dies_in_mid_answer, a_wrong_key_is_refused
from tests.conftest import REPOSITORY
from tests.remote.imitations import Imitation
from tests.remote.remote_engines import remote_engine_at
from tests.remote.wire_server import json_reply, running

LISTS_MODELS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"object": "list", "data": [{"id": "Qwen3-demo", "object": "model"}]}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ENDS = "import sys; print('no such model'); sys.exit(3)"


def server(tmp_path: Path, source: str, recipe: Recipe | None = None) -> RunningServer:
    tiny = recipe or Recipe(
        "tiny", "a tiny server", lambda start: (sys.executable, "-c", source, str(start.port))
    )
    model = ServedFiles(tmp_path / "model.gguf", tmp_path / "model")
    return RunningServer(tiny, Start(tmp_path, model, free_port(), 4096, tmp_path))


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[RunningServer]:
    one = server(tmp_path, LISTS_MODELS)
    yield one
    one.close()


async def test_a_server_is_waited_for_and_starts_again_on_its_port(tiny: RunningServer) -> None:
    await tiny.start()
    assert await tiny.wait_until_idle()
    url = tiny.url
    tiny.kill()
    await tiny.start()
    assert tiny.url == url


async def test_a_killed_server_leaves_no_process(tiny: RunningServer) -> None:
    before = set(psutil.Process().children())
    await tiny.start()
    started = set(psutil.Process().children()) - before
    assert started
    tiny.kill()
    assert [child for child in started if child.is_running()] == []


async def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="no such model"):
        await server(tmp_path, ENDS).start()


async def test_a_program_that_is_missing_is_told_by_name(tmp_path: Path) -> None:
    recipe = Recipe("gone", "a server that is gone", lambda start: (tmp_path / "serve-nothing",))
    with pytest.raises(NotReadyError, match="serve-nothing"):
        await server(tmp_path, "", recipe).start()


async def test_a_server_that_takes_a_wrong_key_fails_the_trial(tiny: RunningServer) -> None:
    await tiny.start()
    assert await a_wrong_key_is_refused(tiny, tiny) == "wants no key"
    strict = RunningServer(replace(tiny.recipe, wants_key=True), tiny._start)
    with pytest.raises(Unfit, match="server_key_refused was expected, not a reply"):
        await a_wrong_key_is_refused(strict, strict)


async def test_a_server_that_survives_fails_the_trial_of_its_death(tiny: RunningServer) -> None:
    async with running(Imitation(ServerKind.VLLM)) as wire:

        class Immortal(RunningServer):
            @property
            def url(self) -> str:
                return wire.url  # its answer comes to an end

        immortal = Immortal(tiny.recipe, tiny._start)
        with pytest.raises(Unfit):
            await a_server_dies_in_mid_answer(immortal, immortal)


async def test_a_wrong_key_at_litellm_without_a_database_is_called_so() -> None:
    refusal = {"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}}
    async with running(lambda _: json_reply(refusal, 400)) as wire, remote_engine_at(wire.url) as engine:
        with pytest.raises(EngineError) as raised:
            await engine.load(lambda _: None)
    assert raised.value.code is ErrorCode.SERVER_KEY_REFUSED


def test_each_server_that_is_installed_has_its_version_pinned() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES) == 6
    installed = [recipe for recipe in RECIPES if recipe.pins]
    assert [recipe.name for recipe in installed] == ["mlx-lm", "litellm", "transformers", "vllm"]
    for recipe in RECIPES:
        assert recipe.version


def test_a_server_that_is_unknown_is_refused_with_the_names_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert try_servers.main(["ollama"]) == 2
    assert "llama-server, xllamacpp, mlx-lm, litellm, transformers, vllm" in capsys.readouterr().err


@pytest.mark.parametrize(("names", "status"), [([], 0), (["vllm"], 1)])
def test_a_server_that_can_not_be_had_fails_only_if_it_is_named(
    names: list[str], status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(recipe: Recipe) -> Path:
        raise try_servers.NotToBeHadError(recipe.name)

    monkeypatch.setattr(try_servers, "_programs", refuse)
    monkeypatch.setattr(try_servers, "RESULTS", tmp_path)
    assert try_servers.main(names) == status


def result(name: str, n_missed: int = 0, trial: str = "refused") -> Result:
    misses = {conversation.__name__: "why" for conversation in CONVERSATIONS[:n_missed]}
    cells = {Feature.STOP.value: "works"}
    return Result(name, name, "1.0", "vLLM", "2026-11-30", misses, dict.fromkeys(TRIALS, trial), cells)


@pytest.mark.parametrize(
    ("found", "is_good"),
    [(result("a"), True), (result("a", 1), True), (result("a", 2), False), (result("a", 0, "✗ 500"), False)],
)
def test_a_server_is_good_that_holds_all_but_one(found: Result, is_good: bool) -> None:
    assert found.is_good is is_good


def test_results_are_kept_and_shown_in_the_order_of_the_names(tmp_path: Path) -> None:
    write_result(result("b", 1), tmp_path)
    write_result(result("a"), tmp_path)
    found = read_results(tmp_path, ["a", "missing", "b"])
    assert [it.name for it in found] == ["a", "b"]
    lines = list(table_lines(found))
    assert "| b | 1.0 | vLLM | 29 of 30 | refused | refused | refused |" in lines
    assert "| Esc stops the server too | works | works |" in lines
    assert lines[-1] == f"b: {CONVERSATIONS[0].__name__}: why"


def test_environments_lie_where_git_ignores_them() -> None:
    assert SERVERS.parent.name == "build"


def test_the_names_behind_servers_go_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []

    def run(check: checks.Check, environment: object, environ: Mapping[str, str]) -> int:
        commands.append(check.command)
        return 1 if str(REPOSITORY) in environ["PYTHONPATH"] else 0

    monkeypatch.setattr(checks, "prepare_environment", lambda *, dev: dev)
    monkeypatch.setattr(checks, "_run_check", run)
    assert checks.main(["--servers", "vllm", "mlx-lm"]) == 1
    assert commands == [("python", "scripts/try_servers.py", "vllm", "mlx-lm")]


@pytest.mark.parametrize("page", ["docs/serving/real-servers.md", "docs/zh/real-servers.md"])
def test_the_page_of_what_was_seen_is_about_the_pinned_versions(page: str) -> None:
    text = (REPOSITORY / page).read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for recipe in RECIPES[1:]:  # the version of the compiled one is that of llama-cpp-python
        assert any(f"| {recipe.version} |" in row for row in rows), recipe.name
