from __future__ import annotations

import pytest

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.load_planner import make_plan, max_n_ctx_from_header
from qwen3_chat.events import Notice
from qwen3_chat.models.catalog import Shape, find_family_model
from qwen3_chat.models.fit import Gpu, Machine
from qwen3_chat.models.gguf import GgufHeader, MetadataValue
from qwen3_chat.models.weights import WeightsSum
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.texts.formatting import GIB
from tests.models.fit.hollow_gguf import metadata_of
from tests.models.fit.machines import apple, cpu, with_gpus

_Q4_K_M = 15
_2507_CONTEXT = 262_144


def header_of(shape: Shape, n_ctx_train: int = 40_960) -> GgufHeader:
    name = shape.architecture
    numbers = {
        "block_count": shape.n_layers,
        "context_length": n_ctx_train,
        "embedding_length": shape.n_embd,
        "feed_forward_length": shape.n_ff,
        "attention.head_count": shape.n_heads,
        "attention.head_count_kv": shape.n_kv_heads,
        "attention.key_length": shape.head_dim,
        "expert_count": shape.n_experts,
        "expert_used_count": shape.n_experts_used,
        "expert_feed_forward_length": shape.n_expert_ff,
    }
    metadata: dict[str, MetadataValue] = {f"{name}.{key}": number for key, number in numbers.items()}
    metadata |= {"general.architecture": name, "general.file_type": _Q4_K_M}
    return GgufHeader(3, metadata, 0, shape.parameters, 0, None)


def planned(
    name: str, machine: Machine | None, n_ctx_train: int = 40_960, **wishes: object
) -> tuple[LoadPlan, list[Notice]]:
    model = find_family_model(name)
    assert model
    wanted = LoadSettings("model.gguf", **wishes)  # type: ignore[arg-type]
    size_bytes = model.size_bytes("Q4_K_M")
    plan, notices = make_plan(header_of(model.shape, n_ctx_train), size_bytes, machine, wanted)
    return plan, list(notices)


def keys(notices: list[Notice]) -> list[str]:
    return [notice.key.removeprefix("engine.") for notice in notices]


def test_what_fits_goes_to_the_gpu_without_a_word() -> None:
    plan, notices = planned("8B", with_gpus(32, 12))
    assert plan == LoadPlan(36, 32_768, n_ubatch=512, flash_attention=None, n_gpu_layers=36)
    assert notices == []


def test_without_a_gpu_all_is_on_the_processor_without_flash_attention() -> None:
    assert planned("8B", cpu(32)) == (LoadPlan(36, 32_768, n_ubatch=256), [])


def test_what_the_gpu_does_not_hold_is_in_ram_and_said() -> None:
    plan, notices = planned("14B", with_gpus(32, 8))
    assert 0 < plan.n_gpu_layers < 40
    assert notices == [Notice("engine.partly_on_gpu", {"layers": plan.n_gpu_layers, "total": 40})]


def test_experts_are_in_ram_where_the_gpu_is_small() -> None:
    plan, notices = planned("30B-A3B", with_gpus(32, 8))
    assert (plan.n_gpu_layers, plan.kv_type) == (48, KvType.F16)
    assert 0 < plan.n_cpu_moe < 48
    assert notices == [Notice("engine.experts_in_ram", {"layers": plan.n_cpu_moe, "total": 48})]


def test_a_gpu_without_room_is_left_alone_and_that_is_said() -> None:
    full = Machine(32 * GIB, 50e9, (Gpu("A card", GIB // 2, 8 * GIB, 200e9),))
    plan, notices = planned("8B", full)
    assert (plan, keys(notices)) == (LoadPlan(36, 32_768, n_ubatch=256), ["not_on_gpu"])


def test_little_memory_shortens_the_context_and_says_so() -> None:
    plan, notices = planned("8B", cpu(8))
    assert (plan.n_ctx, plan.kv_type, plan.n_ubatch) == (12_288, KvType.F16, 128)
    assert notices == [Notice("engine.context_reduced", {"n_ctx": 12_288})]


def test_a_model_that_is_too_large_is_tried_with_a_warning() -> None:
    plan, notices = planned("32B", cpu(8))
    assert plan == LoadPlan(64, 4_096)
    assert keys(notices) == ["memory_short", "context_reduced"]
    assert notices[0].values["free"] == "7.0 GiB"


def test_a_unified_memory_counts_once() -> None:
    plan, notices = planned("8B", apple(16))
    assert (plan.n_gpu_layers, plan.n_cpu_moe) == (36, 0)
    assert "partly_on_gpu" not in keys(notices)


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"n_gpu_layers": 0}, LoadPlan(36, 32_768, n_ubatch=256)),
        ({"n_gpu_layers": 99}, LoadPlan(36, 32_768, KvType.F16, 512, None, 36)),
        ({"n_gpu_layers": 10}, LoadPlan(36, 32_768, KvType.F16, 512, None, 10)),
        ({"n_ctx": 5_000}, LoadPlan(36, 5_000, KvType.F16, 512, None, 36)),
        ({"kv_type": KvType.Q8_0}, LoadPlan(36, 16_384, KvType.Q8_0, 512, True, 36)),
        ({"n_cpu_moe": 10}, LoadPlan(36, 32_768, KvType.F16, 512, None, 36)),
    ],
)
def test_what_the_user_wants_is_done(wishes: dict[str, int], expected: LoadPlan) -> None:
    assert planned("8B", with_gpus(32, 12), **wishes) == (expected, [])


def test_layers_that_do_not_fit_are_put_on_the_gpu_if_the_user_wants_it() -> None:
    plan, notices = planned("14B", with_gpus(32, 6), n_gpu_layers=40)
    assert (plan.n_gpu_layers, plan.n_ctx) == (40, 4_096)
    assert keys(notices) == ["memory_short", "context_reduced"]


def test_the_user_says_how_many_experts_stay_in_ram() -> None:
    plan, notices = planned("30B-A3B", with_gpus(64, 24), n_cpu_moe=40)
    assert (plan.n_gpu_layers, plan.n_cpu_moe, notices) == (48, 40, [])


def test_of_all_layers_on_the_gpu_only_as_many_experts_as_fit_are_there() -> None:
    chosen, _ = planned("30B-A3B", with_gpus(32, 8), n_gpu_layers=48)
    by_itself, _ = planned("30B-A3B", with_gpus(32, 8))
    assert chosen == by_itself


@pytest.mark.parametrize(
    ("n_ctx", "factor"),
    [(32_768, 1.0), (40_960, 1.25), (65_536, 2.0), (131_072, 4.0)],
)
def test_a_long_context_is_reached_by_yarn_as_far_as_needed(n_ctx: int, factor: float) -> None:
    plan, notices = planned("4B", cpu(64), n_ctx=n_ctx)
    assert (plan.n_ctx, plan.yarn_factor) == (n_ctx, factor)
    assert plan.yarn_base_n_ctx == (32_768 if factor > 1 else 0)
    assert keys(notices) == (["yarn"] if factor > 1 else [])


def test_yarn_is_never_used_without_being_asked_for() -> None:
    plan, notices = planned("4B", cpu(64))
    assert (plan.n_ctx, plan.yarn_factor, notices) == (32_768, 1.0, [])


@pytest.mark.parametrize(
    ("name", "n_ctx_train", "wanted", "n_ctx"),
    [
        ("0.6B", 40_960, 65_536, 40_960),
        ("1.7B", 40_960, 131_072, 40_960),
        ("8B", 40_960, 200_000, 131_072),
        ("4B-Instruct-2507", _2507_CONTEXT, 300_000, _2507_CONTEXT),
    ],
)
def test_more_than_a_model_can_hold_is_refused_with_a_sentence(
    name: str, n_ctx_train: int, wanted: int, n_ctx: int
) -> None:
    plan, notices = planned(name, cpu(128), n_ctx_train, n_ctx=wanted)
    assert plan.n_ctx == n_ctx
    assert notices[0] == Notice("engine.context_capped", {"wanted": wanted, "n_ctx": n_ctx})


def test_models_made_for_long_contexts_need_no_yarn() -> None:
    plan, notices = planned("4B-Instruct-2507", cpu(64), _2507_CONTEXT, n_ctx=131_072)
    assert (plan.n_ctx, plan.yarn_factor, notices) == (131_072, 1.0, [])


def test_the_longest_context_of_a_file_is_known_before_it_is_loaded() -> None:
    small, large = find_family_model("0.6B"), find_family_model("8B")
    assert small
    assert large
    assert max_n_ctx_from_header(header_of(small.shape)) == 40_960
    assert max_n_ctx_from_header(header_of(large.shape)) == 131_072
    assert max_n_ctx_from_header(header_of(large.shape, _2507_CONTEXT)) == _2507_CONTEXT


def later_header(architecture: str) -> tuple[GgufHeader, int]:
    """Return the header of a file of 8 GiB, nine tenths of it experts, and its size."""
    shape = Shape(
        32,
        2048,
        5120,
        16,
        2,
        n_experts=64,
        n_experts_used=8,
        n_expert_ff=512,
        head_dim=256,
        kind=architecture,
    )
    table = WeightsSum(input_bytes=GIB // 4, output_bytes=GIB // 4, has_output=True)
    table.layers = dict.fromkeys(range(32), GIB // 2 // 32)
    table.experts = dict.fromkeys(range(32), 7 * GIB // 32)
    metadata: dict[str, MetadataValue] = {**metadata_of(shape)}  # type: ignore[dict-item]
    metadata |= {f"{architecture}.ssm.state_size": 128}
    return GgufHeader(3, metadata, 0, 8 * 10**9, 0, 8 * GIB, table), 8 * GIB


@pytest.mark.parametrize("architecture", ["qwen35moe", "qwen3next", "qwen3vlmoe", "glm4moe", "gpt-oss"])
def test_experts_of_any_kind_stay_in_ram_where_the_gpu_is_small(architecture: str) -> None:
    plan, notices = make_plan(*later_header(architecture), with_gpus(32, 8), LoadSettings("x"))
    assert plan.n_gpu_layers == 32
    assert 0 < plan.n_cpu_moe < 32
    assert keys(list(notices)) == ["experts_in_ram"]


def test_of_another_architecture_nothing_is_computed() -> None:
    header = GgufHeader(3, {"general.architecture": "llama", "llama.block_count": 3}, 0, 7, 0, None)
    on_gpu, _ = make_plan(header, 100, with_gpus(32, 8), LoadSettings("x"))
    on_cpu, _ = make_plan(header, 100, cpu(32), LoadSettings("x", n_gpu_layers=3))
    assert on_gpu == LoadPlan(3, 16_384, n_ubatch=512, flash_attention=None, n_gpu_layers=3)
    assert on_cpu == LoadPlan(3, 16_384)
