"""What the app chooses by itself, beside llama-cpp-python at its best and the programs of llama.cpp.

The app compares the libraries as it does for users; the other side of each row is the same app with
llama-cpp-python, calibrated. Each depth is evaluated once, then the sides take turns in decoding after it.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine_sides import SAMPLING, AppEngine, Heard
from benchmarks.llama_cpp_sides import LlamaBench, LlamaServer
from benchmarks.ratios import Row
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.library_choice import Measurement, ModelKind
from qwen3_chat.engine.library_trial import LibraryComparer
from qwen3_chat.engine.load_planner import make_plan
from qwen3_chat.engine.native_libraries import fast_library_file
from qwen3_chat.models.gguf import read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, KvType, LoadSettings

N_CTX = 8704
WORD = "a "  # one token
N_DECODED = 32
_TEMPLATE_TOKENS = 20
_QUANTISED_FLAGS = {KvType.F16: (), KvType.Q8_0: ("-ctk", "q8_0", "-ctv", "q8_0", "-fa", "1")}
_BANDWIDTH_BYTES, _N_READS = 256 << 20, 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """The lengths of prompts, the depths of decoding, the rounds in which the sides take turns."""

    prompts: Sequence[int]
    depths: Sequence[int]
    rounds: int


class LibraryRows:
    """The rows for one model and one type of KV cache."""

    def __init__(
        self, path: Path, kv_type: KvType, sizes: Sizes, folder: Path, programs: Path | None, n_threads: int
    ) -> None:
        self._path = path
        self._kv_type = kv_type
        self._sizes = sizes
        self._folder = folder / kv_type.value
        self._folder.mkdir()
        self._n_threads = n_threads
        self._header = read_file(path)
        self._bench: LlamaBench | None = None
        self._server: LlamaServer | None = None
        if programs is not None:
            flags = _QUANTISED_FLAGS[kv_type]
            self._bench = LlamaBench(programs / "llama-bench", path, flags)
            log = self._folder / "server.log"
            server_flags = tuple("on" if flag == "1" else flag for flag in flags)
            self._server = LlamaServer(
                programs / "llama-server", path, log, ("-c", str(N_CTX), *server_flags)
            )

    async def rows(self) -> AsyncIterator[Row]:
        """Yield each row once it is measured; print what was chosen, and how the programs were called."""
        measurement = await self._compare()
        print(self._choice_text(measurement), flush=True)
        for program in (self._bench, self._server):
            if program:
                print(shlex.join(program.command), flush=True)
        chosen = AppEngine(self._path, self._folder / "chosen", None, N_CTX, self._kv_type)
        usual = AppEngine.with_library(
            self._path, self._folder / "usual", is_fast=False, n_ctx=N_CTX, kv_type=self._kv_type
        )
        bandwidth = memory_bytes_per_s(self._n_threads)
        print(f"memory: {bandwidth / 1e9:.1f} GB/s with {self._n_threads} threads", flush=True)
        try:
            for side in (chosen, usual):
                await side.settle_in(self._request(WORD * 100, 8))
            for size in sorted({*self._sizes.prompts, *self._sizes.depths}):
                async for row in self._rows_at(size, (chosen, usual), bandwidth):
                    yield row
        finally:
            for side in (chosen, usual):
                await side.engine.close()
            if self._server:
                self._server.close()

    async def _compare(self) -> Measurement | None:
        """Compare the libraries as idle time does, and store the result where the chosen side finds it."""
        folder = self._folder / "chosen"
        folder.mkdir()
        settings = LoadSettings(str(self._path), n_gpu_layers=0, kv_type=self._kv_type)
        plan, _ = make_plan(self._header, self._path.stat().st_size, None, settings)
        kind = ModelKind.from_header(self._header, self._path, self._kv_type)
        comparer = LibraryComparer(self._folder / "comparison.log", sys.executable, str(folder))
        return await comparer.compare(kind, settings, plan)

    def _choice_text(self, measurement: Measurement | None) -> str:
        library = "compiled for this processor" if fast_library_file() else "ready-made"
        if measurement is None:
            return "the libraries could not be compared"
        prompt, reply = measurement.prompt_tokens_per_s, measurement.reply_tokens_per_s
        return (
            f"{self._kv_type.value}: in the comparison, the faster library ({library}) was"
            f" {measurement.turn_speedup:.2f} times as fast, with prompts {prompt[1] / prompt[0]:.2f}, with"
            f" replies {reply[1] / reply[0]:.2f}; weights repacked: {measurement.repacks}, chosen:"
            f" {measurement.favours_fast_library}"
        )

    async def _rows_at(
        self, size: int, sides: tuple[AppEngine, AppEngine], bandwidth: float
    ) -> AsyncIterator[Row]:
        is_prompt, is_depth = size in self._sizes.prompts, size in self._sizes.depths
        heard: tuple[list[Heard], list[Heard]] = ([], [])
        prompts: tuple[list[float], list[float]] = ([], [])
        server: list[tuple[float, float]] = []
        bench_prompts, bench_decodes = list[float](), list[float]()
        for number in range(self._sizes.rounds):
            for index in (0, 1) if number % 2 else (1, 0):
                text = f"{number if is_prompt else 0} {WORD * max(1, size - _TEMPLATE_TOKENS)}"
                if is_prompt or not number:
                    first = await self._hear(sides[index], text, number, 1)
                    prompts[index].append(first.prompt_tokens_per_s)
                heard[index].append(await self._hear(sides[index], text, number, N_DECODED))
            if self._server:
                server.append(self._server.speeds(max(1, size), N_DECODED, number))
            if self._bench and is_prompt:
                bench_prompts.append(self._bench.prompt_tokens_per_s(size))
            if self._bench and is_depth:
                bench_decodes.append(self._bench.decode_tokens_per_s(N_DECODED, size))
        for side in sides:
            side.engine.remove_snapshot(1)
        ours, usual = ([one.worker_tokens_per_s for one in side] for side in heard)
        kv = self._kv_type.value
        if is_prompt:
            name = f"{kv}, evaluate {size} tokens"
            yield Row(f"{name} : llama-cpp-python", "tok/s", prompts[0], prompts[1])
            if self._bench:
                yield Row(f"{name} : llama-bench", "tok/s", prompts[0], bench_prompts)
                yield Row(f"{name} : llama-server", "tok/s", prompts[0], [one[0] for one in server])
        if is_depth:
            name = f"{kv}, decode at depth {size}"
            yield Row(f"{name} : llama-cpp-python", "tok/s", ours, usual)
            if self._bench:
                yield Row(f"{name} : llama-bench", "tok/s", ours, bench_decodes)
                yield Row(f"{name} : llama-server", "tok/s", ours, [one[1] for one in server])
            read_bytes = self._bytes_per_token(size)
            percent = read_bytes / bandwidth * 100
            shares = ([speed * percent for speed in side] for side in (ours, usual))
            yield Row(f"{name}, of the memory's bandwidth", "%", next(shares), next(shares))

    async def _hear(self, side: AppEngine, text: str, seed: int, n_tokens: int) -> Heard:
        heard = await side.hear(replace(self._request(text, n_tokens), seed=seed))
        await side.engine.wait_idle()  # it times threads
        return heard

    def _request(self, text: str, n_tokens: int) -> ChatRequest:
        return ChatRequest(
            (ChatMessage(Role.USER, text),),
            ThinkingMode.NO_THINK,
            SAMPLING,
            seed=0,
            max_tokens=n_tokens,
            guesses=False,
            chat_id=1,
        )

    def _bytes_per_token(self, depth: int) -> float:
        """Return the bytes of weights and of the KV cache that one token at a depth reads."""
        weights, shape = self._header.weights, self._header.shape
        assert weights is not None
        assert shape is not None
        share = shape.n_experts_used / shape.n_experts if shape.n_experts else 0.0
        output = weights.embedding_bytes if weights.is_tied else weights.output_bytes
        kv_bytes = self._header.kv_bytes_per_token * (1 if self._kv_type is KvType.F16 else 34 / 64)
        return output + sum(weights.layer_bytes) + share * sum(weights.expert_bytes) + depth * kv_bytes


def memory_bytes_per_s(n_threads: int) -> float:
    """Read a large array with as many threads as tokens are decoded with; return the best speed."""
    import numpy as np

    parts = [np.ones(_BANDWIDTH_BYTES // 4, np.float32) for _ in range(n_threads)]
    best = 0.0
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(_N_READS):
            started_s = time.perf_counter()
            list(pool.map(lambda part: float(np.dot(part, part)), parts))
            best = max(best, n_threads * _BANDWIDTH_BYTES / (time.perf_counter() - started_s))
    return best
