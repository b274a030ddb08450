"""The speed of the engine compared with bare llama.cpp, the `Llama` class, llama-bench and llama-server.

Each row of the table is a ratio of two sides that took turns. With the real shape of 0.6B it takes about 12
minutes on two cores, about 25 with `--llama-bin`; nothing else should run meanwhile. `--only` selects steps,
`--at` the sizes of prompts and depths. With the extra `fast-cpu`, both native libraries are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.engine_rows import Bench, Scale
from benchmarks.made_up_files import QUANTS, made_up_file
from benchmarks.random_model import SHAPES
from benchmarks.ratios import Row, line, table
from qwen3_chat.engine.native_libraries import has_fast_library
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType

WHOLE = Scale(
    alternations=9,
    decoded=512,
    prompt=512,
    thinking=400,
    answer=400,  # includes the forced end of the thinking
    stops=200,
    long_reply=(500, 8000),
    depths={0: 0.75, 1024: 1.3, 3072: 1.5},
    prompts=(1024, 3072),
    library_depths=(0, 1024, 3072, 8192),
)
QUICK = Scale(
    alternations=3,
    decoded=48,
    prompt=128,
    thinking=60,
    answer=80,
    stops=24,
    long_reply=(500, 2000),
    depths={0: 0.75, 512: 1.0},
    prompts=(512,),
    library_depths=(0, 512),
)


Step = Callable[[Bench], AsyncIterator[Row]]

STEPS: dict[str, Step] = {
    "decode": Bench.decode,
    "guesses": Bench.guesses,
    "schema": Bench.schema,
    "client-cost": Bench.client_cost,
    "second-turn": Bench.second_turn,
    "stops": Bench.stops,
}
STEPS_WITH_FAST_LIBRARY: dict[str, Step] = {"libraries": Bench.libraries}
STEPS_WITH_PROGRAMS: dict[str, Step] = {"depths": Bench.depths, "prompts": Bench.prompts}


async def rows(bench: Bench, steps: Iterable[Step]) -> AsyncIterator[Row]:
    """Yield the rows of one step after the other."""
    for step in steps:
        async for row in step(bench):
            yield row


async def measure(bench: Bench, steps: Iterable[Step]) -> None:
    """Print each row of the table as soon as it is measured; end all processes at the end."""
    print(table([]), flush=True)
    try:
        async for row in rows(bench, steps):
            print(line(row), flush=True)
    finally:
        await bench.close()


def main(argv: Sequence[str]) -> int:
    """Make a model if none is given, measure all sides in this run, print the table."""
    parser = argparse.ArgumentParser(prog="bench engine", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, help="of the made-up model (default: 0.6B)")
    parser.add_argument("--quant", choices=QUANTS, help="of the made-up model (default: Q4_K_M)")
    parser.add_argument("--gguf", type=Path, help="measure this model instead")
    parser.add_argument("--llama-bin", type=Path, metavar="DIR", help="with llama-bench and llama-server")
    parser.add_argument(
        "--only",
        choices=[*STEPS, *STEPS_WITH_FAST_LIBRARY, *STEPS_WITH_PROGRAMS],
        action="append",
        help="this step",
    )
    parser.add_argument("--at", type=int, action="append", help="this size of prompts and depths")
    parser.add_argument("--kv-type", choices=list(KvType), help="of the libraries (default: each)")
    parser.add_argument("--alternations", type=int, help="of the sides (default: 9)")
    parser.add_argument("--threads", type=int, help="default: what the engine takes by itself")
    parser.add_argument("--quick", action="store_true", help="a small model, few and short rounds")
    options = parser.parse_args(argv)
    scale = QUICK if options.quick else WHOLE
    if options.alternations:
        scale = scale.with_alternations(max(2, options.alternations))
    if options.at:
        scale = scale.at(options.at)
    if options.kv_type:
        scale = replace(scale, kv_types=(KvType(options.kv_type),))
    available = {
        **STEPS,
        **(STEPS_WITH_FAST_LIBRARY if has_fast_library() else {}),
        **(STEPS_WITH_PROGRAMS if options.llama_bin else {}),
    }
    names = options.only or list(available)
    if missing := [name for name in names if name not in available]:
        parser.error(f"{' and '.join(missing)}: only with --llama-bin, or the extra fast-cpu")
    shape = options.shape or ("small" if options.quick else "0.6B")
    path = options.gguf or made_up_file(shape, options.quant or ("Q8_0" if options.quick else "Q4_K_M"))
    size_mb = path.stat().st_size / 1e6
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(path, scale, options.threads, options.llama_bin, Path(folder))
        print(
            f"{path.stem}, {size_mb:.0f} MB, threads: {bench.n_threads}, {scale.alternations} alternations\n"
        )
        asyncio.run(measure(bench, [available[name] for name in names]))
    return 0
