"""Turns a conversation into one row of tokens in which every reply can be learnt.

Qwen3's template drops the thinking of earlier turns, so a reply is not part of what later turns see. A row
holds the conversation as later turns see it (the trunk) and, for each reply but the last, that reply with its
thinking (a branch). A branch sees the trunk before it and itself; the trunk sees only the trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from demo_model.dialogues import Dialogue, Turn
from demo_model.render import Message, Sample, render
from demo_model.tokenizer import encode, special_id
from qwen3_chat.chat import EARLY_STOPPING_TEXT

EARLY_STOP = f"{EARLY_STOPPING_TEXT}</think>\n\n"
# One token in a reply decides whether it thinks; it is hardly ever wrong if it weighs more.
MODE_WEIGHT = 3.0
WORK_WEIGHT = 3.0
GUESS_WEIGHT = 0.1


@dataclass(slots=True)
class Tokens:
    """Token ids and, for each, what predicting it weighs in the loss."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def extend(self, text: str, weight: float) -> None:
        """Append a text."""
        ids = encode(text)
        self.ids += ids
        self.weights += [weight] * len(ids)
        if weight and ids[0] == special_id("<think>"):
            self.weights[1 - len(ids)] = MODE_WEIGHT

    def stress(self) -> None:
        """Let digits that are worked out weigh more, those that are guessed hardly anything."""
        opening, closing = special_id("<think>"), special_id("</think>")
        digits, signs, (bold,) = set(encode("0123456789")), set(encode("=")), encode("**")
        for sign in "<>+-":
            signs.update(encode(sign))
        is_guess, is_bold = False, False
        for index in range(2, len(self.ids)):
            if not self.weights[index]:
                continue
            if not self.weights[index - 1]:
                is_guess = self.ids[index] != opening or self.ids[index + 2] == closing
                is_bold = False
            is_bold ^= self.ids[index] == bold
            if self.ids[index] not in digits:
                continue
            if is_guess:
                self.weights[index] = GUESS_WEIGHT if is_bold else 1.0
            elif signs.intersection(self.ids[index - 2 : index]):
                self.weights[index] = WORK_WEIGHT


@dataclass(slots=True)
class Row:
    """A trunk and its branches, each with how much of the trunk it sees."""

    trunk: Tokens = field(default_factory=Tokens)
    branches: list[tuple[int, Tokens]] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.trunk.ids) + sum(len(branch.ids) for _, branch in self.branches)

    def stress(self) -> None:
        """Stress every part (see `Tokens`)."""
        self.trunk.stress()
        for _, branch in self.branches:
            branch.stress()

    def weight(self) -> float:
        """Add up the weights."""
        return sum(self.trunk.weights) + sum(sum(branch.weights) for _, branch in self.branches)


def row_of_sample(sample: Sample) -> Row:
    """Lay out a prompt and its reply, one after the other."""
    prompt, reply = encode(sample.prompt), encode(sample.reply)
    return Row(Tokens(prompt + reply, [0.0] * len(prompt) + [1.0] * len(reply)))


def row_of_dialogue(dialogue: Dialogue) -> Row:
    """Lay out a conversation with a branch for each reply; the last one is the trunk's end."""
    row = Row()
    messages: list[Message] = [{"role": "system", "content": dialogue.system}] if dialogue.system else []
    trunk = ""
    for turn in dialogue.turns:
        messages.append({"role": "user", "content": turn.question})
        prompt = render(messages, tools=dialogue.tools, for_reply=True)
        row.trunk.extend(_continuation(prompt, trunk), 0.0)
        trunk = prompt
        for pieces in _branches(dialogue, messages, trunk, turn):
            branch = Tokens()
            for text, counts in pieces:
                branch.extend(text, float(counts))
            row.branches.append((len(row.trunk.ids), branch))
        messages += turn.shown
    _, last = row.branches.pop()
    row.trunk.ids += last.ids
    row.trunk.weights += last.weights
    return row


def share_beginning(rows: Sequence[Row]) -> Row:
    """Join rows that begin alike, as those with the same tools do: each reply becomes a branch."""
    paths = [
        (row.trunk.ids[:n_seen] + branch.ids, [0.0] * n_seen + branch.weights)
        for row in rows
        for n_seen, branch in row.branches
    ]
    paths += [(row.trunk.ids, row.trunk.weights) for row in rows]
    first, last = min(ids for ids, _ in paths), max(ids for ids, _ in paths)
    n_shared = next(
        (index for index, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
    )
    n_shared = min(n_shared, *(_first_counted(weights) for _, weights in paths))
    trunk = Tokens(first[:n_shared], [0.0] * n_shared)
    return Row(trunk, [(n_shared, Tokens(ids[n_shared:], weights[n_shared:])) for ids, weights in paths])


def _first_counted(weights: Sequence[float]) -> int:
    return next((index for index, weight in enumerate(weights) if weight), len(weights))


def _continuation(text: str, beginning: str) -> str:
    if not text.startswith(beginning):
        raise ValueError(f"{beginning!r} does not begin {text!r}")
    return text[len(beginning) :]


def _branches(
    dialogue: Dialogue, messages: list[Message], trunk: str, turn: Turn
) -> list[list[tuple[str, bool]]]:
    """Return the pieces of each branch of a turn, with whether they are the model's."""
    branches: list[list[tuple[str, bool]]] = []
    so_far = ""
    for index, reply in enumerate(turn.replies):
        if reply["role"] != "assistant":
            continue
        said = [*messages, *turn.replies[:index]]
        prompt = render(said, tools=dialogue.tools, for_reply=True, thinking_allowed=not turn.is_hard_switch)
        whole = render([*said, reply], tools=dialogue.tools).removesuffix("\n")
        if not branches or not prompt.startswith(so_far):
            branches.append([])
            so_far = trunk
        if prompt != so_far:
            branches[-1].append((_continuation(prompt, so_far), False))
        written = _continuation(whole, prompt)
        if turn.thought_cut_at is not None:
            thought = str(reply["reasoning_content"])[: turn.thought_cut_at]
            branches[-1].append((f"<think>\n{thought}{EARLY_STOP}", False))
            written = written.partition("</think>\n\n")[2]
        branches[-1].append((written, True))
        so_far = whole
    return branches
