"""The measurement of a device's kernels, through ggml's own interface, with the build that will run a model.

All numbers are zeros: the time of a multiplication does not depend on them. The matrices lie where llama.cpp
would put them, repacked where it would repack them. They are as large as those of a network and used one
after the other: each is new to the caches, and begins anew.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import takewhile
from statistics import median
from typing import Any, Final, Self, TypeVar

import psutil

from qwen3_chat.engine.cpu_cores import default_prompt_threads, usable_cores
from qwen3_chat.engine.wire import DeviceKind, MeasuredDevice
from qwen3_chat.engine.worker.llama_bindings import ggml_device, ggml_function, list_ggml_devices
from qwen3_chat.models.kernel_speeds import LONG_CELLS, NARROW, SHORT_CELLS, WIDE, Curve, KernelSpeeds

MIN_ROUNDS, STEADY_ROUNDS, MAX_ROUNDS, BUDGET_S = 2, 4, 12, 1.5
"""The number of times that everything is measured, in turns: until all are steady, at most for a while."""
UNDISTURBED: Final = 1.25
"""The ratio of a time to the shortest one from which on something disturbed it.

That makes it 2 to 10 times as long, in half of the rounds on a machine that has other work. Of the others the
median counts, as with a model: memory itself is faster or slower by a fifth from one moment to the next.
"""
MIN_UNITS_SHARE: Final = 0.5
"""The least share of a time that is no start of an operation."""
MAX_OTHERS_SHARE, MIN_WATCHED_S = 0.1, 0.3
"""The share of all processors from which on other programs disturb, and the time in which that is seen.

Threads wait for each other, busily.
"""
_NICE = 5
_MEASURED_KINDS = (DeviceKind.CPU, DeviceKind.GPU, DeviceKind.INTEGRATED_GPU)
_CPU_MATRIX_BYTES, _GPU_MATRIX_BYTES = 32 << 20, 256 << 20
_MEMORY_SHARE = 1 / 32  # of the free memory, for the matrix of each type
_MIN_MATRIX_BYTES = 8 << 20
_GPU_REPEATS = 8  # a GPU takes its time to begin

_F32, _F16, _Q8_0, _Q4_K, _Q6_K, _I32 = 0, 1, 8, 12, 14, 26  # ggml_type
_BITS: Final = {_Q4_K: 4.5, _Q6_K: 6.5625, _Q8_0: 8.5, _F16: 16.0}
_EXPERT_TYPE = _Q4_K
_PROMPT_ROWS, _CHUNK = 512, 128
_HEAD, _KV_HEADS, _HEADS, _CELLS = 128, 8, 32, LONG_CELLS
_ROOM_CELLS = 4096
_N_NARROW = 4  # small matrices: each begins anew
_EXPERT_COLUMNS, _EXPERT_ROWS, _EXPERTS, _EXPERTS_USED = 2048, 768, 64, 8
_SMALL_WIDTH, _SMALL_PAIRS = 64, 100
_MAX_NODES, _MAX_TENSORS, _MAX_GRAPHS = 512, 2048, 32

WorkT = TypeVar("WorkT")

_P, _N = ctypes.c_void_p, ctypes.c_int64


class _InitParams(ctypes.Structure):
    """`ggml_init_params` of ggml.h."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", _P), ("no_alloc", ctypes.c_bool))


class MeasurementError(Exception):
    """A device that lacks the memory or an operation for the measurement, or that other programs use."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A graph that is ready to run, with the number of units of work in it.

    The start of each of its `n_starts` operations is not part of a unit: it counts by itself.
    """

    graph: Any
    n_units: float
    n_threads: int
    n_starts: int = 0


def measure_devices() -> tuple[MeasuredDevice, ...]:
    """Measure all devices that a model could run on, with less right to the processor than other programs.

    Those are left out that other programs disturb.
    """
    with suppress(AttributeError, OSError):  # no such call on Windows
        os.nice(_NICE)
    are_others_busy = BusyMachine()
    measured = []
    for index, device in enumerate(list_ggml_devices()):
        if device.kind in _MEASURED_KINDS:
            is_cpu = device.kind is DeviceKind.CPU
            free_bytes = psutil.virtual_memory().available if is_cpu else device.free_bytes
            with suppress(MeasurementError):
                kernels = measure_device(index, device.kind, free_bytes, are_others_busy=are_others_busy)
                measured.append(MeasuredDevice(device.description, kernels))
    return tuple(measured)


class BusyMachine:
    """The answer to whether other programs have used much of the processors since it was made."""

    def __init__(self) -> None:
        self._begin_s, self._begin_others_s = time.perf_counter(), _others_s()

    def __call__(self) -> bool:
        """Return True if they have; never at the very beginning, as the system counts in hundredths."""
        elapsed_s = time.perf_counter() - self._begin_s
        if elapsed_s < MIN_WATCHED_S:
            return False
        return _others_s() - self._begin_others_s > MAX_OTHERS_SHARE * elapsed_s * (psutil.cpu_count() or 1)


def _others_s() -> float:
    """Return the processor time that all other programs have used since the system started, in seconds."""
    times = psutil.cpu_times()
    not_working = ("idle", "iowait", "guest", "guest_nice")  # a guest's time is in that of the user as well
    return sum(times) - sum(getattr(times, name, 0.0) for name in not_working) - time.process_time()


def measure_device(
    index: int,
    kind: DeviceKind,
    free_bytes: int,
    n_threads: int | None = None,
    uses_cpu_time: bool = True,
    are_others_busy: Callable[[], bool] = lambda: False,
) -> KernelSpeeds:
    """Measure a device, by its index in the list of ggml's, for about a second.

    Without a number of threads, a token gets all cores, as it does once the engine has tried them. With
    `uses_cpu_time` the time of a processor is that which each of its threads worked, so that other
    programs do not count.

    Raises:
        MeasurementError: it lacks the memory or an operation, or others are busy.
    """
    with _Workbench(index, kind, uses_cpu_time and kind is DeviceKind.CPU) as bench:
        works = _all_works(bench, free_bytes, n_threads or usable_cores())

        def time_s(work: _Work) -> float:
            if are_others_busy():  # nothing that is measured now would be kept
                raise MeasurementError
            return bench.time_s(work)

        return _kernel_speeds(unit_times(works, middle_times(works, time_s)))


def middle_times(works: Mapping[str, WorkT], time_s: Callable[[WorkT], float]) -> dict[str, float]:
    """Do all works in turns until they are steady; return the median of the times that nothing disturbed."""
    times: dict[str, list[float]] = {name: [] for name in works}
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    for number in range(MAX_ROUNDS + 1):
        for name, work in works.items():
            seconds = time_s(work)
            if number:  # the first round only warms up
                times[name].append(seconds)
        used_s = max(time.perf_counter() - begin_s, time.process_time() - begin_cpu_s)
        is_steady = all(len(_undisturbed(row)) >= STEADY_ROUNDS for row in times.values())
        if number >= MIN_ROUNDS and (is_steady or used_s > BUDGET_S):
            break
    return {name: median(_undisturbed(row)) for name, row in times.items()}


def unit_times(works: Mapping[str, _Work], times: Mapping[str, float]) -> dict[str, float]:
    """Return the time of a unit of each work, without the starts of operations, where threads wait."""
    start_s = times["operations"] / works["operations"].n_units
    return {
        name: max(MIN_UNITS_SHARE * times[name], times[name] - work.n_starts * start_s) / work.n_units
        for name, work in works.items()
    }


def _undisturbed(times: Sequence[float]) -> list[float]:
    return [seconds for seconds in times if seconds <= UNDISTURBED * min(times)]


def _kernel_speeds(seconds: dict[str, float]) -> KernelSpeeds:
    def curve(name: str) -> Curve:
        return tuple((bits, seconds[f"{name} {kind}"]) for kind, bits in _BITS.items())

    cache_read_s, attention_s = _parted(seconds["attention"], seconds["attention of single heads"])
    short_cache_read_s, short_attention_s = _parted(
        seconds["short attention"], seconds["short attention of single heads"]
    )
    return KernelSpeeds(
        weights=curve("weights"),
        narrow_weights=curve("narrow"),
        prompt_weights=curve("prompt"),
        expert_factor=seconds["experts"] / seconds["like experts"],
        prompt_expert_factor=seconds["prompt experts"] / seconds[f"prompt {_EXPERT_TYPE}"],
        cache_read_s=cache_read_s,
        attention_s=attention_s,
        short_cache_read_s=short_cache_read_s,
        short_attention_s=short_attention_s,
        quantised_attention_s=seconds["quantised attention"],
        prompt_attention_s=seconds["prompt attention"],
        operation_s=seconds["operations"],
    )


def _parted(shared_s: float, single_s: float) -> tuple[float, float]:
    """Return the time for reading a number of the cache, and for one multiplication by it.

    With more heads to a key, only the multiplications get more.
    """
    n_sharing = _HEADS // _KV_HEADS
    attention_s = max(single_s / 100, (n_sharing * shared_s - single_s) / (n_sharing - 1))
    return max(single_s / 100, single_s - attention_s), attention_s


def _all_works(bench: _Workbench, free_bytes: int, n_threads: int) -> dict[str, _Work]:
    limit_bytes = _CPU_MATRIX_BYTES if bench.is_cpu else _GPU_MATRIX_BYTES
    matrix_bytes = min(limit_bytes, int(free_bytes * _MEMORY_SHARE))
    if matrix_bytes < _MIN_MATRIX_BYTES:
        raise MeasurementError
    repeats = 1 if bench.is_cpu else _GPU_REPEATS
    n_prompt_threads = default_prompt_threads()
    works: dict[str, _Work] = {}
    for kind, bits in _BITS.items():
        for name, columns, n_matrices in (("weights", WIDE, 2), ("narrow", NARROW, _N_NARROW)):
            n_matrices = n_matrices if bench.is_cpu else 1
            share_bytes = matrix_bytes * columns // WIDE / n_matrices
            rows = max(8, int(share_bytes / (columns * bits / 8)) // 8 * 8)  # by eight they are repacked
            works[f"{name} {kind}"] = _multiplications(
                bench, (kind, columns, rows), 1, n_matrices, repeats, n_threads
            )
        works[f"prompt {kind}"] = _multiplications(
            bench, (kind, WIDE, _PROMPT_ROWS), _CHUNK, 1, repeats, n_prompt_threads
        )
    like_experts = (_EXPERT_TYPE, _EXPERT_COLUMNS, _EXPERT_ROWS * _EXPERTS_USED)
    n_alike = _EXPERTS // _EXPERTS_USED
    works["like experts"] = _multiplications(bench, like_experts, 1, n_alike, 1, n_threads)
    works["experts"] = _experts(bench, 1, n_threads)
    works["prompt experts"] = _experts(bench, _CHUNK, n_prompt_threads)
    cache_bytes = 2 * _HEAD * _CELLS * _KV_HEADS * 2
    n_layers = max(1, matrix_bytes // cache_bytes)
    plain = _attention if bench.is_cpu else _flash_attention
    for name, n_heads in (("attention", _HEADS), ("attention of single heads", _KV_HEADS)):
        works[name] = plain(bench, _F16, n_layers, _CELLS, 1, n_heads, n_threads)
        works[f"short {name}"] = plain(bench, _F16, n_layers, SHORT_CELLS, 1, n_heads, n_threads)
    works["quantised attention"] = _flash_attention(bench, _Q8_0, n_layers, _CELLS, 1, _HEADS, n_threads)
    works["prompt attention"] = plain(bench, _F16, 1, _CELLS, _CHUNK // 4, _HEADS, n_prompt_threads)
    works["operations"] = _small_operations(bench, n_threads)
    return works


def _multiplications(
    bench: _Workbench,
    what: tuple[int, int, int],
    n_tokens: int,
    n_matrices: int,
    repeats: int,
    n_threads: int,
) -> _Work:
    """Multiply tokens by each of several matrices, of which `what` is the type and the sizes."""
    _, columns, rows = what
    tokens = bench.tensor(_F32, columns, n_tokens)
    matrices = [bench.weights(what, lambda matrix: bench.multiply(matrix, tokens)) for _ in range(n_matrices)]
    results = [bench.multiply(matrix, tokens) for matrix in matrices * repeats]
    n_units = float(columns * rows * n_tokens * len(results))
    return _Work(bench.graph(results), n_units, n_threads, len(results) if n_tokens == 1 else 0)


def _experts(bench: _Workbench, n_tokens: int, n_threads: int) -> _Work:
    """Multiply by a few of many experts, each time by others."""
    tokens = bench.tensor(_F32, _EXPERT_COLUMNS, 1, n_tokens)
    n_times = _EXPERTS // _EXPERTS_USED if n_tokens == 1 else 1
    choices = [bench.tensor(_I32, _EXPERTS_USED, n_tokens) for _ in range(n_times)]
    matrices = bench.weights(
        (_EXPERT_TYPE, _EXPERT_COLUMNS, _EXPERT_ROWS, _EXPERTS),
        lambda matrices: bench.multiply_by_chosen(matrices, tokens, choices[0]),
    )
    results = [bench.multiply_by_chosen(matrices, tokens, choice) for choice in choices]
    graph = bench.graph(results)
    for number, choice in enumerate(choices):
        first = number * _EXPERTS_USED
        bench.fill(choice, [(first + i) % _EXPERTS for i in range(_EXPERTS_USED * n_tokens)])
    n_weights = _EXPERT_COLUMNS * _EXPERT_ROWS * _EXPERTS_USED
    return _Work(graph, float(n_weights * n_times * n_tokens), n_threads, n_times if n_tokens == 1 else 0)


def _attention(
    bench: _Workbench, kind: int, n_layers: int, n_cells: int, n_tokens: int, n_heads: int, n_threads: int
) -> _Work:
    results = []
    for _ in range(n_layers):
        # token after token, as in a cache
        keys = bench.swapped(bench.tensor(kind, _HEAD, _KV_HEADS, n_cells))
        # the row of a value has room for the whole chat, of which there is only a part
        values = bench.first_columns(bench.tensor(kind, _ROOM_CELLS, _HEAD, _KV_HEADS), n_cells)
        scores = bench.softmax(bench.multiply(keys, bench.tensor(_F32, _HEAD, n_tokens, n_heads)))
        results.append(bench.multiply(values, scores))
    n_steps = _attention_steps(n_layers, n_cells, n_tokens, n_heads)
    return _Work(bench.graph(results), n_steps, n_threads, 3 * n_layers if n_tokens == 1 else 0)


def _flash_attention(
    bench: _Workbench, kind: int, n_layers: int, n_cells: int, n_tokens: int, n_heads: int, n_threads: int
) -> _Work:
    results = []
    for _ in range(n_layers):
        keys, values = (bench.swapped(bench.tensor(kind, _HEAD, _KV_HEADS, n_cells)) for _ in range(2))
        results.append(bench.flash_attention(bench.tensor(_F32, _HEAD, n_tokens, n_heads), keys, values))
    n_steps = _attention_steps(n_layers, n_cells, n_tokens, n_heads)
    return _Work(bench.graph(results), n_steps, n_threads, n_layers if n_tokens == 1 else 0)


def _attention_steps(n_layers: int, n_cells: int, n_tokens: int, n_heads: int) -> float:
    return float(2 * _HEAD * n_cells * n_heads * n_layers * n_tokens)


def _small_operations(bench: _Workbench, n_threads: int) -> _Work:
    """Do many operations on a few numbers, each of which waits for the one before."""
    matrix, vector = bench.tensor(_F32, _SMALL_WIDTH, _SMALL_WIDTH), bench.tensor(_F32, _SMALL_WIDTH)
    result = vector
    for _ in range(_SMALL_PAIRS):
        result = bench.add(bench.multiply(matrix, result), vector)
    return _Work(bench.graph([result]), 2.0 * _SMALL_PAIRS, n_threads)


class _Workbench:
    """A backend of ggml on one device, with the tensors and graphs that are made on it."""

    def __init__(self, index: int, kind: DeviceKind, uses_cpu_time: bool) -> None:
        self.is_cpu = kind is DeviceKind.CPU
        self._uses_cpu_time = uses_cpu_time
        self._stack = ExitStack()
        self._device = ggml_device(index)
        self._backend = ggml_function("ggml_backend_dev_init", _P, _P, ctypes.c_char_p)(self._device, None)
        if not self._backend:
            raise MeasurementError
        self._stack.callback(ggml_function("ggml_backend_free", None, _P), self._backend)
        self._context = self._new_context()
        self._buffer_type = ggml_function("ggml_backend_dev_buffer_type", _P, _P)(self._device)
        self._set_n_threads = self._registered("ggml_backend_set_n_threads", None, _P, ctypes.c_int)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tensor(self, kind: int, *sizes: int) -> Any:
        """Return a tensor of a type and up to three sizes, not placed yet."""
        padded = (*sizes, 1, 1)[:3]
        return ggml_function("ggml_new_tensor_3d", _P, _P, ctypes.c_int, _N, _N, _N)(
            self._context, kind, *padded
        )

    def multiply(self, one: Any, other: Any) -> Any:
        """Return the product of two tensors."""
        return ggml_function("ggml_mul_mat", _P, _P, _P, _P)(self._context, one, other)

    def multiply_by_chosen(self, matrices: Any, tokens: Any, choice: Any) -> Any:
        """Return the products of tokens with the matrices that are chosen for each."""
        return ggml_function("ggml_mul_mat_id", _P, _P, _P, _P, _P)(self._context, matrices, tokens, choice)

    def swapped(self, tensor: Any) -> Any:
        """Return a view of a tensor with its second and third dimension swapped."""
        return ggml_function("ggml_permute", _P, _P, _P, *(ctypes.c_int,) * 4)(
            self._context, tensor, 0, 2, 1, 3
        )

    def first_columns(self, tensor: Any, n_columns: int) -> Any:
        """Return a view of the first columns of an f16 cache of values."""
        sizes = (ctypes.c_size_t,) * 3
        view = ggml_function("ggml_view_3d", _P, _P, _P, _N, _N, _N, *sizes)
        row_bytes = 2 * _ROOM_CELLS
        return view(self._context, tensor, n_columns, _HEAD, _KV_HEADS, row_bytes, row_bytes * _HEAD, 0)

    def softmax(self, scores: Any) -> Any:
        """Return the softmax of scores."""
        return ggml_function("ggml_soft_max", _P, _P, _P)(self._context, scores)

    def add(self, one: Any, other: Any) -> Any:
        """Return the sum of two tensors."""
        return ggml_function("ggml_add", _P, _P, _P, _P)(self._context, one, other)

    def flash_attention(self, queries: Any, keys: Any, values: Any) -> Any:
        """Return the result of flash attention without a mask."""
        floats = (ctypes.c_float,) * 3
        function = ggml_function("ggml_flash_attn_ext", _P, _P, _P, _P, _P, _P, *floats)
        return function(self._context, queries, keys, values, None, _HEAD**-0.5, 0.0, 0.0)

    def weights(self, what: tuple[int, ...], use: Callable[[Any], Any]) -> Any:
        """Return a matrix by its type and sizes, in the kind of memory that llama.cpp would choose for it.

        `use` makes an operation on it.

        Raises:
            MeasurementError: there is no memory for it, or no such operation.
        """
        supports = ggml_function("ggml_backend_dev_supports_op", ctypes.c_bool, _P, _P)
        allocate = ggml_function("ggml_backend_buft_alloc_buffer", _P, _P, ctypes.c_size_t)
        size_of = ggml_function("ggml_backend_buft_get_alloc_size", ctypes.c_size_t, _P, _P)
        base = ggml_function("ggml_backend_buffer_get_base", _P, _P)
        put = ggml_function("ggml_backend_tensor_alloc", ctypes.c_int, _P, _P, _P)
        for buffer_type in (*self._extra_buffer_types(), self._buffer_type):
            matrix = self.tensor(*what)
            buffer = allocate(buffer_type, size_of(buffer_type, matrix))
            if not buffer:
                raise MeasurementError
            self._keep_buffer(buffer)
            put(buffer, matrix, base(buffer))
            if supports(self._device, use(matrix)):
                self._clear(buffer)
                return matrix
        raise MeasurementError

    def graph(self, results: Sequence[Any]) -> Any:
        """Return the graph of all that leads to some results, with memory for it.

        Raises:
            MeasurementError: there is no memory for it, or the device lacks an operation.
        """
        supports = ggml_function("ggml_backend_dev_supports_op", ctypes.c_bool, _P, _P)
        expand = ggml_function("ggml_build_forward_expand", None, _P, _P)
        new_graph = ggml_function("ggml_new_graph_custom", _P, _P, ctypes.c_size_t, ctypes.c_bool)
        graph = new_graph(self._context, _MAX_NODES, False)
        for result in results:
            expand(graph, result)
        if not all(supports(self._device, result) for result in results):
            raise MeasurementError
        place = ggml_function("ggml_backend_alloc_ctx_tensors_from_buft", _P, _P, _P)
        if not (buffer := place(self._context, self._buffer_type)):
            raise MeasurementError
        self._keep_buffer(buffer)
        self._clear(buffer)
        return graph

    def fill(self, tensor: Any, numbers: Sequence[int]) -> None:
        """Store whole numbers in a tensor."""
        data = struct.pack(f"{len(numbers)}i", *numbers)
        size = ctypes.c_size_t
        ggml_function("ggml_backend_tensor_set", None, _P, ctypes.c_char_p, size, size)(
            tensor, data, 0, len(data)
        )

    def time_s(self, work: _Work) -> float:
        """Run a graph; return the seconds that it took, or that each thread worked.

        Raises:
            MeasurementError: it can't be run.
        """
        if self._set_n_threads:
            self._set_n_threads(self._backend, work.n_threads)
        clock = time.process_time if self._uses_cpu_time else time.perf_counter
        started_s = clock()
        status = ggml_function("ggml_backend_graph_compute", ctypes.c_int, _P, _P)(self._backend, work.graph)
        if status:
            raise MeasurementError
        return max(1e-9, clock() - started_s) / (work.n_threads if self._uses_cpu_time else 1)

    def _new_context(self) -> Any:
        tensor_bytes = ggml_function("ggml_tensor_overhead", ctypes.c_size_t)()
        overhead = ggml_function(
            "ggml_graph_overhead_custom", ctypes.c_size_t, ctypes.c_size_t, ctypes.c_bool
        )
        params = _InitParams(
            _MAX_TENSORS * tensor_bytes + _MAX_GRAPHS * overhead(_MAX_NODES, False), None, True
        )
        context = ggml_function("ggml_init", _P, _InitParams)(params)
        if not context:
            raise MeasurementError
        self._stack.callback(ggml_function("ggml_free", None, _P), context)
        return context

    def _extra_buffer_types(self) -> Iterator[Any]:
        """Yield the kinds of memory in which this device would rather have weights; llama.cpp asks, too."""
        function = self._registered("ggml_backend_dev_get_extra_bufts", ctypes.POINTER(_P), _P)
        if function and (types := function(self._device)):
            yield from takewhile(bool, types)

    def _registered(self, name: str, result: Any, *arguments: Any) -> Any:
        """Return a function that the backend has registered, None without it."""
        registry = ggml_function("ggml_backend_dev_backend_reg", _P, _P)(self._device)
        address = ggml_function("ggml_backend_reg_get_proc_address", _P, _P, ctypes.c_char_p)(
            registry, name.encode()
        )
        return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None

    def _keep_buffer(self, buffer: Any) -> None:
        self._stack.callback(ggml_function("ggml_backend_buffer_free", None, _P), buffer)

    def _clear(self, buffer: Any) -> None:
        ggml_function("ggml_backend_buffer_clear", None, _P, ctypes.c_uint8)(buffer, 0)
