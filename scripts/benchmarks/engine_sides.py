"""The ways to run a model that are compared: llama.cpp bare, this app's engine, the `Llama` class."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.library_choice import LibraryChoices, Measurement, ModelKind
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.wire import DeviceLister
from qwen3_chat.engine.worker.__main__ import ENVIRONMENT
from qwen3_chat.events import AnswerDelta, EngineFailed, PrefillProgressed, ReasoningDelta, TurnFinished
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.hardware import probe_hardware
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, KvType, LoadSettings, PersistenceOptions
from qwen3_chat.sampling import SamplingParams

if TYPE_CHECKING:
    from qwen3_chat.engine.worker.vocab import Vocab

N_CTX = 4608
CHUNK_TOKENS = 128
SAMPLING = SamplingParams(temperature=0.7, top_p=0.8, top_k=20)
CALIBRATING_TURNS = 3


@dataclass(frozen=True, slots=True)
class Job:
    """The task of every side: decode so many tokens after the same prompt."""

    question: str
    n_tokens: int
    n_threads: int

    def request(self, seed: int) -> ChatRequest:
        """Return the task as a request to the engine."""
        question = ChatMessage(Role.USER, self.question)
        return ChatRequest((question,), ThinkingMode.NO_THINK, SAMPLING, seed, max_tokens=self.n_tokens)


class BareLlama:
    """The least possible: `llama_sampler_sample` and `llama_decode` in a loop."""

    def __init__(self, path: Path, job: Job) -> None:
        os.environ.update(ENVIRONMENT)
        from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

        from in_place_renderer import InPlaceRenderer
        from qwen3_chat.engine.worker.chat_template import ChatTemplate
        from qwen3_chat.engine.worker.llama_cpp_library import LlamaCppContext, LlamaCppVocab
        from qwen3_chat.engine.worker.vocab import Vocab

        self._llama, self._job = L, job
        self._quiet = L.llama_log_callback(lambda *_: None)
        L.llama_log_set(self._quiet, None)
        L.llama_backend_init()
        self._model = L.llama_model_load_from_file(str(path).encode(), L.llama_model_default_params())
        params = L.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = N_CTX, CHUNK_TOKENS, CHUNK_TOKENS
        params.n_threads = params.n_threads_batch = job.n_threads
        params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = L.llama_init_from_model(self._model, params)
        self._memory = L.llama_get_memory(self._context)
        self._native = LlamaCppContext(self._context, "")
        self._vocab = Vocab(LlamaCppVocab(L.llama_model_get_vocab(self._model)))
        self._template = ChatTemplate(
            read_file(path).text("tokenizer.chat_template"), self._vocab.specials, InPlaceRenderer()
        )
        self._prompt = self.prompt_ids(job.request(0))
        for start in range(0, len(self._prompt), CHUNK_TOKENS):
            self._decode(self._prompt[start : start + CHUNK_TOKENS])

    @property
    def vocab(self) -> Vocab:
        """The vocabulary of the model."""
        return self._vocab

    def prompt_ids(self, request: ChatRequest) -> list[int]:
        """Return the tokens of a request's prompt."""
        from qwen3_chat.engine.worker.prompt_ids import tokenise

        return tokenise(self._template.render_request(request), self._vocab, request)

    def tokens_per_s(self, seed: int) -> float:
        """Decode a reply; return the speed."""
        from qwen3_chat.engine.worker.sampler import Sampler

        L, n_tokens, context = self._llama, self._job.n_tokens, self._context  # noqa: N806
        L.llama_memory_seq_rm(self._memory, 0, len(self._prompt) - 1, -1)
        self._decode(self._prompt[-1:])
        token = (L.llama_token * 1)()
        batch = L.llama_batch_get_one(token, 1)
        with Sampler(SAMPLING, seed, self._vocab.native) as sampler:
            started_s = time.perf_counter()
            for _ in range(n_tokens):
                token[0] = sampler.sample(self._native)
                L.llama_decode(context, batch)
            return n_tokens / (time.perf_counter() - started_s)

    def close(self) -> None:
        """Free everything; to be called last, as llama.cpp's log has a callback of this object."""
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)
        self._llama.llama_log_set(self._llama.llama_log_callback(), None)  # ours goes with this object

    def _decode(self, tokens: list[int]) -> None:
        ids = (self._llama.llama_token * len(tokens))(*tokens)
        self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(ids, len(tokens)))


class LlamaClass:
    """`Llama.create_chat_completion(stream=True)`, as most Python programs call it."""

    def __init__(self, path: Path, job: Job) -> None:
        from llama_cpp import Llama

        self._job = job
        self._llama: Any = Llama(
            str(path),
            n_ctx=N_CTX,
            n_batch=CHUNK_TOKENS,
            n_ubatch=CHUNK_TOKENS,
            n_threads=job.n_threads,
            n_threads_batch=job.n_threads,
            verbose=False,
        )

    def tokens_per_s(self, seed: int) -> float:
        """Decode a reply; return the speed from its first piece to its last."""
        marks: list[tuple[float, int]] = []
        for _ in self._pieces(seed):
            marks.append((time.perf_counter(), self._llama.n_tokens))
        (started_s, before), (ended_s, after) = marks[0], marks[-1]
        return (after - before) / (ended_s - started_s)

    def close(self) -> None:
        """Free everything."""
        self._llama.close()

    def _pieces(self, seed: int) -> Iterator[str]:
        chunks = self._llama.create_chat_completion(
            messages=[{"role": "user", "content": self._job.question}],
            max_tokens=self._job.n_tokens,
            temperature=SAMPLING.temperature,
            top_p=SAMPLING.top_p,
            top_k=SAMPLING.top_k,
            min_p=SAMPLING.min_p,
            repeat_penalty=1.0,
            seed=seed,
            stream=True,
        )
        for chunk in chunks:
            if text := chunk["choices"][0]["delta"].get("content"):
                yield text


@dataclass(frozen=True, slots=True)
class Heard:
    """One reply as its client sees it: speeds in tokens per second, the time to the first delta."""

    worker_tokens_per_s: float
    client_tokens_per_s: float
    first_delta_s: float
    prompt_tokens_per_s: float
    n_evaluated: int
    message: ChatMessage


async def _probe_machine(list_devices: DeviceLister) -> Machine:
    """Probe the machine, so that chunks are as large as memory allows."""
    return (await probe_hardware(list_devices)).machine


class AppEngine:
    """This app's engine: llama.cpp in a process of its own, events at the client.

    Without `n_threads` it is as users have it: it calibrates itself and stores the result in `folder`.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        n_threads: int | None,
        n_ctx: int = N_CTX,
        kv_type: KvType | None = None,
    ) -> None:
        settings = LoadSettings(str(path), n_ctx=n_ctx, n_threads=n_threads, n_gpu_layers=0, kv_type=kv_type)
        options = None if n_threads else PersistenceOptions(str(folder), snapshots_bytes=0, calibrates=True)
        probe = None if n_threads else _probe_machine
        self.engine = LocalEngine(settings, folder / "engine.log", persistence=options, probe_machine=probe)

    @classmethod
    def with_library(
        cls, path: Path, folder: Path, is_fast: bool, n_ctx: int = N_CTX, kv_type: KvType = KvType.F16
    ) -> AppEngine:
        """Return the engine as users have it, with one of the native libraries, whatever was measured."""
        kind = ModelKind.from_header(read_file(path), path, kv_type)
        speedup = 2.0 if is_fast else 1.0
        folder.mkdir()
        LibraryChoices(folder).record_measurement(kind, Measurement(speedup, 0, (0.0, 0.0), (0.0, 0.0)))
        return cls(path, folder, None, n_ctx, kv_type)

    async def settle_in(self, request: ChatRequest) -> None:
        """Let the engine calibrate, and unload the model, so that the next load uses the result."""
        for _ in range(CALIBRATING_TURNS):
            await self.hear(request)
            await self.engine.wait_idle()
        await self.engine.close()

    async def hear(self, request: ChatRequest) -> Heard:
        """Generate a reply and return its measurements.

        Raises:
            RuntimeError: the engine failed.
        """
        started_s = time.perf_counter()
        texts: dict[type[ReasoningDelta | AnswerDelta], list[str]] = {ReasoningDelta: [], AnswerDelta: []}
        first_s = 0.0
        async with aclosing(events_of(self.engine.generate, request)) as events:
            async for event in events:
                match event:
                    case ReasoningDelta() | AnswerDelta():
                        first_s = first_s or time.perf_counter()
                        texts[type(event)].append(event.text)
                    case EngineFailed(key=key):
                        raise RuntimeError(key)
                    case TurnFinished(usage=usage, timings=timings, token_ids=ids):
                        n_evaluated = usage.prompt_tokens - usage.reused_tokens
                        answer, reasoning = ("".join(texts[kind]) for kind in (AnswerDelta, ReasoningDelta))
                        return Heard(
                            timings.tokens_per_s,
                            (len(ids) - 1) / max(1e-9, time.perf_counter() - first_s),
                            first_s - started_s,
                            n_evaluated / max(1e-9, timings.prefill_s),
                            n_evaluated,
                            ChatMessage(Role.ASSISTANT, answer, reasoning, token_ids=ids),
                        )
        raise RuntimeError("the stream ended early")

    async def stop_s(self, request: ChatRequest, wait_s: float) -> float:
        """Stop a reply after a while; return the time until the stream ended."""
        stopped_s = 0.0

        async def stop() -> None:
            nonlocal stopped_s
            await asyncio.sleep(wait_s)
            stopped_s = time.perf_counter()
            events.cancel()

        async with aclosing(events_of(self.engine.generate, request)) as events:
            stopping = asyncio.create_task(stop())
            async for _ in events:
                pass
        ended_s = time.perf_counter()
        await stopping
        return max(0.0, ended_s - stopped_s)

    async def idle_stop_s(self, request: ChatRequest, after: ChatMessage, wait_s: float) -> float:
        """Ask the next question a while after a reply; return the time until its evaluation began."""
        await asyncio.sleep(wait_s)
        started_s = time.perf_counter()
        messages = (*request.messages, after, ChatMessage(Role.USER, "Really?"))
        async with aclosing(events_of(self.engine.generate, replace(request, messages=messages))) as events:
            async for event in events:
                if isinstance(event, PrefillProgressed):
                    return time.perf_counter() - started_s
        raise RuntimeError("the stream ended early")
