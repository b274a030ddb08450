from __future__ import annotations

import re
from pathlib import Path

import pytest

from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import FAMILY, find_family_model
from qwen3_chat.models.fit import Fit, Machine, Placement, assess, recommend
from qwen3_chat.models.library import list_installed_models
from qwen3_chat.models.picker import (
    DiskModel,
    ModelRow,
    ModelTable,
    ServerRow,
    build_model_table,
    identify_models,
)
from qwen3_chat.models.picker.model_picker import newcomer_advice
from qwen3_chat.models.picker.model_table import model_from_header
from qwen3_chat.session import LocalModel, ServedModel
from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.model_list import NAME_CELLS, DemoRow, Heading, ModelList, fit_label, reason_line, row_line
from tests.models.fit.hollow_gguf import write
from tests.models.fit.machines import MACHINES, cpu, with_gpus
from tests.models.picker.picker_fixture import install_files
from tests.models.test_gguf_header import entry, header

DEMO = DemoRow(LocalModel(Path("demo.gguf")))


def row_of(table: ModelTable, name: str) -> ModelRow:
    return next(row for row in table.rows if row.model.name == name)


def disk(folder: Path, *names: str) -> tuple[DiskModel, ...]:
    install_files(folder, *names)
    return identify_models(list_installed_models(folder / "models"))


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_the_suggested_quant_of_the_recommended_model_is_the_recommended_one(machine: Machine) -> None:
    table = build_model_table(machine, ())
    assert len(table.rows) == len(FAMILY)
    if table.pick:
        row = row_of(table, table.pick[0])
        assert row.variants[row.suggested_index].key == table.pick


@pytest.mark.parametrize(
    ("machine", "name", "words"),
    [
        (with_gpus(32, 24), "14B", "fits the GPU"),
        (with_gpus(32, 8), "30B-A3B", "experts in RAM"),
        (with_gpus(32, 8), "14B", "partly on GPU"),
        (cpu(16), "4B", "on the CPU"),
        (cpu(64), "32B", "slow"),
        (cpu(8), "32B", "too large"),
    ],
)
def test_a_row_says_in_words_where_a_model_runs(machine: Machine, name: str, words: str) -> None:
    row = row_of(build_model_table(machine, ()), name)
    assert fit_label(row.variants[row.suggested_index].assessment) == words


@pytest.mark.parametrize("n_layers", [2**32 - 1, 100_000, 513])
def test_a_file_with_absurd_numbers_is_no_row_of_the_table(tmp_path: Path, n_layers: int) -> None:
    numbers = {
        "block_count": n_layers,
        "embedding_length": 64,
        "feed_forward_length": 64,
        "attention.head_count": 1,
        "attention.head_count_kv": 1,
        "attention.key_length": 64,
    }
    entries = [entry("general.architecture", "qwen3")]
    entries += [entry(f"qwen3.{key}", value) for key, value in numbers.items()]
    (tmp_path / "models").mkdir()
    for name in ("absurd.gguf", "Absurd-Q8_0.gguf"):
        (tmp_path / "models" / name).write_bytes(header(entries, []))
    files = disk(tmp_path, "Qwen3-8B-Q4_K_M.gguf")
    assert [disk_model.model.name for disk_model in files] == ["8B"]


@pytest.mark.parametrize("name", ["Qwen3.5-35B-A3B", "Next-80B-A3B-Instruct"])
def test_experts_of_a_later_model_stay_in_ram_by_its_header(name: str, tmp_path: Path) -> None:
    known = find_family_model(name)
    assert known
    header_of_file = gguf.read_file(write(tmp_path / "hollow.gguf", known.shape, "Q4_K_M"))
    model = model_from_header(header_of_file, "a name that tells nothing")
    assert model
    assert model.shape.architecture == known.shape.architecture
    size_bytes = known.size_bytes("Q4_K_M")
    on_small, on_large = (assess(model, "?", with_gpus(64, gib), 16_384, size_bytes).plan for gib in (8, 80))
    assert (on_small.placement, on_large.placement) == (Placement.EXPERTS_IN_RAM, Placement.GPU)
    listed = assess(known, "Q4_K_M", with_gpus(64, 80), 16_384).plan
    assert on_large.need_bytes == pytest.approx(listed.need_bytes, rel=0.005)


def test_an_installed_quant_is_suggested_before_a_better_one_that_is_not_here(tmp_path: Path) -> None:
    table = build_model_table(with_gpus(64, 24), disk(tmp_path, "Qwen3-8B-Q4_K_M.gguf"))
    row = row_of(table, "8B")
    assert row.is_installed
    assert row.variants[row.suggested_index].key == ("8B", "Q4_K_M")


def test_a_quant_that_the_catalogue_does_not_list_gets_its_place_by_size(tmp_path: Path) -> None:
    row = row_of(build_model_table(cpu(16), disk(tmp_path, "Qwen3-4B-IQ2_XXS.gguf")), "4B")
    assert row.variants[0].assessment.quant == "IQ2_XXS"  # the file of the test has four bytes


def test_the_variants_are_those_of_the_catalogue_in_its_order_and_those_of_other_files(
    tmp_path: Path,
) -> None:
    files = disk(tmp_path, "Qwen3-8B-Q4_K_M.gguf", "Qwen3-4B-IQ2_XXS.gguf")
    table = build_model_table(cpu(16), files)
    catalogue = [(model.name, quant) for model in FAMILY for quant in model.quants]
    assert [variant.key for variant in table.listed_variants] == catalogue
    assert [variant.key for variant in table.listed_variants if variant.file] == [("8B", "Q4_K_M")]
    assert [variant.key for variant in table.unlisted_variants] == [("4B", "IQ2_XXS")]


def test_more_context_needs_more_memory_and_may_no_longer_fit() -> None:
    assessments = [
        row_of(build_model_table(cpu(8), (), n_ctx), "4B").variants[1].assessment
        for n_ctx in (4096, 32768, 131072)
    ]
    needs = [assessment.plan.need_bytes for assessment in assessments]
    assert needs == sorted(needs)
    assert [assessment.fit for assessment in assessments][-1] is Fit.TOO_LARGE


def test_every_model_stands_once_in_a_group_that_says_what_it_is(tmp_path: Path) -> None:
    servers = (ServerRow("My server", "8B", ServedModel("http://localhost:8000")),)
    table = build_model_table(cpu(32), disk(tmp_path, "Qwen3-8B-Q4_K_M.gguf"))
    lines = ModelList(table, DEMO, servers).lines()
    headings = [line.text_key for line in lines.values() if isinstance(line, Heading)]
    assert headings == [f"ui.models.group.{name}" for name in ("best", "here", "more", "servers")]
    names = [line.model.name for line in lines.values() if isinstance(line, ModelRow)]
    assert sorted(names) == sorted(model.name for model in FAMILY)
    order = list(lines)
    assert order.index("ui.models.group.here") + 1 == order.index("model:8B")


def test_a_recommended_model_that_is_here_in_another_quant_is_marked_and_nothing_else(tmp_path: Path) -> None:
    table = build_model_table(cpu(6), disk(tmp_path, "Qwen3-4B-Instruct-2507-Q4_0.gguf"))
    assert table.pick == ("4B-Instruct-2507", "Q4_K_M")
    row = row_of(table, "4B-Instruct-2507")
    assert table.is_recommended(row.variants[row.suggested_index])
    assert not any(
        table.is_recommended(other.variants[other.suggested_index])
        for other in table.rows
        if other is not row
    )
    assert "ui.models.group.best" not in ModelList(table, DEMO).lines()


def test_a_name_that_is_too_long_shows_that_it_is_cut() -> None:
    variant = row_of(build_model_table(cpu(16), ()), "4B").variants[0]
    line = row_line("My-very-long-fine-tuned-model", variant).whole.plain
    assert line.startswith("  My-very-long-fine-tune… ")


@pytest.mark.parametrize(
    ("search", "first"),
    [
        ("14b", "model:14B"),
        ("thinking 2507 235", "model:235B-A22B-Thinking-2507"),
        ("laptop 2507 q8", "model:4B-Instruct-2507"),
        ("a3b inst", "model:30B-A3B-Instruct-2507"),
    ],
)
def test_a_search_leaves_what_holds_each_of_its_words(search: str, first: str) -> None:
    lines = ModelList(build_model_table(cpu(16), ()), DEMO).lines(search)
    rows = [line_id for line_id, line in lines.items() if isinstance(line, ModelRow)]
    assert rows[0] == first


def test_a_search_finds_a_server_by_its_name_and_no_words_that_merely_hold_it() -> None:
    servers = (ServerRow("here", "● up", ServedModel("http://localhost:8000")),)
    lines = ModelList(build_model_table(cpu(16), ()), DEMO, servers).lines("here")
    assert list(lines) == ["ui.models.group.servers", "server:0"]


def test_a_search_for_nothing_that_exists_leaves_nothing() -> None:
    assert ModelList(build_model_table(cpu(16), ()), DEMO).lines("llama") == {}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_chinese_sentences_follow_each_other_without_a_space(machine: Machine) -> None:
    set_language(Language.ZH)
    try:
        advice = newcomer_advice("本机", recommend(machine))
        row = row_of(build_model_table(machine, ()), "8B")
        reason = reason_line(row, row.variants[row.suggested_index]).plain
    finally:
        set_language(Language.EN)
    assert "。 " not in advice
    assert re.match(r"Qwen3-8B \w+：", reason)


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("machine", [with_gpus(32, 8), cpu(8)])
def test_no_row_is_wider_than_a_small_terminal(machine: Machine, language: Language) -> None:
    set_language(language)
    try:
        for row in build_model_table(machine, ()).rows:
            assert len(row.model.name) < NAME_CELLS
            lines = [row_line(row.model.name, variant, "★") for variant in row.variants]
            assert all(line.whole.cell_length <= 74 and line.short.cell_length <= 55 for line in lines)
    finally:
        set_language(Language.EN)


def test_an_offered_model_that_other_programs_leave_no_room_for_is_not_called_too_large() -> None:
    variant = build_model_table(cpu(8), ()).rows[-1].variants[0]
    assert variant.assessment.fit is Fit.TOO_LARGE
    line = row_line("235B-A22B", variant, is_offered=True)
    assert "needs free memory" in line.whole.plain
    assert "too large" in row_line("235B-A22B", variant).whole.plain


def test_a_dense_model_says_what_the_draft_model_on_this_disk_costs(tmp_path: Path) -> None:
    files = disk(tmp_path, "Qwen3-14B-Q4_K_M.gguf", "Qwen3-1.7B-Q8_0.gguf")
    table = build_model_table(with_gpus(32, 24), files)
    variants = {variant.key: variant for row in table.rows for variant in row.variants}
    draft = table.draft_of(variants["14B", "Q4_K_M"])
    assert draft is not None
    assert (draft.candidate.model.name, draft.candidate.quant) == ("1.7B", "Q8_0")
    assert table.draft_of(variants["30B-A3B", "Q4_K_M"]) is None
    assert table.draft_of(variants["1.7B", "Q8_0"]) is None


def test_nobody_is_told_to_fetch_a_draft_model_for_a_processor(tmp_path: Path) -> None:
    table = build_model_table(cpu(64), ())
    assert all(table.draft_of(variant) is None for row in table.rows for variant in row.variants)
