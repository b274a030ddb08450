"""What `doctor` tells of the model that drafts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import write_model
from qwen3_chat.cli.doctor_drafts import DraftFinding, find_drafts, format_drafts_finding
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import Settings, find_paths
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.models.fit import Machine
from tests.cli.test_draft_option import LARGE, SMALL
from tests.models.fit.machines import cpu, with_gpus

DRAFT, TARGET = "Qwen3-0.6B-Q8_0.gguf", "Qwen3-8B-Q8_0.gguf"


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    folder = find_paths().models
    folder.mkdir(parents=True)
    write_model(folder / DRAFT, SMALL, is_hollow=True)
    write_model(folder / TARGET, LARGE, is_hollow=True)
    return folder


def found(
    draft: str | None, machine: Machine | None = None, choice: ModelChoice | None = None
) -> DraftFinding:
    settings = Settings(draft=draft, model="8B")
    return find_drafts(choice or ModelChoice(), settings, find_paths(), machine or cpu(16))


def test_one_that_fits_is_told_with_its_file_and_its_memory(models_dir: Path) -> None:
    finding = found("0.6B")
    assert (finding.state, finding.beside, finding.model) == ("drafts", "8B Q8_0", "0.6B")
    assert Path(finding.file) == models_dir / DRAFT
    assert finding.need_bytes
    assert finding.total_bytes
    assert finding.total_bytes > finding.need_bytes
    assert not finding.remedy
    assert format_drafts_finding(finding) == [finding.sentence, finding.file]


def test_without_one_the_one_that_could_is_told(models_dir: Path) -> None:
    assert (found(None).state, found("none").state) == ("off", "off")
    assert "0.6B could draft for 8B Q8_0" in found(None).sentence
    (models_dir / DRAFT).unlink()
    assert "could" not in found(None).sentence


def test_auto_tells_what_it_does_here(models_dir: Path) -> None:
    assert (found("auto").state, found("auto", with_gpus(32, 24)).state) == ("unproven", "drafts")
    assert (models_dir / DRAFT).exists()
    (models_dir / DRAFT).unlink()
    assert found("auto").state == "idle"


@pytest.mark.parametrize(
    ("setting", "code", "command"),
    [
        ("1.7B", ErrorCode.MODEL_NOT_INSTALLED, "qwen3-chat pull 1.7B"),
        ("no-such", ErrorCode.MODEL_UNKNOWN, ""),
    ],
)
@pytest.mark.usefixtures("models_dir")
def test_one_that_is_not_there_is_a_problem_with_its_remedy(
    setting: str, code: ErrorCode, command: str
) -> None:
    finding = found(setting)
    assert finding.is_problem
    assert (finding.state, finding.error_code, finding.command) == ("missing", code, command)
    assert finding.remedy
    assert format_drafts_finding(finding) == [f"{setting}: not installed"]


def test_a_damaged_file_and_too_little_memory_are_problems(models_dir: Path) -> None:
    tight = found("0.6B", cpu(12))
    assert (tight.state, tight.total_bytes, tight.is_problem) == ("room", None, True)
    assert tight.remedy
    (models_dir / DRAFT).write_bytes(b"GGUF")
    damaged = found("0.6B")
    assert (damaged.state, damaged.error_code) == ("damaged", ErrorCode.GGUF_HEADER_TRUNCATED)
    assert DRAFT in damaged.sentence


@pytest.mark.usefixtures("models_dir")
def test_one_that_does_not_suit_the_model_is_no_problem_and_has_its_remedy() -> None:
    finding = found("0.6B", choice=ModelChoice(demo=True))
    assert (finding.beside, finding.is_problem) == ("demo", False)
    assert finding.state in ("ratio", "tokens")
    assert finding.remedy in format_drafts_finding(finding)
    assert found("demo", choice=ModelChoice(demo=True)).state == "ratio"


def test_a_model_that_is_not_there_is_no_reason_to_fail(models_dir: Path) -> None:
    (models_dir / TARGET).unlink()
    assert found("0.6B").state == "unknown"
