from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.random_model import Shape, write_model
from qwen3_chat.cli.doctor_calibration import CalibrationReport, print_calibration, run_calibration
from qwen3_chat.cli.run_tui import EngineNotices
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.engine import wire
from qwen3_chat.engine.library_choice import Measurement
from qwen3_chat.engine.library_trial import LibraryTrial, TrialSink
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.tuning import Trial, Tuning, TuningParameter, choose_tuning
from qwen3_chat.events import Notice
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.texts import Language, set_language
from tests.fakes import FakeEngine

DEFAULTS = Trial(TuningParameter.ATTENTION, False, KvType.F16, 128, 1)
TRIALS = [
    msgspec.structs.replace(DEFAULTS, reply_tokens_per_s=34.4, prompt_tokens_per_s=1620),
    msgspec.structs.replace(
        DEFAULTS, flash_attention=True, reply_tokens_per_s=18.2, prompt_tokens_per_s=1390
    ),
    msgspec.structs.replace(DEFAULTS, aim=TuningParameter.UBATCH, n_ubatch=256, prompt_tokens_per_s=1700),
]
FACTS = CalibrationReport(
    "Qwen3 0.6B", "Q8_0", "CPU", choose_tuning(DEFAULTS, 2, TRIALS, 2048, is_complete=False)
)

SHOWN = """\
Qwen3 0.6B Q8_0 on CPU
Tokens a second, 2,048 tokens into a chat:

Flash attention  KV cache  Threads  At once  Reading  Writing
off                   f16        1        –    1,620     34.4
on                    f16        1        –    1,390     18.2
off                   f16        1      256    1,700        –
"""


def test_what_was_measured_is_a_table_with_the_choice_below(capsys: pytest.CaptureFixture[str]) -> None:
    set_language(Language.EN)
    print_calibration(FACTS)
    shown = capsys.readouterr().out
    assert shown.startswith(SHOWN)
    assert "flash attention off, 128 tokens at once" in shown
    assert "busy" in shown


def test_the_libraries_are_compared_below(capsys: pytest.CaptureFixture[str]) -> None:
    set_language(Language.EN)
    faster = Measurement(1.5, 2048, (1620.0, 1700.0), (34.4, 61.2))
    print_calibration(msgspec.structs.replace(FACTS, comparison=faster))
    shown = capsys.readouterr().out
    assert "Library           Reading  Writing\nllama-cpp-python    1,620     34.4\nik_llama.cpp" in shown
    assert "1.50 times as fast" in shown
    assert "ik_llama.cpp runs this model from the next start on" in shown
    slower = msgspec.structs.replace(faster, turn_speedup=1.05)
    print_calibration(msgspec.structs.replace(FACTS, comparison=slower))
    assert "llama-cpp-python runs this model from the next start on" in capsys.readouterr().out
    print_calibration(msgspec.structs.replace(FACTS, failure="It failed."))
    assert capsys.readouterr().out.endswith("It failed.\n")


def test_the_table_lines_up_in_chinese_too(capsys: pytest.CaptureFixture[str]) -> None:
    set_language(Language.ZH)
    try:
        print_calibration(FACTS)
    finally:
        set_language(Language.EN)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["flash", "attention", "KV", "缓存", "线程数", "每批", "读取", "生成"]
    assert lines[4].endswith(" 34.4")


def test_a_model_is_measured_with_progress_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))

    async def compare(_: LocalEngine, tuning: Tuning, on_trial: TrialSink) -> None:
        for is_repacked in (False, True):
            finished = wire.TrialFinished(1, tuning.trials[0], 1, 8)
            on_trial(LibraryTrial("ik_llama.cpp", is_repacked, finished))

    monkeypatch.setattr(LocalEngine, "compare_libraries", compare)
    write_model(tmp_path / "model.gguf", Shape(1, 64, 64, 2, 1, 32))
    facts = run_calibration(ModelChoice(gguf=tmp_path / "model.gguf"))
    progress = capsys.readouterr().err.splitlines()
    *own, plain, repacked = progress[1:]
    assert len(own) == len(facts.tuning.trials)
    assert all(line.startswith("llama-cpp-python, ") for line in own)
    assert plain.startswith("ik_llama.cpp, 1 of 8: ")
    assert repacked.startswith("ik_llama.cpp, weights repacked, 1 of 8: ")
    assert (tmp_path / "data" / "calibration.json").exists()


def test_what_an_engine_tells_is_shown_once_there_is_a_place_for_it(tmp_path: Path) -> None:
    notices = EngineNotices()
    engine = LocalEngine(LoadSettings("model.gguf"), tmp_path / "engine.log")
    assert notices.subscribe(engine) is engine
    other = FakeEngine()
    assert notices.subscribe(other) is other
    shown: list[str] = []
    engine.on_notice(Notice("engine.calibrating"))
    notices.show = shown.append
    engine.on_notice(Notice("engine.calibrating"))
    assert len(shown) == 1
