"""The predicted speed of models beside the measured one, both in this run: the kernels first, then the model.

The models have real shapes and zeros for weights, so that they take no room on the disk. All is measured by
the time that each thread computes, so that other programs disturb little; with `--elapsed` the clock counts,
which only makes sense where nothing else runs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.made_up_files import FOLDER
from benchmarks.random_model import SHAPES, write_model
from qwen3_chat.engine.cpu_cores import default_threads
from qwen3_chat.engine.worker.__main__ import ENVIRONMENT
from qwen3_chat.engine.worker.trial_context import TrialPlan
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import cpu_plan, network_parts
from qwen3_chat.models.fit.speed import prompt_tokens_per_s, tokens_per_s
from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.kernel_speeds import KernelSpeeds
from qwen3_chat.request import DEFAULT_CPU_UBATCH, KvType
from qwen3_chat.texts.formatting import GIB

MODELS = (("0.6B", "Q8_0"), ("0.6B", "Q4_K_M"), ("4B", "Q4_K_M"), ("30B-A3B, 12 layers", "Q4_K_M"))
DEPTHS = (256, 2048)
N_CTX = 4096
LIMIT = 0.25
"""The largest acceptable difference between a prediction and what was measured."""


@dataclass(slots=True)
class _Row:
    """The predicted and the measured speeds of one case, round by round."""

    name: str
    predicted: list[float] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return median(self.predicted) / median(self.measured)

    def __str__(self) -> str:
        mark = "" if abs(self.ratio - 1) <= LIMIT else " !"
        spread = f"{min(self.measured):.1f} to {max(self.measured):.1f}"
        predicted, measured = median(self.predicted), median(self.measured)
        return f"{self.name:44}{predicted:>10.1f}{measured:>10.1f}{self.ratio:>8.2f}  {spread}{mark}"


class ChatPlan(TrialPlan):
    """A trial in a context that is as large as in a chat: its rows of values lie as far apart."""

    @property
    def n_ctx(self) -> int:
        """The size of the context."""
        return N_CTX


def hollow_file(shape: str, quant: str, folder: Path = FOLDER) -> Path:
    """Return the file of a shape with zeros for weights; make it if it is missing."""
    path = folder / f"{shape}-{quant}-hollow.gguf"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial_file = path.with_suffix(".part")
        write_model(partial_file, SHAPES[shape], is_hollow=True, quant=quant)
        partial_file.replace(path)
    return path


def compare(
    path: Path, name: str, rounds: int, depths: Sequence[int], n_threads: int, uses_cpu_time: bool
) -> list[_Row]:
    """Measure the kernels and a model in turns."""
    from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

    from qwen3_chat.engine.cpu_cores import default_prompt_threads
    from qwen3_chat.engine.worker.abort_flag import AbortFlag
    from qwen3_chat.engine.worker.llama_cpp_library import LlamaCppModel
    from qwen3_chat.engine.worker.trial_context import TrialContext

    params = L.llama_model_default_params()
    params.n_gpu_layers = 0
    model = L.llama_model_load_from_file(str(path).encode(), params)
    contexts = {
        depth: TrialContext(
            LlamaCppModel(model),
            ChatPlan(False, KvType.F16, DEFAULT_CPU_UBATCH, depth),
            n_threads,
            AbortFlag(),
        )
        for depth in depths
    }
    decoding = {depth: _Row(f"{name}, after {depth} tokens") for depth in depths}
    reading = _Row(f"{name}, a prompt of {depths[0]} tokens")
    for context in contexts.values():
        context.fill()
    for _ in range(rounds):
        kernels = _measure_kernels(n_threads, uses_cpu_time)
        for depth, context in contexts.items():
            seconds = context.time_token_s(n_threads, uses_cpu_time=uses_cpu_time)
            decoding[depth].measured.append(1 / seconds)
            decoding[depth].predicted.append(_predict(path, kernels, depth))
        context = contexts[depths[0]]
        seconds = context.time_prompt_token_s(default_prompt_threads(), DEFAULT_CPU_UBATCH, uses_cpu_time)
        reading.measured.append(1 / seconds)
        reading.predicted.append(
            _predict_prompt(path, kernels, 3 * depths[0])
        )  # its mean depth is half of that
    for context in contexts.values():
        context.close()
    L.llama_model_free(model)
    return [*decoding.values(), reading]


def _measure_kernels(n_threads: int, uses_cpu_time: bool) -> KernelSpeeds:
    from qwen3_chat.engine.wire import DeviceKind
    from qwen3_chat.engine.worker.kernel_meter import measure_device

    return measure_device(0, DeviceKind.CPU, 16 * GIB, n_threads, uses_cpu_time)


def _predict(path: Path, kernels: KernelSpeeds, depth: int) -> float:
    shape, weights, machine, plan = _planned(path, kernels)
    return tokens_per_s(shape, machine, plan.context, *network_parts(shape, weights, 0, 0), depth)


def _predict_prompt(path: Path, kernels: KernelSpeeds, n_tokens: int) -> float:
    shape, weights, _, plan = _planned(path, kernels)
    _, on_cpu = network_parts(shape, weights, 0, 0)
    return prompt_tokens_per_s(shape, kernels, plan.context, on_cpu, n_tokens)


def _planned(path: Path, kernels: KernelSpeeds) -> tuple[Any, Any, Machine, Any]:
    header = read_file(path)
    assert header.shape
    assert header.weights
    machine = Machine(64 * GIB, 1.0, kernels=kernels)
    return (
        header.shape,
        header.weights,
        machine,
        cpu_plan(header.shape, header.weights, machine, N_CTX, KvType.F16),
    )


def main(argv: Sequence[str]) -> int:
    """Compare all models, print a table; return 1 where a generating speed is predicted too badly."""
    parser = argparse.ArgumentParser(prog="bench fit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="models whose name starts like this")
    parser.add_argument("--threads", type=int, help="of a token (default: what the engine begins with)")
    parser.add_argument("--elapsed", action="store_true", help="measure by the clock")
    parser.add_argument("--quick", action="store_true", help="a small model, one round")
    options = parser.parse_args(argv)
    os.environ.update(ENVIRONMENT)  # before llama.cpp is loaded
    from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

    quiet = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(quiet, None)
    models = (("small", "Q8_0"), ("small-moe", "Q4_K_M")) if options.quick else MODELS
    rounds, depths = (1, (64, 128)) if options.quick else (options.rounds, DEPTHS)
    n_threads = options.threads or default_threads()
    kernels = _measure_kernels(n_threads, not options.elapsed)
    print(f"weights are read at {kernels.bytes_per_s / 1e9:.1f} GB/s at best; tokens per second:")
    print(f"{'':44}{'predicted':>10}{'measured':>10}{'ratio':>8}  range")
    is_met = True
    for shape, quant in models:
        if not shape.startswith(options.only or ""):
            continue
        rows = compare(
            hollow_file(shape, quant), f"{shape} {quant}", rounds, depths, n_threads, not options.elapsed
        )
        print(*rows, sep="\n", flush=True)
        is_met = is_met and all(abs(row.ratio - 1) <= LIMIT for row in rows[:-1])
    L.llama_log_set(L.llama_log_callback(), None)
    return 0 if is_met or options.quick else 1
