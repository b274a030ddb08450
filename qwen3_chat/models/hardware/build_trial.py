"""The trial of a build of llama.cpp, in processes of its own: its devices, an answer, its speed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.llama_build import trial_environment
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.engine.worker_process import list_devices
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta, EngineEvent
from qwen3_chat.request import MAX_USER_LAYERS, ChatRequest, LoadSettings
from qwen3_chat.sampling import SamplingParams

TRIAL_TIMEOUT_S = 180.0
"""The time that a trial may take: a GPU's driver may compile its programs first, or hang."""
MIN_GAIN = 1.2
"""The times that a build must be faster than the one in use to be worth a change."""
MIN_CPU_SHARE = 0.7
"""The share of the processor's speed that a build keeps if it is compiled for its newer instructions."""
_QUESTION, _ANSWER = "How many r's in strawberries?", "3"
_SPEED_TOKENS, _N_CTX = 32, 512
_GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)


@dataclass(frozen=True, slots=True)
class BuildTrial:
    """The devices that a build lists, and the tokens per second at which it runs the model for trials.

    `cpu_tokens_per_s` is the speed of the processor alone, which counts where experts stay in RAM.
    """

    devices: tuple[Device, ...]
    tokens_per_s: float
    cpu_tokens_per_s: float = 0.0

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The devices that are no processor."""
        return tuple(device for device in self.devices if device.kind is not DeviceKind.CPU)


async def try_build(
    build: Path | None, model: Path, log_path: Path, timeout_s: float = TRIAL_TIMEOUT_S
) -> BuildTrial:
    """Try a build, None for the installed one: all layers on its GPU if it lists one.

    Without a GPU, only the installed one goes on to generate.

    `model` is the one of `trial_model`.

    Raises:
        EngineError: it can't be loaded, dies, hangs, or answers nonsense.
    """
    environment = trial_environment(build)
    try:
        async with asyncio.timeout(timeout_s):
            devices = await list_devices(log_path, environment=environment)
            trial = BuildTrial(devices, 0.0)
            if build and not trial.gpus:
                return trial
            n_gpu_layers = MAX_USER_LAYERS if trial.gpus else 0
            answer, _ = await _generate(DEMO_FILE, n_gpu_layers, log_path, environment)
            if _ANSWER not in answer:
                raise EngineError(ErrorCode.BUILD_ANSWERS_WRONGLY)
            _, cpu_tokens_per_s = await _generate(model, 0, log_path, environment)
            tokens_per_s = cpu_tokens_per_s
            if n_gpu_layers:
                _, tokens_per_s = await _generate(model, n_gpu_layers, log_path, environment)
    except TimeoutError:
        raise EngineError(ErrorCode.LLAMA_CPP_SILENT, seconds=round(timeout_s)) from None
    return BuildTrial(devices, tokens_per_s, cpu_tokens_per_s)


async def _generate(
    model: Path, n_gpu_layers: int, log_path: Path, environment: dict[str, str]
) -> tuple[str, float]:
    """Generate a reply; return its text and the speed."""
    settings = LoadSettings(str(model), n_ctx=_N_CTX, n_gpu_layers=n_gpu_layers)
    engine = LocalEngine(settings, log_path, environment=environment)
    texts: list[str] = []

    def collect(event: EngineEvent) -> None:
        if isinstance(event, AnswerDelta):
            texts.append(event.text)

    message = ChatMessage(Role.USER, _QUESTION)
    request = ChatRequest(
        (message,), ThinkingMode.NO_THINK, _GREEDY, seed=1, max_tokens=_SPEED_TOKENS, guesses=False
    )
    try:
        await engine.load(collect)
        end = await engine.generate(request, collect)
    finally:
        await engine.close()
    return "".join(texts), end.timings.tokens_per_s
