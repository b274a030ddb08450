from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch, which the extra `train` installs")

import torch
from torch.nn import functional
from torch.nn.attention.flex_attention import create_block_mask

from demo_model.app_tools import draw_app_chats
from demo_model.batches import SINGLE_TURNS_UNTIL
from demo_model.dialogues import draw_chat
from demo_model.exchange import Language
from demo_model.lessons import BINS, LONG, SHORT, Lessons
from demo_model.packing import Steps, mask, pack, sees
from demo_model.recipe import Recipe
from demo_model.shape import Shape
from demo_model.shared_prefix import continue_prefix, pack_branches
from demo_model.tool_chats import draw_tool_chat, draw_tools
from demo_model.training import Training, loss_of
from demo_model.trees import Row, Tokens, row_of_dialogue, share_beginning
from demo_model.vocabulary import build_vocabulary
from qwen3_chat.demo import DEMO_FILE

LENGTH = 1024
# The third of its five steps is the first in which conversations are learnt.
TINY = Recipe(seed=3, n_steps=5, n_bins=2, length=LENGTH, begin=SINGLE_TURNS_UNTIL - 0.3, decay_from=0.2)


def new_training() -> Training:
    n_tokens = len(build_vocabulary().tokens)
    shape = Shape(n_tokens, n_layers=1, width=32, ffn_width=32, head_width=32, n_heads=2)
    return Training(shape, TINY)


def summed_loss(training: Training, rows: list[Row]) -> float:
    batch = pack([rows], LENGTH * 4)
    with torch.no_grad():
        return float(loss_of(training.network, batch) * batch.weights.sum())


def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = new_training()
    losses = [whole.advance(batch) for batch in whole.batches()]
    assert len(losses) == TINY.n_steps

    first = new_training()
    for batch in list(first.batches())[:3]:
        first.advance(batch)
    first.save(tmp_path / "three.pt")
    second = Training.load(tmp_path / "three.pt")
    assert second.recipe == TINY
    assert [second.advance(batch) for batch in second.batches()] == losses[3:]
    for name, weight in second.averaged_weights().items():
        assert (weight == whole.averaged_weights()[name]).all()


def test_a_training_can_begin_with_the_weights_of_another(tmp_path: Path) -> None:
    first = new_training()
    first.advance(next(first.batches()))
    first.save(tmp_path / "first.pt")
    second = new_training()
    second.begin_with(tmp_path / "first.pt")
    assert second.step == 0
    for name, weight in second.network.named_parameters():
        assert (weight == first.average[name]).all()


def test_learning_begins_slowly_and_ends_at_nothing() -> None:
    recipe = Recipe(seed=1, n_steps=1000)
    rates = [recipe.rate(step) for step in range(recipe.n_steps)]
    assert 0 < rates[0] < 0.3
    assert max(rates) == 1
    assert rates[-1] < 0.01


def test_replies_in_branches_cost_what_they_would_cost_alone() -> None:
    training = new_training()
    rng = random.Random(1)
    for dialogue in (draw_chat(rng, Language.EN, 5), draw_tool_chat(rng, Language.ZH, 3, draw_tools(rng, 2))):
        row = row_of_dialogue(dialogue)
        assert row.branches
        alone = [Row(row.trunk)]
        for n_seen, branch in row.branches:
            ids, weights = row.trunk.ids[:n_seen] + branch.ids, [0.0] * n_seen + branch.weights
            alone.append(Row(Tokens(ids, weights)))
        expected = sum(summed_loss(training, [one]) for one in alone)
        assert summed_loss(training, [row]) == pytest.approx(expected, rel=1e-4)


def test_rows_in_one_bin_do_not_see_each_other() -> None:
    training = new_training()
    rng = random.Random(2)
    rows = [row_of_dialogue(draw_chat(rng, Language.EN, n)) for n in (1, 3, 2)]
    expected = sum(summed_loss(training, [row]) for row in rows)
    assert summed_loss(training, rows) == pytest.approx(expected, rel=1e-4)


def test_a_step_fills_its_bins() -> None:
    for step in range(TINY.n_steps):
        batch = Steps(TINY)[step]
        assert batch.ids.shape == (TINY.n_bins, LENGTH)
        assert (batch.rows >= 0).float().mean() > 0.6
        assert len(batch.predictors) == len(batch.targets) == len(batch.weights) > 100


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_mask_of_a_gpu_gives_the_same() -> None:
    training = new_training()
    batch = Steps(TINY)[4]

    def seen(
        bin_number: torch.Tensor, _: torch.Tensor, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        return sees(batch, bin_number, query, key)

    blocks = create_block_mask(seen, TINY.n_bins, None, LENGTH, LENGTH, device="cpu")
    with torch.no_grad():
        by_blocks = training.network(batch.ids, batch.positions, blocks)
        by_mask = training.network(batch.ids, batch.positions, mask(batch))
    there = batch.rows >= 0
    assert torch.allclose(by_blocks[there], by_mask[there], atol=1e-4)


def test_the_shape_counts_the_parameters() -> None:
    training = new_training()
    n_parameters = sum(weight.numel() for weight in training.network.parameters())
    assert n_parameters == training.shape.count_parameters()


def test_continuations_of_a_prompt_cost_what_they_would_cost_in_a_row() -> None:
    training = new_training()
    chats = draw_app_chats(random.Random(3), 6, is_plain=True)
    row = share_beginning([row_of_dialogue(chat) for chat in chats])
    longest = max(len(branch.ids) for _, branch in row.branches)
    batch = pack_branches(row, len(row.trunk.ids) + 50, len(row.branches) + 1, longest + 1)
    with torch.no_grad():
        states = continue_prefix(training.network, batch.prefix, batch.n_prefix, batch.ids)
        logits = training.network.logits(states.flatten(0, 1)[batch.predictors])
        losses = functional.cross_entropy(logits, batch.targets, reduction="none")
    assert float(losses @ batch.weights) == pytest.approx(summed_loss(training, [row]), rel=1e-4)


def test_continuations_that_are_too_long_or_too_many_are_left_out() -> None:
    row = Row(Tokens([1, 2, 3], [0.0] * 3), [(3, Tokens([4] * n, [1.0] * n)) for n in (2, 9, 3, 1)])
    batch = pack_branches(row, 4, 2, 5)
    assert batch.prefix.tolist() == [[1, 2, 0, 0]]
    assert batch.ids.tolist() == [[3, 4, 4, 0, 0], [3, 4, 4, 4, 0]]
    assert batch.predictors.tolist() == [0, 1, 5, 6, 7]
    assert batch.targets.tolist() == [4] * 5


def test_a_lesson_is_the_same_for_the_same_seed_and_has_always_the_same_shapes() -> None:
    lessons = Lessons(Recipe(seed=3, n_steps=4, teaches_app_tools=True))
    first, again = lessons[0], lessons[0]
    assert all(torch.equal(one.ids, other.ids) for one, other in zip(first.tools, again.tools, strict=True))
    for step in range(4):
        lesson = lessons[step]
        assert [tuple(part.ids.shape) for part in lesson.tools] == [SHORT, LONG]
        assert [tuple(part.ids.shape) for part in lesson.others] == list(BINS if step % 2 == 0 else BINS[:-1])


def test_a_training_can_begin_with_the_shipped_weights() -> None:
    training = Training(Shape(len(build_vocabulary().tokens)), TINY)
    training.begin_with(DEMO_FILE)
    row = row_of_dialogue(draw_chat(random.Random(4), Language.EN, 1))
    assert summed_loss(training, [row]) / row.weight() < 0.05
