from __future__ import annotations

import json
import socket

import pytest

from qwen3_chat.cli.doctor_command import describe_failure, probe_source
from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.texts import Language, set_language, t
from tests.e2e.conftest import Program
from tests.models.fit import hollow_gguf


def test_the_family_is_shown_for_another_machine(program: Program) -> None:
    finished = program.run("models", "--vram", "8GiB", "--ram", "32GiB", "--json")
    assert finished.returncode == 0
    found = json.loads(finished.stdout)
    assert found.keys() >= {"hardware", "pick", "models"}
    pick = found["pick"]
    assert (pick["model"], pick["placement"]) == ("30B-A3B-Instruct-2507", "experts_in_ram")
    assert [offer["kind"] for offer in found["offers"]] == ["best", "balanced", "quick"]
    assert pick.keys() >= {"model", "quant", "n_ctx", "kv_type", "placement", "reason"}
    names = {row["model"] for row in found["models"]}
    assert {"0.6B", "32B", "30B-A3B", "235B-A22B", "4B-Instruct-2507", "4B-Thinking-2507"} <= names
    assert len({(row["model"], row["quant"]) for row in found["models"]}) == len(found["models"])
    for row in found["models"]:
        expected = {"model", "quant", "bytes", "fit", "need_bytes", "tokens_per_s", "installed", "reason"}
        assert row.keys() >= expected
        assert row["reason"]


@pytest.mark.parametrize(
    ("vram", "ram", "model"),
    [
        ("0", "64GiB", "30B-A3B-Instruct-2507"),
        ("0", "4GiB", "1.7B"),
        ("24GiB", "32GiB", "30B-A3B-Thinking-2507"),
    ],
)
def test_the_pick_depends_on_the_machine(program: Program, vram: str, ram: str, model: str) -> None:
    finished = program.run("models", "--vram", vram, "--ram", ram, "--json")
    assert json.loads(finished.stdout)["pick"]["model"] == model


def test_the_family_is_shown_for_this_machine(program: Program) -> None:
    finished = program.run("models")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    assert "RAM free" in lines[0]
    assert any(line.startswith("  30B-A3B ") for line in lines)
    table = lines[next(index for index, line in enumerate(lines) if "Q4_K_M        " in line) :]
    assert all(len(line) <= 80 for line in table[:-1])


def test_it_speaks_chinese(program_zh: Program) -> None:
    finished = program_zh.run("models", "--vram", "8GiB", "--ram", "32GiB")
    assert "质量最好：30B-A3B-Instruct-2507" in finished.stdout


def test_a_model_on_the_disk_is_marked(program: Program) -> None:
    folder = program.home / "models"
    folder.mkdir(parents=True)
    (folder / "Qwen3-8B-Q4_K_M.gguf").write_bytes(b"GGUF")
    finished = program.run("models", "--vram", "8GiB", "--ram", "32GiB", "--json")
    installed = [row for row in json.loads(finished.stdout)["models"] if row["installed"]]
    assert [(row["model"], row["quant"]) for row in installed] == [("8B", "Q4_K_M")]


def test_files_that_nobody_lists_are_assessed_by_what_they_say(program: Program) -> None:
    model = find_family_model("4B")
    assert model
    folder = program.home / "models"
    folder.mkdir(parents=True)
    hollow_gguf.write(folder / "My-Own-4B-Q6_K.gguf", model.shape, "Q6_K")
    finished = program.run("models", "--vram", "8GiB", "--ram", "32GiB", "--json")
    rows = {(row["model"], row["quant"]): row for row in json.loads(finished.stdout)["models"]}
    own, listed = rows["My-Own-4B", "Q6_K"], rows["4B", "Q6_K"]
    assert own["installed"]
    assert own["need_bytes"] == pytest.approx(listed["need_bytes"], rel=0.02)
    assert "● My-Own-4B Q6_K" in program.run("models", "--vram", "8GiB", "--ram", "32GiB").stdout


def test_a_size_that_makes_no_sense_is_wrong_usage(program: Program) -> None:
    finished = program.run("models", "--vram", "much", "--ram", "32GiB")
    assert finished.returncode == 2
    assert "--vram: “much” is not a size" in finished.stderr


def test_no_room_for_any_model_is_said(program: Program) -> None:
    finished = program.run("models", "--vram", "0", "--ram", "1GiB")
    assert finished.returncode == 0
    assert "no room for even the smallest model" in finished.stdout


def test_the_doctor_tells_what_is_there(program: Program) -> None:
    finished = program.run("doctor", "--json")
    assert finished.returncode == 0
    found = json.loads(finished.stdout)
    assert found["versions"]["llama-cpp-python"] == "0.3.36"
    assert "CPU" in found["backends"]
    assert found["ram"]["available_bytes"] > 0
    assert len(found["sources"]) == 2
    assert (found["draft"]["setting"], found["draft"]["state"]) == (None, "off")


def test_the_doctor_speaks_to_people(program: Program) -> None:
    finished = program.run("doctor")
    assert finished.returncode == 0
    assert "llama-cpp-python 0.3.36" in finished.stdout


@pytest.mark.parametrize("language", Language)
def test_a_source_that_is_not_there_is_told_in_words(language: Language) -> None:
    set_language(language)
    try:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            source = probe_source(f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert (source.failure, source.answer_ms) == (t("doctor.why.refused"), None)
        assert describe_failure(socket.gaierror(-2, "Name or service not known")) == t(
            "doctor.why.unknown_host"
        )
        assert describe_failure(TimeoutError()) == t("doctor.why.silent", seconds=5)
    finally:
        set_language(Language.EN)
