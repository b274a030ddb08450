"""The training of the demo model, and its export as GGUF."""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

# A waiting OpenMP thread must not steal the core from others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from demo_model.batches import MIXED_UNTIL
from demo_model.gguf_file import read_weights, write_gguf
from demo_model.recipe import Recipe
from demo_model.shape import Shape
from demo_model.training import Training
from demo_model.vocabulary import build_vocabulary

CHECKPOINT_EVERY_S = 120


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--steps", type=int, default=Recipe(0).n_steps, help="how many steps the training has"
    )
    parser.add_argument("--bins", type=int, default=Recipe(0).n_bins, help="bins of tokens in a step")
    parser.add_argument("--length", type=int, default=Recipe(0).length, help="tokens in a bin")
    parser.add_argument("--minutes", type=float, help="stop after this time; a later run can resume")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw the data")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/demo.pt"))
    parser.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint where there is one"
    )
    parser.add_argument(
        "--after",
        type=Path,
        metavar="FILE",
        help="train the model of a checkpoint or a GGUF file further, by drills at half the rate",
    )
    parser.add_argument(
        "--app-tools",
        type=float,
        metavar="RATE",
        help="teach the app's own tools, on processors, with --after; how fast, 0.01 for instance",
    )
    parser.add_argument(
        "--export", type=Path, metavar="GGUF", help="only write the checkpoint as a GGUF file"
    )
    parser.add_argument(
        "--blend",
        nargs=2,
        metavar=("GGUF", "SHARE"),
        help="write with --export a mean with the weights of before, of which this is the share",
    )
    return parser.parse_args()


def export(training: Training, path: Path, blend: Sequence[str] | None) -> None:
    """Write the averaged weights as GGUF, blended with others where these are named; print a description."""
    size = f"{training.shape.count_parameters() / 1e6:.1f} million parameters"
    origin = f"seed {training.recipe.seed}, {training.step} steps, loss {training.loss:.4f}"
    description = f"A toy of {size} for trying qwen3-chat's interface; {origin}"
    weights = training.averaged_weights()
    if blend:
        share = float(blend[1])
        before = read_weights(Path(blend[0]), weights)
        weights = {name: (1 - share) * weight + share * before[name] for name, weight in weights.items()}
    write_gguf(path, weights, training.shape, description)
    print(f"{path}: {description}")


def train(training: Training, checkpoint: Path, n_workers: int, minutes: float | None) -> None:
    """Train until the last step, the time limit or a signal; save at intervals and at the end."""
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    n_steps = training.recipe.n_steps
    report_every = 10 if training.device.type == "cpu" else 100
    started = saved = time.monotonic()
    for batch in training.batches(n_workers):
        loss = training.advance(batch)
        now = time.monotonic()
        if training.step % report_every == 0 or training.step == n_steps:
            training.note(loss)
            taken = f"{(now - started) / 60:.2f} min"
            print(f"step {training.step} of {n_steps}  loss {training.loss:.4f}  {taken}", flush=True)
        if now - saved > CHECKPOINT_EVERY_S:
            training.save(checkpoint)
            saved = now
        if asked_to_stop.is_set() or (minutes is not None and now - started > 60 * minutes):
            break
    training.save(checkpoint)


def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    arguments.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if (arguments.resume and arguments.checkpoint.exists()) or arguments.export:
        training = Training.load(arguments.checkpoint, "cpu" if arguments.export else arguments.device)
    else:
        recipe = Recipe(arguments.seed, arguments.steps, arguments.bins, arguments.length)
        if arguments.after:
            recipe = replace(recipe, matrix_rate=0.01, other_rate=0.0015, decay_from=0.2, begin=MIXED_UNTIL)
        if arguments.app_tools:
            rate = arguments.app_tools
            recipe = replace(recipe, matrix_rate=rate, other_rate=rate / 8, teaches_app_tools=True)
        training = Training(Shape(len(build_vocabulary().tokens)), recipe, arguments.device)
        if arguments.after:
            training.begin_with(arguments.after)
    if arguments.export:
        export(training, arguments.export, arguments.blend)
    else:
        train(training, arguments.checkpoint, arguments.workers, arguments.minutes)


if __name__ == "__main__":
    main()
