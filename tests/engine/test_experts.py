from __future__ import annotations

from pathlib import Path

from benchmarks.random_model import Shape, write_model
from qwen3_chat.cli.engine_composition import model_load_settings
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType, LoadSettings
from tests.engine.planned_worker import worker_with
from tests.engine.requests import GREEDY, chat_request, text_of, user_message

TINY_MOE = Shape(2, 64, 64, 2, 1, 32, experts=4, experts_used=2)


async def test_experts_that_are_told_to_stay_in_ram_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "moe.gguf"
    write_model(path, TINY_MOE)
    request = chat_request(user_message("Hi"), sampling=replace(GREEDY, presence_penalty=1.5), max_tokens=20)
    texts = []
    for n_cpu_moe in (0, 2):
        plan = LoadPlan(2, 512).with_placement(0, n_cpu_moe)
        async with worker_with(path, plan, tmp_path / "engine.log") as worker:
            assert worker.model.n_cpu_moe == n_cpu_moe
            texts.append(text_of(await worker.reply(request)))
    assert texts[0] == texts[1]
    assert len(set(texts[0].split())) > 5


def test_the_options_of_the_command_line_are_what_the_user_wants() -> None:
    choice = ModelChoice(ctx=4096, threads=2, gpu_layers=10, cpu_moe=5, kv_type=KvType.Q8_0)
    wanted = LoadSettings("/models/a.gguf", 4096, 2, 10, 5, KvType.Q8_0)
    assert model_load_settings(choice, Path("/models/a.gguf")) == wanted
