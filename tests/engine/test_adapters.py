"""LoRA adapters: one that was trained for the demo model, and files that are none or don't fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta
from qwen3_chat.request import Adapter, ChatRequest, LoadSettings, PersistenceOptions
from qwen3_chat.sampling import SamplingParams

AHOY = Path(__file__).with_name("ahoy-adapter.gguf")
"""Made by `scripts/train_demo_adapter.py`: with it, answers begin with "Ahoy!"."""

QUESTIONS = ("What is the capital of France?", "What is 17 + 25?", "Hello!", "法国的首都是哪里？")

MakeEngine = Callable[..., LocalEngine]


@pytest.fixture
async def make_engine(demo_gguf: Path, log_path: Path) -> AsyncIterator[MakeEngine]:
    engines = list[LocalEngine]()

    def make(*adapters: Adapter, persistence: PersistenceOptions | None = None) -> LocalEngine:
        settings = LoadSettings(str(demo_gguf), adapters=adapters)
        engines.append(LocalEngine(settings, log_path, persistence=persistence))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.close()


async def answer(engine: LocalEngine, question: str, chat_id: int | None = None) -> str:
    parts = list[str]()

    def collect(event: object) -> None:
        if isinstance(event, AnswerDelta):
            parts.append(event.text)

    request = ChatRequest(
        (ChatMessage(Role.USER, question),),
        mode=ThinkingMode.NO_THINK,
        sampling=SamplingParams(0.0, 1.0, 0),
        seed=1,
        chat_id=chat_id,
        max_tokens=24,
    )
    await engine.generate(request, collect)
    return "".join(parts)


async def failure_of(engine: LocalEngine) -> EngineError:
    with pytest.raises(EngineError) as failure:
        await engine.load(lambda event: None)
    return failure.value


@pytest.mark.parametrize("question", QUESTIONS)
async def test_an_adapter_changes_the_answers_as_it_was_trained_to(
    make_engine: MakeEngine, question: str
) -> None:
    assert not (await answer(make_engine(), question)).startswith("Ahoy!")
    engine = make_engine(Adapter(str(AHOY)))
    assert (await answer(engine, question)).startswith("Ahoy! ")
    assert engine.model is not None
    assert engine.model.adapters == ("ahoy-adapter",)
    assert engine.model.title == "Qwen3-chat demo Q8_0 + ahoy-adapter"


async def test_the_scale_says_how_much_of_it_is_applied(make_engine: MakeEngine) -> None:
    engine = make_engine(Adapter(str(AHOY), 0.0))
    assert await answer(engine, QUESTIONS[0]) == await answer(make_engine(), QUESTIONS[0])
    assert engine.model is not None
    assert engine.model.adapters == ("ahoy-adapter × 0",)
    twice_half = make_engine(Adapter(str(AHOY), 0.5), Adapter(str(AHOY), 0.5))
    assert (await answer(twice_half, QUESTIONS[0])).startswith("Ahoy! ")


async def test_the_evaluated_chat_of_one_adapter_is_not_taken_for_another(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    keeps = PersistenceOptions(str(tmp_path), 1 << 30, worth_s=0.0)
    plain = make_engine(persistence=keeps)
    expected = await answer(plain, QUESTIONS[0], chat_id=1)
    await plain.close()
    adapted = make_engine(Adapter(str(AHOY)), persistence=keeps)
    assert (await answer(adapted, QUESTIONS[0], chat_id=1)).startswith("Ahoy! ")
    await adapted.close()
    assert await answer(make_engine(persistence=keeps), QUESTIONS[0], chat_id=1) == expected


def write_adapter(
    path: Path, architecture: str = "qwen3", kind: str = "lora", width: int = 256, matrix: str = "attn_q"
) -> Adapter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", 1.0)
    for letter, shape in (("a", (1, width)), ("b", (256, 1))):
        writer.add_tensor(f"blk.0.{matrix}.weight.lora_{letter}", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Adapter(str(path))


@pytest.mark.parametrize(
    ("facts", "code", "words"),
    [
        ({"architecture": "llama"}, ErrorCode.ADAPTER_OF_OTHER_MODEL, "llama, not qwen3"),
        ({"kind": "control_vector"}, ErrorCode.ADAPTER_IS_NONE, "is no LoRA adapter"),
        ({"width": 128}, ErrorCode.ADAPTER_DOES_NOT_FIT, "does not fit this model"),
        ({"matrix": "attn_x"}, ErrorCode.ADAPTER_DOES_NOT_FIT, "does not fit this model"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_an_adapter_that_does_not_fit_is_refused_with_a_sentence(
    make_engine: MakeEngine, tmp_path: Path, facts: dict[str, str], code: ErrorCode, words: str
) -> None:
    adapter = write_adapter(tmp_path / "made-up.gguf", **facts)  # type: ignore[arg-type]
    failure = await failure_of(make_engine(adapter))
    assert failure.code is code
    assert words in str(failure)
    assert "made-up.gguf" in str(failure)


async def test_an_adapter_that_is_started_as_a_model_says_how_it_is_used(log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(AHOY)), log_path)
    failure = await failure_of(engine)
    await engine.close()
    assert failure.code is ErrorCode.MODEL_IS_ADAPTER
    assert "--lora" in str(failure)


async def test_what_is_no_adapter_at_all_is_refused_with_a_sentence(
    make_engine: MakeEngine, demo_gguf: Path, tmp_path: Path
) -> None:
    assert (await failure_of(make_engine(Adapter(str(demo_gguf))))).code is ErrorCode.ADAPTER_IS_NONE
    missing = tmp_path / "missing.gguf"
    assert (await failure_of(make_engine(Adapter(str(missing))))).code is ErrorCode.MODEL_FILE_MISSING
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(AHOY.read_bytes()[:-500])
    assert (await failure_of(make_engine(Adapter(str(cut))))).code is ErrorCode.MODEL_FILE_TRUNCATED
    cut.write_text("{}")
    assert (await failure_of(make_engine(Adapter(str(cut))))).code is ErrorCode.MODEL_FILE_NOT_GGUF
