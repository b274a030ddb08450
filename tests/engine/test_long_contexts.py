from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import Shape, write_model
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.models.fit.loading import YARN_BASE_N_CTX
from tests.engine.planned_worker import worker_with
from tests.engine.requests import chat_request, end_of, user_message

TINY = Shape(1, 64, 64, 2, 1, 32)
LONG_TEXT = "the answer is yes and " * 2_500


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path, TINY)
    return path


def stretched(n_ctx: int) -> LoadPlan:
    return LoadPlan(1, n_ctx, yarn_factor=n_ctx / YARN_BASE_N_CTX, yarn_base_n_ctx=YARN_BASE_N_CTX)


def logged_values(log: str) -> dict[str, str]:
    """Return the lines `name = value` of llama.cpp's log; of repeated names the last."""
    pairs = (line.split(": ", 1)[-1].partition("=") for line in log.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


@pytest.mark.parametrize(("n_ctx", "scale"), [(40_960, "0.8"), (65_536, "0.5"), (131_072, "0.25")])
async def test_llama_cpp_reports_yarn_as_it_was_asked_for(
    tiny_gguf: Path, log_path: Path, n_ctx: int, scale: str
) -> None:
    async with worker_with(tiny_gguf, stretched(n_ctx), log_path) as worker:
        logged = logged_values(worker.log)
        assert worker.model.n_ctx == n_ctx
        assert logged["n_ctx_orig_yarn"] == "32768"
        assert logged["freq_scale"] == scale
        assert f"n_ctx_train adjusted to {n_ctx}" in worker.log or n_ctx == 40_960


async def test_a_usual_context_is_not_scaled(tiny_gguf: Path, log_path: Path) -> None:
    async with worker_with(tiny_gguf, LoadPlan(1, 16_384), log_path) as worker:
        logged = logged_values(worker.log)
        assert (logged["freq_scale"], logged["n_ctx_orig_yarn"]) == ("1", "40960")
        assert "YaRN" not in worker.log


@pytest.mark.full
async def test_a_prompt_of_forty_thousand_tokens_is_answered(tiny_gguf: Path, log_path: Path) -> None:
    async with worker_with(tiny_gguf, stretched(65_536), log_path) as worker:
        end = end_of(await worker.reply(chat_request(user_message(LONG_TEXT), max_tokens=8)))
        assert end.usage.prompt_tokens > 40_000
        assert end.usage.answer_tokens == 8
