"""Hostile chat templates in the file of the demo model, in the real engine."""

from __future__ import annotations

import asyncio
import random
import struct
import tempfile
from pathlib import Path

from attacks.report import Options, Report
from engine_trials import Costs, try_file
from gguf_mutations import HeaderLayout
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.models.gguf import read_file
from tests.engine.hostile_templates import BOUNDED, EMPTY, ENDLESS

_KEY = b"tokenizer.chat_template"
_TEXT = struct.pack("<I", 8)
_ALIGNMENT_BYTES = 32


def attack(options: Options) -> Report:
    """Try the templates, in a random order where only some are tried; each ends in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_attack(options, Path(folder)))


async def _attack(options: Options, folder: Path) -> Report:
    report = Report()
    log_path, path = folder / "engine.log", folder / "hostile.gguf"
    sources = ENDLESS | {name: source for name, (source, _) in BOUNDED.items()} | EMPTY
    names = list(sources)
    random.Random(options.seed).shuffle(names)
    usual = await try_file(DEMO_FILE, log_path)
    report.check(not usual.sentence, f"the good file: {usual.sentence}")
    costs = Costs(usual.peak_bytes, with_times=options.count is None)
    for name in names[: options.count]:
        path.write_bytes(with_template(DEMO_FILE, sources[name]))
        trial = await try_file(path, log_path)
        costs.add(name, trial, report)
        report.check(bool(trial.sentence), f"{name}: passed for a template")
    report.figures |= costs.figures() | {"the same turn with a good file": f"{usual.seconds:.1f} s"}
    return report


def with_template(path: Path, source: str) -> bytes:
    """Return a model file with another chat template, of any length."""
    data, weights_at = path.read_bytes(), read_file(path).weights_start_bytes
    at = data.index(struct.pack("<Q", len(_KEY)) + _KEY + _TEXT) + 8 + len(_KEY) + len(_TEXT)
    (size,) = struct.unpack_from("<Q", data, at)
    text = source.encode()
    header = data[:at] + struct.pack("<Q", len(text)) + text + data[at + 8 + size : HeaderLayout(data).end]
    return header + bytes(-len(header) % _ALIGNMENT_BYTES) + data[weights_at:]
