"""The latency of the transcript beside Textual's `Markdown` widgets, and beside an app with one `Input`."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from benchmarks.ui_measures import SIZE, Side, measure
from benchmarks.ui_start import BARE_NAME, Start, starts
from benchmarks.ui_streams import TEXTS, TOKENS_PER_S, Stream, stream

T = TypeVar("T")
MEASURES = ("open", "key", "page up", "page down", "width", "theme")
ENDLESS_PART = 4
"""The divisor that gives the tokens of a single endless block from those of the mixed answer."""
MIN_TOKENS = 800


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a process of its own, so that no side has the memory and caches of another."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def milliseconds(median_s: float, p99_s: float) -> str:
    """Return two times as text."""
    return f"{median_s * 1e3:,.1f} / {p99_s * 1e3:,.1f}" if median_s else "-"


def table(sides: Sequence[tuple[str, Side]]) -> str:
    """Return a table with a line per measure and a column per side."""
    lines = ["median / p99, ms".ljust(24) + "".join(f"{name:>24}" for name, _ in sides)]
    for measurement in MEASURES:
        cells = [
            f"{side.median_s(measurement) * 1e3:,.1f} / {side.p99_s(measurement) * 1e3:,.1f}"
            if measurement in side.times_s
            else "-"
            for _, side in sides
        ]
        lines.append(measurement.ljust(24) + "".join(f"{cell:>24}" for cell in cells))
    lines.append("widgets".ljust(24) + "".join(f"{side.widgets:>24,}" for _, side in sides))
    lines.append("memory, MB".ljust(24) + "".join(f"{side.memory_bytes / 1e6:>24,.0f}" for _, side in sides))
    return "\n".join(lines)


def ratios(ours: Side, markdown: Side, bare: Side) -> str:
    """Return the comparison of the transcript with the other sides."""
    key_medians, key_p99s = ours.median_s("key") / bare.median_s("key"), ours.p99_s("key") / bare.p99_s("key")
    return "\n".join(
        [
            f"opens {markdown.median_s('open') / ours.median_s('open'):,.0f} times as fast as those widgets,",
            f"  shows a key {markdown.median_s('key') / ours.median_s('key'):.1f} times as fast (median), "
            f"{markdown.p99_s('key') / ours.p99_s('key'):.1f} times (p99),",
            f"  shows a key in {key_medians:.2f} times the bare app's median, {key_p99s:.2f} times its p99,",
            f"  needs {(ours.memory_bytes - bare.memory_bytes) / 1e6:.0f} MB more than the bare app.",
        ]
    )


def streams_table(streams: Sequence[Stream]) -> str:
    """Return a table with a line per streamed text."""
    lines = [
        f"{f'at {TOKENS_PER_S} tok/s':24}{'tokens':>8}{'µs/token: start':>17}{'end':>8}{'ratio':>8}"
        f"{'core':>8}{'key median / p99, ms':>24}"
    ]
    for streamed in streams:
        lines.append(
            f"{streamed.kind:24}{streamed.n_tokens:>8,}{streamed.start_s * 1e6:>17,.0f}"
            f"{streamed.end_s * 1e6:>8,.0f}{streamed.growth:>8.2f}{streamed.cpu_share:>8.1%}"
            f"{milliseconds(streamed.key_median_s, streamed.key_p99_s):>24}"
        )
    return "\n".join(lines)


def starts_table(measured: Sequence[Start]) -> str:
    """Return a table with a line per way to start."""
    bare = next(start for start in measured if start.name == BARE_NAME)
    lines = [f"{'start, ms':44}{'median':>10}{'slowest':>10}{'processor':>11}{'to a bare app':>20}"]
    for start in measured:
        ratios = start.median_s / bare.median_s, start.median_cpu_s / bare.median_cpu_s
        lines.append(
            f"{start.name[:42]:44}{start.median_s * 1e3:>10,.0f}{max(start.times_s) * 1e3:>10,.0f}"
            f"{start.median_cpu_s * 1e3:>11,.0f}{ratios[0]:>12.2f} ×{ratios[1]:>6.2f}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Measure all sides in this run and print the tables."""
    parser = argparse.ArgumentParser(prog="bench ui", description=__doc__)
    parser.add_argument(
        "--answers", type=int, default=2000, help="answers of about 50 rows (default: 2000), with questions"
    )
    parser.add_argument("--rounds", type=int, default=200, help="keys and pages each (default: 200)")
    parser.add_argument(
        "--widgets", type=int, default=25, help="answers given to Markdown widgets (default: 25)"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=20_000,
        help=f"length of the streamed answer (default: 20000), {MIN_TOKENS} at least; 0 for none",
    )
    parser.add_argument("--starts", type=int, default=9, help="starts of the program (default: 9)")
    parser.add_argument(
        "--peer",
        nargs=2,
        action="append",
        default=[],
        metavar=("TEXT", "COMMAND"),
        help="another program to start, timed until this text is on its screen",
    )
    arguments = parser.parse_args(argv)
    if arguments.tokens and arguments.tokens < MIN_TOKENS:
        parser.error(f"--tokens takes 0, or at least {MIN_TOKENS}: no key would be pressed meanwhile")
    answers, rounds = max(1, arguments.answers), max(1, arguments.rounds)
    ours = apart(measure, "transcript", answers, rounds)
    bare = apart(measure, "bare", 0, rounds)
    markdown = apart(measure, "markdown", max(1, arguments.widgets), rounds)
    print(f"{answers:,} answers with as many questions, terminal {SIZE[0]}x{SIZE[1]}")
    name = f"{arguments.widgets} Markdown pairs"
    print(table([("transcript", ours), (name, markdown), ("bare app", bare)]))
    print(f"The transcript {ratios(ours, markdown, bare)}")
    if tokens := arguments.tokens:
        endless = max(1, tokens // ENDLESS_PART)
        lengths = {kind: tokens if kind == "mixed" else endless for kind in TEXTS} | {"nothing": endless}
        print("\nAn answer streamed into that chat, keys pressed meanwhile:")
        print(streams_table([apart(stream, kind, answers, length) for kind, length in lengths.items()]))
    if arguments.starts > 0:
        print(f"\n{starts_table(starts(arguments.starts, arguments.peer))}")
    return 0
