from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("gguf", reason="needs the extra `train`")

import torch

from demo_model.batches import N_SINGLE_TURN_STEPS
from demo_model.dialogues import draw_chat
from demo_model.exchange import Language
from demo_model.shape import Shape
from demo_model.tool_chats import draw_tool_chat
from demo_model.training import Recipe, Training, summed_loss
from demo_model.trees import Row, Tokens, row_of_dialogue
from demo_model.vocabulary import build_vocabulary

TINY = Recipe(
    seed=3,
    n_steps=N_SINGLE_TURN_STEPS + 4,
    decay_begin=N_SINGLE_TURN_STEPS,
    n_decay_steps=2,
    n_tail_steps=10,
)


def new_training() -> Training:
    n_tokens = len(build_vocabulary().tokens)
    training = Training(Shape(n_tokens, n_layers=1, width=32, ffn_width=32, head_width=32, n_heads=2), TINY)
    training.step = N_SINGLE_TURN_STEPS - 2
    return training


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


def test_replies_in_branches_cost_what_they_would_cost_alone() -> None:
    network = new_training().network
    rng = random.Random(1)
    for dialogue in (draw_chat(rng, Language.EN, 5), draw_tool_chat(rng, Language.ZH, 3, 2)):
        row = row_of_dialogue(dialogue)
        assert row.branches
        alone = [Row(row.trunk)]
        for n_seen, branch in row.branches:
            ids, weights = row.trunk.ids[:n_seen] + branch.ids, [0.0] * n_seen + branch.weights
            alone.append(Row(Tokens(ids, weights)))
        with torch.no_grad():
            expected = sum(summed_loss(network, [one]).item() for one in alone)
            assert summed_loss(network, [row]).item() == pytest.approx(expected, rel=1e-4)


def test_the_shape_counts_the_parameters() -> None:
    training = new_training()
    n_parameters = sum(weight.numel() for weight in training.network.parameters())
    assert n_parameters == training.shape.count_parameters()
