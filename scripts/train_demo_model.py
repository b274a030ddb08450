"""Trains the demo model, or writes a checkpoint of it as GGUF."""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from pathlib import Path

# A waiting OpenMP thread must not steal the core from others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from demo_model.gguf_file import write_gguf
from demo_model.shape import Shape
from demo_model.training import Recipe, Training
from demo_model.vocabulary import build_vocabulary

CHECKPOINT_EVERY_S = 120
REPORT_EVERY_STEPS = 10


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--until", type=int, default=Recipe(0).n_steps, help="stop at this step")
    parser.add_argument("--minutes", type=float, help="stop after this time; a later run can resume")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/demo.pt"))
    parser.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint where there is one"
    )
    parser.add_argument(
        "--export", type=Path, metavar="GGUF", help="only write the checkpoint as a GGUF file"
    )
    return parser.parse_args()


def export(training: Training, path: Path) -> None:
    """Write the averaged weights as GGUF and say what they are."""
    size = f"{training.shape.count_parameters() / 1e6:.1f} million parameters"
    origin = f"seed {training.recipe.seed}, {training.step} steps, loss {training.loss:.4f}"
    description = f"A toy of {size} for trying qwen3-chat's interface; {origin}"
    write_gguf(path, training.averaged_weights(), training.shape, description)
    print(f"{path}: {description}")


def train(training: Training, checkpoint: Path, until: int, minutes: float | None) -> None:
    """Make steps until step `until`, the time or a signal ends it; save now and then, and at the end."""
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    started = saved = time.monotonic()
    while training.step < until and not asked_to_stop.is_set():
        training.advance()
        now = time.monotonic()
        if training.step % REPORT_EVERY_STEPS == 0:
            print(
                f"step {training.step}  loss {training.loss:.4f}  {training.seconds / 60:.1f} min", flush=True
            )
        if now - saved > CHECKPOINT_EVERY_S:
            training.save(checkpoint)
            saved = now
        if minutes is not None and now - started > 60 * minutes:
            break
    training.save(checkpoint)


def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    training = Training(Shape(len(build_vocabulary().tokens)), Recipe(arguments.seed))
    arguments.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if (arguments.resume and arguments.checkpoint.exists()) or arguments.export:
        training.load(arguments.checkpoint)
    if arguments.export:
        export(training, arguments.export)
    else:
        train(training, arguments.checkpoint, arguments.until, arguments.minutes)


if __name__ == "__main__":
    main()
