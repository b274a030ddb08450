from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("gguf", reason="needs the extra `train`")

from demo_model.shape import Shape
from demo_model.training import Recipe, Training
from demo_model.vocabulary import build_vocabulary

TINY = Recipe(seed=3, n_steps=6, n_decay_steps=2, n_samples=4, n_groups=2, n_warm_up_steps=2)


def new_training() -> Training:
    n_tokens = len(build_vocabulary().tokens)
    return Training(Shape(n_tokens, n_layers=1, width=32, ffn_width=32, head_width=32, n_heads=2), TINY)


def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = new_training()
    losses = [whole.advance() for _ in range(5)]

    first = new_training()
    for _ in range(3):
        first.advance()
    first.save(tmp_path / "three.pt")
    second = new_training()
    second.load(tmp_path / "three.pt")
    assert [second.advance(), second.advance()] == losses[3:]
    for name, weight in second.averaged_weights().items():
        assert (weight == whole.averaged_weights()[name]).all()


def test_the_shape_counts_the_parameters() -> None:
    training = new_training()
    n_parameters = sum(weight.numel() for weight in training.network.parameters())
    assert n_parameters == training.shape.count_parameters()
