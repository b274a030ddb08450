"""The ways to run a model that are compared: llama.cpp bare, this app's engine, the `Llama` class."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qwen3_chat.chat import ChatMessage, Role, SamplingParams, ThinkingMode
from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, PrefillProgressed, TurnFinished
from qwen3_chat.request import ChatRequest, LoadSettings

N_CTX = 4096
CHUNK_TOKENS = 128
SAMPLING = SamplingParams(temperature=0.7, top_p=0.8, top_k=20)
PASSIVE_WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
"""What the engine sets for its process; llama.cpp reads it when it is loaded."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every side does: decode so many tokens after the same prompt."""

    question: str
    n_tokens: int
    n_threads: int

    def request(self, seed: int) -> ChatRequest:
        """Ask it of the engine."""
        question = ChatMessage(Role.USER, self.question)
        return ChatRequest((question,), ThinkingMode.NO_THINK, SAMPLING, seed, max_tokens=self.n_tokens)


class BareLlama:
    """The least there can be: `llama_sampler_sample` and `llama_decode` in a loop."""

    def __init__(self, path: Path, job: Job) -> None:
        os.environ.update(PASSIVE_WAITING)
        from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

        from qwen3_chat.engine.worker.prompt_ids import tokenise
        from qwen3_chat.engine.worker.render import ChatTemplate
        from qwen3_chat.engine.worker.vocab import Vocab
        from qwen3_chat.gguf import read_file

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
        self._vocab = Vocab(L.llama_model_get_vocab(self._model))
        template = ChatTemplate(read_file(path).text("tokenizer.chat_template"), self._vocab.specials)
        self._prompt = tokenise(template.render_request(job.request(0)), self._vocab)
        for start in range(0, len(self._prompt), CHUNK_TOKENS):
            self._decode(self._prompt[start : start + CHUNK_TOKENS])

    @property
    def n_prompt(self) -> int:
        """The length of the prompt."""
        return len(self._prompt)

    def tokens_per_s(self, seed: int) -> float:
        """Decode a reply; return how fast."""
        from qwen3_chat.engine.worker.sampler import Sampler

        L, n_tokens, context = self._llama, self._job.n_tokens, self._context  # noqa: N806
        L.llama_memory_seq_rm(self._memory, 0, len(self._prompt) - 1, -1)
        self._decode(self._prompt[-1:])
        token = (L.llama_token * 1)()
        batch = L.llama_batch_get_one(token, 1)
        with Sampler(SAMPLING, seed, self._vocab.n_tokens) as sampler:
            begun_s = time.perf_counter()
            for _ in range(n_tokens):
                token[0] = sampler.sample(context)
                L.llama_decode(context, batch)
            return n_tokens / (time.perf_counter() - begun_s)

    def close(self) -> None:
        """Free everything; the last of all, as llama.cpp's log leads here."""
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
        """Decode a reply; return how fast, from its first piece to its last."""
        marks: list[tuple[float, int]] = []
        for _ in self._pieces(seed):
            marks.append((time.perf_counter(), self._llama.n_tokens))
        (begun_s, before), (ended_s, after) = marks[0], marks[-1]
        return (after - before) / (ended_s - begun_s)

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
    """One reply as its client saw it: speeds in tokens a second, the time to the first delta."""

    worker_tokens_per_s: float
    client_tokens_per_s: float
    first_delta_s: float
    n_evaluated: int
    message: ChatMessage


class AppEngine:
    """This app's engine: llama.cpp in a process of its own, events at the client."""

    def __init__(self, path: Path, job: Job, log_path: Path) -> None:
        self._job = job
        settings = LoadSettings(str(path), n_ctx=N_CTX, n_threads=job.n_threads, n_gpu_layers=0)
        self.engine = LocalEngine(settings, log_path)

    async def hear(self, request: ChatRequest) -> Heard:
        """Have a reply generated.

        Raises:
            RuntimeError: the engine failed.
        """
        begun_s = time.perf_counter()
        texts: list[str] = []
        first_s, first_tokens = begun_s, 0
        async with aclosing(self.engine.generate(request)) as events:
            async for event in events:
                match event:
                    case AnswerDelta(text=text, tokens=tokens):
                        if not texts:
                            first_s, first_tokens = time.perf_counter(), tokens
                        texts.append(text)
                    case EngineFailed(key=key):
                        raise RuntimeError(key)
                    case TurnFinished(usage=usage, timings=timings, token_ids=ids):
                        elapsed_s = time.perf_counter() - first_s
                        return Heard(
                            timings.tokens_per_s,
                            (usage.answer_tokens - first_tokens) / elapsed_s,
                            first_s - begun_s,
                            usage.prompt_tokens - usage.reused_tokens,
                            ChatMessage(Role.ASSISTANT, "".join(texts), token_ids=ids),
                        )
        raise RuntimeError("the stream ended early")

    async def stop_s(self, number: int, kind: type[PrefillProgressed | AnswerDelta], at: int) -> float:
        """Stop a reply at the n-th event of a kind; return how long it took until the stream ended."""
        question = ChatMessage(Role.USER, f"{number} {self._job.question}")
        request = replace(self._job.request(number), messages=(question,), max_tokens=None)
        stopped_s = 0.0
        async with aclosing(self.engine.generate(request)) as events:
            async for event in events:
                if isinstance(event, kind) and not stopped_s:
                    at -= 1
                    if at < 0:
                        stopped_s = time.perf_counter()
                        await self.engine.cancel()
        return time.perf_counter() - stopped_s

    async def second_turn(self, number: int, n_answer: int, rests: bool) -> tuple[Heard, Heard]:
        """Take two turns, with or without rest in between; return the second, and the same answered again."""
        question = ChatMessage(Role.USER, f"{number} {rests} {self._job.question}")
        request = replace(self._job.request(number), messages=(question,), max_tokens=n_answer)
        first = await self.hear(request)
        if rests:
            await self.engine.rest()
        follow_up = ChatMessage(Role.USER, "Really? Tell me more.")
        second = replace(request, messages=(question, first.message, follow_up), max_tokens=8)
        return await self.hear(second), await self.hear(second)
