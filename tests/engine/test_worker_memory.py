from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import SHAPES, write_model
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.models.catalog import Shape, find_family_model
from qwen3_chat.models.catalog.quants import weights
from qwen3_chat.models.fit.context_memory import ContextSpec, compute_bytes, kv_bytes
from tests.engine.memory import logged_bytes, peak_bytes, peak_bytes_without_a_model
from tests.engine.planned_worker import worker_with
from tests.engine.requests import chat_request, end_of, user_message

N_CTX = 8_192

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc"),
]


def predicted_bytes(shape: Shape, plan: LoadPlan) -> int:
    context = ContextSpec(plan.n_ctx, plan.kv_type, plan.n_ubatch, flash_attention=False)
    return weights(shape, "Q8_0").total_bytes + kv_bytes(shape, context) + compute_bytes(shape, context)


@pytest.mark.parametrize(("name", "n_ubatch"), [("0.6B", 128), ("4B", 32)])
async def test_the_worker_takes_what_llama_cpp_accounts_for_and_what_was_predicted(
    name: str, n_ubatch: int, tmp_path: Path
) -> None:
    model = find_family_model(name)
    assert model
    path = tmp_path / "model.gguf"
    write_model(path, SHAPES[name], is_hollow=True)
    before_bytes = await peak_bytes_without_a_model(tmp_path / "empty.log")
    plan = LoadPlan(model.shape.n_layers, N_CTX, n_ubatch=n_ubatch)
    async with worker_with(path, plan, tmp_path / "engine.log") as worker:
        end = end_of(await worker.reply(chat_request(user_message("yes " * n_ubatch), max_tokens=2)))
        assert end.usage.prompt_tokens > plan.n_ubatch
        taken_bytes = peak_bytes(worker.pid) - before_bytes
        log = worker.log
    path.unlink()
    assert taken_bytes == pytest.approx(logged_bytes(log), rel=0.05)
    assert taken_bytes == pytest.approx(predicted_bytes(model.shape, plan), rel=0.05)
