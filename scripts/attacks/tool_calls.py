"""Damaged tool calls of both forms: none runs unasked unless it is whole, none gets what was not written."""

# ruff: noqa: E501 - a seed is one line
from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from random import Random
from typing import Final

from attacks.mutation import mutate
from attacks.report import Options, Report
from call_fates import Fate, FatedCall, fates, read_reply
from call_letters import is_written, leaves, letters
from qwen3_chat.chat import ChatMessage, ToolCall
from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolRegistry

N_CASES: Final = 100_000
BATCH: Final = 1_000
MAX_CASE_S: Final = 1.0
MAX_TOLD: Final = 30

SEEDS: Final = (
    '<tool_call>\n{"name": "f", "arguments": {"city": "New York", "days": 12}}\n</tool_call>',
    '<tool_call>\n{"name": "f", "arguments": {"a": "say \\"hi\\"", "b": [1, {"c": null}], "d": true}}\n</tool_call>',
    'Two:\n<tool_call>\n{"name": "f", "arguments": {"x": "一二"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>',
    '<think>\nHm.\n</think>\n\n<tool_call>\n{"name": "g", "arguments": {"path": "a/b", "text": "x\\ny"}}\n</tool_call>',
    '{"name": "f", "arguments": {"city": "Rome", "days": 7}}',
    "<tool_call>\n<function=f>\n<parameter=city>\nNew York\n</parameter>\n<parameter=days>\n12\n</parameter>\n"
    "</function>\n</tool_call>",
    "<tool_call>\n<function=g>\n<parameter=code>\nif a < b:\n    print('x')\n</parameter>\n</function>\n</tool_call>",
    "I look:\n<function=f>\n<parameter=q>\n一二\n</parameter>\n</function>\n</tool_call>",
    "<think>\n<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
)
PIECES: Final = (
    *"{}[]\",:\\'\n<>/= ax1",
    *(
        "</parameter>",
        "<parameter=z>",
        "</function>",
        "<function=f>",
        "</tool_call>",
        "<tool_call>",
        "</think>",
    ),
    *(
        '"name": ',
        '"arguments": ',
        '"parameters": ',
        '{"name": "g"}',
        "null",
        "True",
        "```",
        "//",
        "：",
        "，",
    ),
)
_BLOCK: Final = re.compile(r"(?=<tool_call>(.*))", re.DOTALL)
_XML: Final = re.compile(
    r"\s*<function=([^>\n]+)>((?:\s*<parameter=[^>\n]+>(?:(?!</?parameter|</?function).)*</parameter>)*)\s*"
    r"</function>\s*",
    re.DOTALL,
)
_XML_PARAMETER: Final = re.compile(r"<parameter=([^>\n]+)>(.*?)</parameter>", re.DOTALL)


async def _run(arguments: Arguments) -> str:
    return "done"


def _tools() -> ToolRegistry:
    return ToolRegistry([Tool(name, "", {"type": "object"}, _run, Reach.NOTHING) for name in "fg"])


def damage(seed: str, random: Random) -> str:
    """Return a reply with some damage of its structure, or of its bytes."""
    if random.random() < 0.2:
        return mutate(seed.encode(), random).decode(errors="replace")
    text = seed
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at = random.randrange(len(text) + 1)
        end = at + random.choice((0, 1, 1, 4, 20))
        text = text[:at] + random.choice(("", *PIECES, text[at : at + random.randrange(30)] * 2)) + text[end:]
    return text


def problems(text: str, reply: ChatMessage, found: Sequence[FatedCall]) -> Iterator[str]:
    """Return what is wrong with the fates of the calls in a reply."""
    for fated in found:
        if fated.call is None:
            continue
        if fated.fate is Fate.RUN and not _is_whole(text, fated.call):
            yield f"runs unasked: {fated.call}"
        if not is_written(fated.call.name.replace("?", ""), fated.call.arguments, text):
            yield f"was not written: {fated.call}"
    calls = [fated.call for fated in found if fated.call and fated.fate is Fate.ASKED]
    if len(calls) == len(found) and "```" not in text and _lost_letters(text, reply, calls):
        yield f"loses a part: {calls}"


def _is_whole(text: str, call: ToolCall) -> bool:
    """Return whether a block of the text is this call in exactly one of the two forms."""
    for block in _BLOCK.finditer(text):
        ends = [end.start() for end in re.finditer("</tool_call>", block[1])]
        if any((call.name, json.loads(call.arguments)) in _exact_calls(block[1][:end]) for end in ends):
            return True
    return False


def _exact_calls(source: str) -> Iterator[tuple[str, object]]:
    position = 0
    while function := _XML.match(source, position):
        pairs = _XML_PARAMETER.findall(function[2])
        values = {key.strip(): value.removeprefix("\n").removesuffix("\n") for key, value in pairs}
        if len(values) == len(pairs):
            yield function[1].strip(), values
        position = function.end()
    try:
        value = json.loads(source, strict=False)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict) and value.keys() <= {"name", "arguments"} and "name" in value:
        yield value["name"], value.get("arguments", {})


def _lost_letters(text: str, reply: ChatMessage, calls: Sequence[ToolCall]) -> str:
    """Return letters of the text that are in no call, no text beside it and no word of the two forms."""
    rest = Counter(letters(text))
    rest.subtract(letters(reply.content + reply.reasoning))
    for call in calls:
        rest.subtract("".join(map(letters, (call.name, *leaves(json.loads(call.arguments))))))
    return "".join(sorted((+rest).elements())) if not _is_made_of_tags(+rest, len(calls)) else ""


def _is_made_of_tags(rest: Counter[str], n_calls: int) -> bool:
    """Return whether letters are those of tags and keys that stand around calls."""
    words = ("toolcall", "think", "function", "parameter", "name", "arguments", "parameters", "type")
    return _takes_away(rest, [Counter(word) for word in words])


def _takes_away(rest: Counter[str], words: Sequence[Counter[str]]) -> bool:
    if not rest:
        return True
    return any(
        not word - rest and _takes_away(rest - word, words[index:]) for index, word in enumerate(words)
    )


def _run_batch(batch: tuple[int, int]) -> tuple[Counter[str], list[str], float]:
    """Try the cases from one number on; return the fates, the failures, and the slowest case."""
    return asyncio.run(_try_batch(*batch))


async def _try_batch(seed: int, first: int) -> tuple[Counter[str], list[str], float]:
    """Try the cases from one number on; return the fates, the failures, and the slowest case."""
    tools, counts, failures, slowest_s = _tools(), Counter[str](), list[str](), 0.0
    for number in range(first, first + BATCH):
        random = Random(f"{seed}:{number}")
        text = damage(random.choice(SEEDS), random)
        places = sorted(random.randrange(len(text) + 1) for _ in range(random.choice((0, 1, 3, 20))))
        pieces = [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]
        began_s = time.process_time()
        try:
            reply = read_reply([text], tools.names)
            cpu_s = time.process_time() - began_s
            found = await fates(reply, tools)
            failures += [f"case {number}: {problem}" for problem in problems(text, reply, found)]
            if read_reply(pieces, tools.names) != reply:
                failures.append(f"case {number}: another reply when it comes in pieces")
        except Exception as error:
            failures.append(f"case {number}: {type(error).__name__}: {str(error)[:100]}")
            continue
        counts.update(fated.fate for fated in found)
        slowest_s = max(slowest_s, cpu_s)
        if cpu_s > MAX_CASE_S:
            failures.append(f"case {number}: {cpu_s:.1f} s")
    return counts, failures, slowest_s


def attack(options: Options) -> Report:
    """Damage replies with calls, all cores at once; a case is repeated by its seed and number."""
    report, n_cases = Report(), options.count or N_CASES
    batches = [(options.seed, first) for first in range(0, n_cases, BATCH)]
    counts, failures, slowest_s = Counter[str](), list[str](), 0.0
    with multiprocessing.get_context("spawn").Pool() if len(batches) > 1 else nullcontext() as pool:
        for batch_counts, batch_failures, batch_slowest_s in (pool.imap_unordered if pool else map)(
            _run_batch, batches
        ):
            counts += batch_counts
            failures += batch_failures
            slowest_s = max(slowest_s, batch_slowest_s)
    report.figures["cases"] = f"{len(batches) * BATCH:,}"
    report.figures |= {f"calls: {fate}": f"{counts[fate]:,}" for fate in Fate}
    report.figures["slowest case"] = f"{slowest_s * 1000:.0f} ms of CPU"
    report.figures["failures"] = f"{len(failures):,}"
    report.failures += failures[:MAX_TOLD]
    return report
