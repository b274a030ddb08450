"""The command that holds the conversations with any engine that the app itself can use."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.bench import Bench
from conformance.column import column, hold_conversations
from conformance.features import MISSING_FEATURES, Cell
from qwen3_chat.cli.engine_composition import make_engine
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.engine import Engine
from qwen3_chat.errors import Qwen3ChatError


def run(argv: Sequence[str]) -> int:
    """Hold all conversations and return the exit status, 1 if one failed."""
    parser = argparse.ArgumentParser(prog="conversations", description=__doc__)
    parser.add_argument("--endpoint", metavar="NAME|URL")
    parser.add_argument("--server", metavar="KIND")
    parser.add_argument("--model", metavar="NAME[:QUANT]")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--ctx", type=int)
    options = parser.parse_args(argv)
    choice = ModelChoice(
        model=options.model,
        gguf=options.gguf,
        ctx=options.ctx,
        endpoint=options.endpoint,
        server=options.server,
    )
    paths = find_paths()
    try:
        engine = make_engine(choice, read_settings(paths.settings_file).settings, paths)
    except Qwen3ChatError as error:
        print(error, file=sys.stderr)
        return 1
    return asyncio.run(_talk(engine))


async def _talk(engine: Engine) -> int:
    bench = Bench.from_engine(engine)
    n_wrong = 0
    try:
        async for name, wrong in hold_conversations(bench):
            n_wrong += bool(wrong)
            print(f"{'✗' if wrong else '✓'} {name}{f': {wrong}' if wrong else ''}", flush=True)
    finally:
        await engine.close()
    print()
    for feature, cell in column(bench).items():
        sentence = MISSING_FEATURES[feature].sentence if cell is Cell.NOT_OFFERED else ""
        print(f"{feature:<38} {cell:<20} {sentence}".rstrip())
    return int(n_wrong > 0)
