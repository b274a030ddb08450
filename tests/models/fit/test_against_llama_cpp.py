from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict  # noqa: TID251 - of a dataclass
from itertools import product
from pathlib import Path

import pytest

from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import Shape, find_family_model
from qwen3_chat.models.fit.context_memory import ContextSpec, compute_bytes, kv_bytes, state_bytes
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import PROGRAM_BYTES, cpu_plan
from qwen3_chat.models.shape import DeltaNet, every_nth_is_attention
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType
from qwen3_chat.texts.formatting import GIB, MIB
from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.models.fit import hollow_gguf

SHAPES = ["0.6B", "1.7B", "4B", "8B", "14B", "32B", "30B-A3B", "235B-A22B"]
CONTEXTS = [
    ContextSpec(n_ctx, kv_type, n_ubatch, flash_attention)
    for n_ctx, kv_type, n_ubatch, flash_attention in product(
        (4096, 16_384, 32_768), KvType, (128, 512), (True, False)
    )
]

LATER_SHAPES = [
    Shape(
        48, 2048, 5120, 16, 2, n_experts=512, n_experts_used=10, n_expert_ff=512, head_dim=256,
        kind="qwen3next", n_shared_ff=512,
        delta_net=DeltaNet(every_nth_is_attention(48), 4, 16, 32, 128),
    ),
    Shape(
        40, 2048, 5120, 16, 2, n_experts=256, n_experts_used=8, n_expert_ff=512, head_dim=256,
        n_vocab=248_320, kind="qwen35moe", n_shared_ff=512,
        delta_net=DeltaNet(every_nth_is_attention(40), 4, 16, 32, 128),
    ),
    Shape(
        64, 5120, 17_408, 24, 4, head_dim=256, n_vocab=248_320, kind="qwen35",
        delta_net=DeltaNet(every_nth_is_attention(64), 4, 16, 48, 128),
    ),
    Shape(36, 4096, 12_288, 32, 8, kind="qwen3vl", n_deepstack_layers=3),
    Shape(
        48, 2048, 6144, 32, 4, n_experts=128, n_experts_used=8, n_expert_ff=768, kind="qwen3vlmoe",
        n_deepstack_layers=3,
    ),
]  # fmt: skip
"""Qwen3-Next-80B-A3B, Qwen3.5-35B-A3B, Qwen3.6-27B, and the networks for text of Qwen3-VL-8B and -30B-A3B."""


def ask(file: Path, what: str, contexts: list[ContextSpec]) -> list[dict[str, float]]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.models.fit.account", str(file), what],
        input=json.dumps([asdict(context) for context in contexts]),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=True,
    )
    answers: list[dict[str, float]] = json.loads(finished.stdout)
    return answers


@pytest.mark.parametrize("name", SHAPES)
def test_memory_is_what_llama_cpp_accounts_for(name: str, tmp_path: Path) -> None:
    model = find_family_model(name)
    assert model
    weights_bytes = model.weights("Q4_K_M").total_bytes
    file = hollow_gguf.write(tmp_path / "hollow.gguf", model.shape, "Q4_K_M")
    for context, answer in zip(CONTEXTS, ask(file, "account", CONTEXTS), strict=True):
        kv, compute = kv_bytes(model.shape, context), compute_bytes(model.shape, context)
        assert weights_bytes == answer["weights_bytes"]
        assert kv / MIB == pytest.approx(answer["kv_mib"], abs=0.01), context
        assert compute / MIB == pytest.approx(answer["compute_mib"], rel=0.03), context
        told_bytes = answer["weights_bytes"] + (answer["kv_mib"] + answer["compute_mib"]) * MIB
        assert weights_bytes + kv + compute == pytest.approx(told_bytes, rel=0.01), context


FEW_CONTEXTS = [ContextSpec(16_384, KvType.F16, 128, False), ContextSpec(8_192, KvType.Q8_0, 512, True)]
MANY_CONTEXTS = [pytest.param(CONTEXTS[::3], marks=pytest.mark.full, id="many")]


@pytest.mark.parametrize("contexts", [pytest.param(FEW_CONTEXTS, id="few"), *MANY_CONTEXTS])
@pytest.mark.parametrize("shape", LATER_SHAPES, ids=lambda shape: f"{shape.architecture}-{shape.n_embd}")
def test_memory_of_later_models_is_read_off_their_headers(
    shape: Shape, contexts: list[ContextSpec], tmp_path: Path
) -> None:
    file = hollow_gguf.write(tmp_path / "hollow.gguf", shape, "Q4_K_M")
    header = gguf.read_file(file)
    found, weights = header.shape, header.weights
    assert weights
    assert found == replace(shape, n_weights=header.parameters)
    assert (len(weights.expert_bytes) > 0) == (shape.n_experts > 0)
    for context, answer in zip(contexts, ask(file, "account", contexts), strict=True):
        kv, states = kv_bytes(found, context), state_bytes(found)
        compute = compute_bytes(found, context)
        assert weights.total_bytes == answer["weights_bytes"]
        assert kv / MIB == pytest.approx(answer["kv_mib"], abs=0.01), context
        assert states / MIB == pytest.approx(answer["state_mib"], abs=0.01), context
        assert compute / MIB == pytest.approx(answer["compute_mib"], rel=0.06), context
        context_mib = answer["kv_mib"] + answer["state_mib"] + answer["compute_mib"]
        told_bytes = weights.total_bytes + context_mib * MIB
        assert weights.total_bytes + kv + states + compute == pytest.approx(told_bytes, rel=0.01), context


@pytest.mark.full
@pytest.mark.parametrize(("name", "quant"), [("0.6B", "Q8_0"), ("4B", "Q4_K_M")])
def test_a_loaded_model_takes_the_memory_that_was_predicted(name: str, quant: str, tmp_path: Path) -> None:
    model = find_family_model(name)
    assert model
    machine = Machine(64 * GIB, 50e9)
    plan = cpu_plan(model.shape, model.weights(quant), machine, 8192, KvType.F16)
    file = hollow_gguf.write(tmp_path / "hollow.gguf", model.shape, quant)
    (answer,) = ask(file, "load", [plan.context])
    # Weights that llama.cpp rearranges for the processor are there twice, but it never reads the first copy
    # again: those are pages of the file, which the system takes back when it needs them.
    needed_bytes = answer["grown_bytes"] - answer["repacked_mib"] * MIB
    assert plan.ram_bytes - PROGRAM_BYTES == pytest.approx(needed_bytes, rel=0.05)
