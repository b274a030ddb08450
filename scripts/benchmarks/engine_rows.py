"""The measurements of the engine, each beside another side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import quantiles

from benchmarks.client_cost import block_costs_s
from benchmarks.engine_sides import AppEngine, BareLlama, Heard, Job, LlamaClass
from benchmarks.library_rows import LibraryRows, Sizes
from benchmarks.llama_cpp_sides import LlamaBench, LlamaServer
from benchmarks.ratios import Row
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, KvType
from qwen3_chat.sampling import SamplingParams

WORD = "a "  # one token
GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)
FOLLOW_UP = ChatMessage(Role.USER, WORD * 6)  # 20 tokens with the template, as a short question really has
THINKING_START = ChatMessage(Role.ASSISTANT, "", reasoning="Let me see.")  # a made-up model never begins one
SCHEMAS = {
    "a text": '{"type": "string", "minLength": 480}',
    "numbers, each token drawn again": '{"type": "array", "items": {"type": "integer"}, "minItems": 90}',
}
STOP_LIMIT_MS = 50.0
CLASS_EVERY = 3  # rounds: it is slow, and no goal depends on it


@dataclass(frozen=True, slots=True)
class Scale:
    """The extent of a benchmark: rounds, tokens, stops; `depths` with the least acceptable ratio at each."""

    alternations: int
    decoded: int
    prompt: int
    thinking: int
    answer: int
    stops: int
    long_reply: tuple[int, int]
    depths: dict[int, float]
    prompts: tuple[int, ...]
    library_depths: tuple[int, ...]
    kv_types: tuple[KvType, ...] = tuple(KvType)

    def with_alternations(self, alternations: int) -> Scale:
        """Return the scale with another number of rounds."""
        return replace(self, alternations=alternations)

    def at(self, sizes: Sequence[int]) -> Scale:
        """Return the scale with these prompts and depths only; new depths have no least ratio."""
        return replace(
            self,
            prompts=tuple(size for size in sizes if size),
            depths={size: self.depths.get(size, 0) for size in sizes},
            library_depths=tuple(sizes),
        )


class Bench:
    """All sides with one model; each method is one measurement."""

    def __init__(
        self, path: Path, scale: Scale, n_threads: int | None, programs: Path | None, folder: Path
    ) -> None:
        from qwen3_chat.engine.cpu_cores import default_threads

        self.n_threads = n_threads or default_threads()
        self._scale = scale
        self._path = path
        self._programs = programs
        self._folder = folder
        self._job = Job(WORD * scale.prompt, scale.decoded, self.n_threads)
        self._app = AppEngine(path, folder, self.n_threads)
        self._as_used = AppEngine(path, folder, n_threads)
        self._is_settled = False
        self._bare = BareLlama(path, self._job)
        self._random = Random(0)

    async def close(self) -> None:
        """End all processes and free the model."""
        await self._app.engine.close()
        await self._as_used.engine.close()
        self._bare.close()

    async def decode(self) -> AsyncIterator[Row]:
        """Decode after an evaluated prompt: bare, in the worker, at the client, and by the `Llama` class."""
        rounds = range(-1, self._scale.alternations)  # the first only warms up
        class_ = LlamaClass(self._path, self._job)
        bare: list[float] = []
        heard: list[Heard] = []
        by_class: list[tuple[float, float]] = []
        for number in rounds:
            seed = number + 1
            for side in (0, 1) if number % 2 else (1, 0):
                if side:
                    bare.append(self._bare.tokens_per_s(seed))
                else:
                    heard.append(await self._app.hear(replace(self._job.request(seed), guesses=False)))
                    await self._app.engine.wait_idle()
            if number < 0:
                bare, heard = [], []
            elif number % CLASS_EVERY == 0:
                by_class.append((class_.tokens_per_s(seed), bare[-1]))
        class_.close()
        worker = [one.worker_tokens_per_s for one in heard]
        client = [one.client_tokens_per_s for one in heard]
        beside = [mine for mine, _ in by_class], [other for _, other in by_class]
        what = f"decode {self._scale.decoded} after {self._scale.prompt}"
        yield Row(f"{what}, worker : bare llama_decode", "tok/s", worker, bare, ">=0.97")
        yield Row(f"{what}, client's event : bare", "tok/s", client, bare, ">=0.95")
        yield Row(f"{what}, Llama class : bare", "tok/s", *beside)

    async def guesses(self) -> AsyncIterator[Row]:
        """Decode a text that repeats itself, with drafts and without."""
        request = replace(self._job.request(0), sampling=GREEDY, max_tokens=max(64, self._scale.decoded // 4))
        speeds: dict[bool, list[float]] = {True: [], False: []}
        for number in range(self._scale.alternations):
            for guesses in (True, False) if number % 2 else (False, True):
                heard = await self._app.hear(replace(request, guesses=guesses))
                speeds[guesses].append(heard.worker_tokens_per_s)
        yield Row("text that repeats, guessed : not", "tok/s", speeds[True], speeds[False], ">=1")

    async def schema(self) -> AsyncIterator[Row]:
        """Decode answers held to a schema: a text, where most tokens may come, and digits, where few may."""
        n_tokens = max(48, self._scale.decoded // 4)
        free = replace(self._job.request(0), guesses=False, max_tokens=n_tokens)
        held = {
            name: replace(free, answer_schema=text, max_tokens=2 * n_tokens) for name, text in SCHEMAS.items()
        }
        requests = {"free": free, **held}
        speeds = {name: list[float]() for name in requests}
        for number in range(-1, self._scale.alternations):  # the first only warms up
            for name, request in requests.items():
                heard = await self._app.hear(replace(request, seed=number + 1))
                if number >= 0:
                    speeds[name].append(heard.worker_tokens_per_s)
        for name in SCHEMAS:
            yield Row(f"answer held to a schema, {name} : free", "tok/s", speeds[name], speeds["free"])

    async def client_cost(self) -> AsyncIterator[Row]:
        """Compare the cost of a token besides llama.cpp late in a long reply with that early in it."""
        early_at, late_at = self._scale.long_reply
        costs = [
            block_costs_s(self._bare.vocab, (early_at, late_at)) for _ in range(self._scale.alternations)
        ]
        early, late = ([cost[index] * 1e6 for cost in costs] for index in (0, 1))
        yield Row(f"client's cost of token {late_at} : {early_at}", "µs", late, early, "<=1.1")

    async def second_turn(self) -> AsyncIterator[Row]:
        """Take a second turn with and without idle time, regenerate it, and take it with llama-server."""
        scale, app = self._scale, await self._settled()
        first = replace(
            self._job.request(1),
            mode=ThinkingMode.THINK,
            max_tokens=scale.thinking + scale.answer,
            thinking_budget=scale.thinking,
            prefix=THINKING_START,
        )
        reply = (await app.hear(first)).message
        found: dict[bool, list[Heard]] = {True: [], False: []}
        again: list[Heard] = []
        server_s: list[float] = []
        server = self._server()
        most_evaluated = 0
        for number in range(scale.alternations):
            for rests in (False, True) if number % 2 else (True, False):
                # As after that reply, without decoding it again.
                ended = (await app.hear(replace(first, prefix=reply, max_tokens=1))).message
                if rests:
                    await app.engine.wait_idle()
                request = replace(
                    first,
                    messages=(*first.messages, ended, FOLLOW_UP),
                    max_tokens=8,
                    thinking_budget=None,
                    prefix=None,
                )
                found[rests].append(await app.hear(request))
                again.append(await app.hear(request))
                if not most_evaluated:
                    measure = await app.engine.count_tokens(request)
                    most_evaluated = measure.total - sum(measure.per_message[:-1]) + 2
                if server and rests:
                    question = ChatMessage(Role.USER, f"{number} {self._job.question}")  # it keeps old chats
                    prompt = self._bare.prompt_ids(replace(first, messages=(question,)))
                    server.evaluate([*prompt, *reply.token_ids])
                    server_s.append(server.first_delta_s(_plain((question, ended, FOLLOW_UP))))
        if server:
            server.close()
        rested, at_once = ([one.first_delta_s * 1e3 for one in found[rests]] for rests in (True, False))
        evaluated = [float(one.n_evaluated) for one in found[True]]
        yield Row("second turn's first token, rested : at once", "ms", rested, at_once, "<=0.15")
        if server_s:
            beside_ms = [seconds * 1e3 for seconds in server_s]
            yield Row("second turn's first token, rested : llama-server", "ms", rested, beside_ms, "<=0.2")
        yield Row(
            "second turn evaluates : message and template + 2", "tok", evaluated, [most_evaluated], "<=1"
        )
        yield Row("regenerate evaluates : 8", "tok", [float(one.n_evaluated) for one in again], [8.0], "<=1")

    async def stops(self) -> AsyncIterator[Row]:
        """Stop at random moments of prompt evaluation, decoding and idle evaluation."""
        count = max(2, self._scale.stops // 3)
        long_question = WORD * (2 * self._scale.prompt)
        evaluating, decoding, idle = list[float](), list[float](), list[float]()
        await self._app.hear(self._asked("loads the model", max_tokens=1))
        for number in range(count):
            request = self._asked(f"{number} {long_question}", max_tokens=None)
            evaluating.append(await self._app.stop_s(request, self._random.uniform(0.005, 0.2)))
            request = self._asked(f"{number}", max_tokens=None)
            decoding.append(await self._app.stop_s(request, self._random.uniform(0.1, 0.5)))
            request = self._asked(f"{number} idle", max_tokens=40, mode=ThinkingMode.THINK)
            after = (await self._app.hear(request)).message
            idle.append(await self._app.idle_stop_s(request, after, self._random.uniform(0, 0.05)))
        moments = {"prompt evaluation": evaluating, "decoding": decoding, "idle evaluation": idle}
        for name, times in moments.items():
            stop_ms = [_p99(times) * 1e3]
            yield Row(f"stop in {name}, p99 of {count} : 50 ms", "ms", stop_ms, [STOP_LIMIT_MS], "<=1")

    async def depths(self) -> AsyncIterator[Row]:
        """Decode at several depths beside llama-bench."""
        bench = self._llama_bench()
        app = await self._settled()
        for depth, min_ratio in self._scale.depths.items():
            request = self._asked(WORD * max(1, depth - 20), max_tokens=32, guesses=False, chat_id=1)
            ours, theirs = list[float](), list[float]()
            for number in range(-1, self._scale.alternations):
                speed = (await app.hear(replace(request, seed=number + 1))).worker_tokens_per_s
                await app.engine.wait_idle()
                if number >= 0:
                    ours.append(speed)
                    theirs.append(bench.decode_tokens_per_s(32, depth))
            app.engine.remove_snapshot(1)  # its cells would slow the next depth down
            name = f"decode at depth {depth} : llama-bench"
            yield Row(name, "tok/s", ours, theirs, f">={min_ratio}")

    async def prompts(self) -> AsyncIterator[Row]:
        """Evaluate prompts of several lengths beside llama-bench."""
        bench = self._llama_bench()
        app = await self._settled()
        for length in self._scale.prompts:
            ours, theirs = list[float](), list[float]()
            for number in range(self._scale.alternations):
                request = self._asked(f"{number} {WORD * (length - 20)}", max_tokens=1, chat_id=1)
                ours.append((await app.hear(request)).prompt_tokens_per_s)
                await app.engine.wait_idle()  # otherwise it would time threads while llama-bench runs
                app.engine.remove_snapshot(1)  # llama-bench has no other chat in its cache, either
                theirs.append(bench.prompt_tokens_per_s(length))
            yield Row(f"evaluate {length} tokens : llama-bench", "tok/s", ours, theirs, ">=0.95")

    async def libraries(self) -> AsyncIterator[Row]:
        """Compare what the app chooses by itself with llama-cpp-python, llama-bench and llama-server."""
        sizes = Sizes(self._scale.prompts, self._scale.library_depths, self._scale.alternations)
        for kv_type in self._scale.kv_types:
            measurement = LibraryRows(
                self._path, kv_type, sizes, self._folder, self._programs, self.n_threads
            )
            async for row in measurement.rows():
                yield row

    async def _settled(self) -> AppEngine:
        """Return the engine as users have it, after its calibration."""
        if not self._is_settled:
            await self._as_used.settle_in(self._asked(WORD * self._scale.prompt, max_tokens=8))
            self._is_settled = True
        return self._as_used

    def _asked(self, text: str, **changes: object) -> ChatRequest:
        request = replace(self._job.request(0), messages=(ChatMessage(Role.USER, text),))
        return replace(request, **changes)  # type: ignore[arg-type]

    def _server(self) -> LlamaServer | None:
        if self._programs is None:
            return None
        return LlamaServer(self._programs / "llama-server", self._path, self._folder / "server.log")

    def _llama_bench(self) -> LlamaBench:
        assert self._programs is not None
        return LlamaBench(self._programs / "llama-bench", self._path)


def _plain(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Return messages as a client of llama-server sends them: of an earlier reply only the answer."""
    return [{"role": message.role.value, "content": message.content} for message in messages]


def _p99(times_s: Sequence[float]) -> float:
    return quantiles(times_s, n=100, method="inclusive")[98]
