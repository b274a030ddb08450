"""Chat templates of other models on the demo model's weights, in the real engine: modes, thinking, an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.replies import hear
from qwen3_chat.chat import ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.models.template_facts import read_template
from qwen3_chat.request import LoadSettings
from qwen3_vocabulary import ALL_TEMPLATES
from tests.engine import model_files
from tests.engine.requests import THINKING, chat_request, user_message

NAMES = (
    *("Qwen-Qwen2.5-7B-Instruct", "Qwen-QwQ-32B", "Qwen-Qwen3-0.6B", "Qwen3-Coder", "Qwen3.5-4B"),
    *("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "GLM-4.7-Flash", "google-gemma-4-31B-it"),
    *("HuggingFaceTB-SmolLM3-3B", "ibm-granite-granite-4.0", "LFM2.5-8B-A1B", "MiniMax-M2"),
    *("meta-llama-Llama-3.3-70B-Instruct", "microsoft-Phi-3.5-mini-instruct"),
    *("mistralai-Mistral-Nemo-Instruct-2407", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"),
    *("poolside-Laguna-S-2.1", "StepFun3.5-Flash"),
)
OPENED = "<think>"
N_TOKENS = 12


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
async def test_a_model_with_another_template_answers_in_each_mode(
    demo_gguf: Path, tmp_path: Path, name: str
) -> None:
    if not ALL_TEMPLATES.is_dir():
        pytest.skip("needs llama.cpp's chat templates, which python3 scripts/test fetches")
    source = (ALL_TEMPLATES / f"{name}.jinja").read_text("utf-8")
    path = model_files.make(
        tmp_path / "model.gguf",
        demo_gguf,
        lambda data: model_files.with_text(data, "tokenizer.chat_template", source),
    )
    facts = read_template(source)
    engine = LocalEngine(LoadSettings(str(path), n_threads=1), tmp_path / "engine.log")
    try:
        await engine.load(lambda event: None)
        assert engine.model is not None
        assert engine.model.thinking is facts.thinking
        for mode in (ThinkingMode.THINK, ThinkingMode.NO_THINK):
            request = chat_request(
                user_message("1 + 1?"), mode=mode, sampling=THINKING, max_tokens=N_TOKENS, hard_switch=True
            )
            reply = await hear(engine, request)
            assert reply.failure is None
            assert reply.end is not None
            usage = reply.end.usage
            assert 0 < usage.reasoning_tokens + usage.answer_tokens <= N_TOKENS
            assert OPENED not in reply.answer + reply.reasoning
            if mode is ThinkingMode.THINK and not facts.has_soft_switch:
                assert reply.reasoning
    finally:
        await engine.close()
