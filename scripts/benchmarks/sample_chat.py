"""Chats of messages of about fifty rows, generated from a seed, for tests and benchmarks."""

from __future__ import annotations

import random

from qwen3_chat.transcript import MessageEntry

TEXT = (
    "the model reads every token once and keeps keys and values in a cache so that the next step is cheap "
    "while memory grows with context length batch size and the number of layers that attend to it"
)
WORDS = TEXT.split()

CODE = '''def attention(q, k, v, mask=None):
    """Scaled dot product attention."""
    d = q.shape[-1]
    scores = (q @ k.transpose(-2, -1)) / d ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    p = scores.softmax(dim=-1)   # rows sum to 1.0
    return p @ v


class Cache:
    def __init__(self, n: int = 4096) -> None:
        self.keys: list[int] = [0] * n
        self.used = 0'''


def sentence(source: random.Random, length: int) -> str:
    """Return a sentence in which three words are styled."""
    words = [source.choice(WORDS) for _ in range(length)]
    if length > 6:
        words[2], words[4], words[5] = f"**{words[2]}**", f"`{words[4]}_x`", f"*{words[5]}*"
    return " ".join(words).capitalize() + "."


def answer(number: int) -> str:
    """Return Markdown with all elements that a chat model uses."""
    source = random.Random(number)

    def some(length: int) -> str:
        return sentence(source, length)

    return "\n".join(
        [
            *(f"## Step {number}: how caching works", ""),
            *(some(60) + " See [the docs](https://example.org/a?b=1).", ""),
            *(f"- {some(14)}", f"  - {some(10)}", f"  - {some(10)}", f"- {some(22)}", ""),
            *("1. " + some(12), "2. " + some(30), "3. " + some(12), ""),
            *("```python", CODE, "```", ""),
            *("| size | quant | tokens/s |", "|:--|:-:|--:|", "| 0.6B | Q8_0 | 61.2 |"),
            *("| 4B | Q4_K_M | 22.9 |", "| 30B-A3B | Q4_K_M | 14.1 |", ""),
            *("> " + some(30), "", some(70), ""),
            *("重点如下：**重点。**下文继续讨论缓存的大小与速度之间的关系，" * 3, "", some(50)),
        ]
    )


def reasoning(number: int) -> str:
    """Return eight lines of thinking."""
    lines = (sentence(random.Random(number * 7 + line), 18) for line in range(8))
    return "\n".join(lines).replace("*", "").replace("`", "")


def chat(turns: int) -> list[MessageEntry]:
    """Return a chat of that many questions, each with its answer."""
    entries: list[MessageEntry] = []
    for number in range(turns):
        question = (
            f"Question {number}: why is the cache {WORDS[number % len(WORDS)]} faster?\nExplain in steps."
        )
        entries.append(MessageEntry("user", question, header="You"))
        entries.append(
            MessageEntry(
                "assistant",
                answer(number),
                reasoning(number),
                header="Qwen3-4B",
                reasoning_header="Thought 14 s · 612 tok · 43 tok/s",
            )
        )
    return entries
