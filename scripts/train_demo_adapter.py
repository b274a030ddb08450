"""The training of a small adapter for the demo model, for the tests of adapters."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch

from demo_model.adapter import adapt, draw_batch, read_network, train, write_adapter
from demo_model.shape import Shape
from demo_model.vocabulary import build_vocabulary
from qwen3_chat.demo import DEMO_FILE

_RANK, _ALPHA = 4, 8.0


def main() -> None:
    """Train an adapter and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, metavar="GGUF")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--opening", default="Ahoy! ", help="what each answer is to begin with")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    network = read_network(DEMO_FILE, Shape(len(build_vocabulary().tokens)))
    adapters = adapt(network, _RANK, _ALPHA)
    batches = (draw_batch(rng, options.opening, 4) for _ in range(options.steps))
    for step, loss in enumerate(train(network, adapters, batches), 1):
        if step % 10 == 0:
            print(f"step {step} of {options.steps}  loss {loss:.4f}", flush=True)
    name = options.opening.strip(" !").lower()
    write_adapter(options.output, adapters, _ALPHA, name)
    print(options.output)


if __name__ == "__main__":
    main()
