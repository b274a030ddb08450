"""The token ids of a rendered prompt, counted by message where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from qwen3_chat.chat import Role
from qwen3_chat.engine.worker.render import ChatTemplate, Rendered, Special
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.request import ChatRequest, Measure

_TURN = Special("<|im_start|>")
_RESULT = Special("<tool_response>")


def tokenise(rendered: Rendered, vocab: Vocab) -> list[int]:
    """Return the ids of a prompt; only special tokens that the template itself wrote become special ids."""
    return [token for part in _ids_by_part(rendered, vocab) for token in part]


def count_messages(template: ChatTemplate, vocab: Vocab, request: ChatRequest) -> Measure:
    """Count what each message adds to the prompt of a request.

    `total` is exact for any template. Where the template writes ChatML, as Qwen3's does, so is the share of
    each message: the tokens from its header to its end. Results of tools in one turn are split at their own
    tags, the turn's header counts for the first. The tools' manual counts for the system prompt that it is
    appended to. What the shares leave of the total is overhead: the header of the reply, and the manual
    where there is no system prompt. Elsewhere the shares are the tokens of the bare contents, and `exact` is
    false.

    Raises:
        EngineError: the request can't be rendered.
    """
    rendered = template.render_request(request)
    counts = [len(ids) for ids in _ids_by_part(rendered, vocab)]
    shares = _shares(rendered, counts, request)
    if shares is None:
        contents = tuple(len(vocab.encode(message.sent_content)) for message in request.messages)
        return Measure(contents, sum(counts), exact=False)
    return Measure(shares, sum(counts), exact=True)


def _ids_by_part(rendered: Rendered, vocab: Vocab) -> Iterator[list[int]]:
    for part in rendered.parts:
        if isinstance(part, Special):
            yield [vocab.specials[part.spelling]]
        else:
            yield [token for piece in part.pieces for token in vocab.encode(piece)]


def _shares(rendered: Rendered, counts: list[int], request: ChatRequest) -> tuple[int, ...] | None:
    """Add up the counts of the parts by message; None where the text is not ChatML with these turns."""
    turns = _turns(request)
    if sum(part == _TURN for part in rendered.parts) != len(turns):
        return None
    shares = [0] * len(request.messages)
    upcoming = iter(turns)
    turn: list[int] = []
    results = 0
    for part, count in zip(rendered.parts, counts, strict=True):
        if part == _TURN:
            turn, results = next(upcoming), 0
        elif part == _RESULT:
            results += 1
        if turn:
            shares[turn[min(max(results, 1), len(turn)) - 1]] += count
    return tuple(shares)


def _turns(request: ChatRequest) -> list[list[int]]:
    """List the turns that the template writes, each with the indexes of its messages."""
    messages = request.messages
    has_system_prompt = bool(messages) and messages[0].role is Role.SYSTEM
    turns: list[list[int]] = [[]] if request.tools and not has_system_prompt else []
    for index, message in enumerate(messages):
        if message.role is Role.TOOL and index > 0 and messages[index - 1].role is Role.TOOL:
            turns[-1].append(index)
        else:
            turns.append([index])
    return [*turns, []]  # the last is the header of the reply
