"""Model files with faults: each is loaded and asked in the real engine, and listed among the models."""

from __future__ import annotations

import asyncio
import tempfile
from itertools import islice
from pathlib import Path

from attacks.report import Options, Report
from engine_trials import Costs, try_file
from gguf_mutations import bad_files
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.models.library import list_installed_models
from qwen3_chat.models.picker.model_table import identify_models

COUNT = 160


def attack(options: Options) -> Report:
    """Try so many files; what is not told in a sentence within the limits is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_attack(options, Path(folder)))


async def _attack(options: Options, folder: Path) -> Report:
    report = Report()
    good, log_path = DEMO_FILE.read_bytes(), folder / "engine.log"
    usual = await try_file(DEMO_FILE, log_path)
    report.check(not usual.sentence, f"the good file: {usual.sentence}")
    costs = Costs(usual.peak_bytes, with_times=options.count is None)
    path = folder / "models" / "bad.gguf"
    path.parent.mkdir()
    for bad in islice(bad_files(good, options.seed), options.count or COUNT):
        path.write_bytes(bad.data)
        costs.add(bad.fault, await try_file(path, log_path), report)
        _list_models(bad.fault, path.parent, report)
    report.figures |= costs.figures() | {"the same turn with a good file": f"{usual.seconds:.1f} s"}
    return report


def _list_models(fault: str, folder: Path, report: Report) -> None:
    """Read the folder as the models screen does."""
    try:
        identify_models(list_installed_models(folder))
    except Exception as error:  # what the attack looks for
        report.failures.append(f"{fault}: listing raised {error!r}")
