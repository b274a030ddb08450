"""The token ids of a rendered prompt and of a reply that is continued, and their counts by message."""

from __future__ import annotations

from collections.abc import Iterator

from qwen3_chat.chat import MESSAGE_START, ChatMessage, Role
from qwen3_chat.engine.reply_splitter import ReplyTag
from qwen3_chat.engine.worker.chat_template import ChatTemplate, PlainText, RenderedPrompt, SpecialToken
from qwen3_chat.engine.worker.deltas import DeltaBuilder
from qwen3_chat.engine.worker.template_process import StopCheck, never_stops
from qwen3_chat.engine.worker.vocab import SampledText, Vocab
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.request import ChatRequest, TokenCounts

_MESSAGE_START = SpecialToken(MESSAGE_START)
_TOOL_RESPONSE = SpecialToken("<tool_response>")
_REPLY_HEADER = "assistant\n"


def tokenise(rendered: RenderedPrompt, vocab: Vocab, request: ChatRequest | None = None) -> list[int]:
    """Return the ids of a prompt; only special tokens of the template itself become special ids.

    With the request that was rendered, a reply whose text is unchanged gets the ids that it was sampled as:
    tokenised again, a text need not give them.

    Raises:
        EngineError: the prompt has no token; llama.cpp would abort the process.
    """
    ids = [token for part in _ids_by_part(rendered, vocab, request) for token in part]
    if not ids:
        raise EngineError(ErrorCode.PROMPT_EMPTY)
    return ids


def count_prompt_tokens(
    template: ChatTemplate, vocab: Vocab, request: ChatRequest, is_stopped: StopCheck = never_stops
) -> TokenCounts:
    """Count the tokens that each message adds to the prompt of a request.

    `total` is exact for any template. Where the template writes ChatML, as Qwen3's does, so is the share of
    each message: the tokens from its header to its end. Results of tools in one turn are split at their own
    tags, the turn's header counts for the first. The tools' manual counts for the system prompt that it is
    appended to. The rest of the total is overhead: the header of the reply, the part of it that exists
    already, and the manual where there is no system prompt. With other templates the shares are the tokens
    of the bare contents, and `exact` is false.

    Raises:
        EngineError: the request can't be rendered; `Cancelled` once the counts are not wanted any more.
    """
    rendered = template.render_request(request, is_stopped)
    counts = [len(ids) for ids in _ids_by_part(rendered, vocab, request)]
    total = sum(counts)
    total += len(begun_reply_ids(template, vocab, rendered, request))
    shares = _shares(rendered, counts, request)
    if shares is None:
        contents = tuple(len(vocab.encode(message.sent_content)) for message in request.messages)
        return TokenCounts(contents, total, exact=False)
    return TokenCounts(shares, total, exact=True)


def begun_reply_ids(
    template: ChatTemplate, vocab: Vocab, prompt: RenderedPrompt, request: ChatRequest
) -> list[int]:
    """Return the ids with which a reply begins: those of the prefix, then the tag of a required call.

    Without a token for that tag, the model is left to itself.
    """
    ids = prefix_ids(template, vocab, prompt, request.prefix) if request.prefix else []
    opening, closing = vocab.token(ReplyTag.TOOL_CALL_OPEN), vocab.token(ReplyTag.THINK_CLOSE)
    if not request.must_call or opening is None:
        return ids
    deltas = DeltaBuilder(vocab, prompt.opens_reasoning)
    deltas.replay(ids)
    if deltas.in_tool_call:
        return ids
    if deltas.in_reasoning and closing is not None:
        ids += [*_line_end(vocab, ids), closing]
    gap = vocab.encode("\n\n") if ids and ids[-1] == closing else _line_end(vocab, ids)
    return [*ids, *gap, opening]


def _line_end(vocab: Vocab, ids: list[int]) -> list[int]:
    """Return the ids that end the line of a text, none if it ends one already."""
    return vocab.encode("\n") if ids and not vocab.piece(ids[-1]).endswith(b"\n") else []


def prefix_ids(template: ChatTemplate, vocab: Vocab, prompt: RenderedPrompt, reply: ChatMessage) -> list[int]:
    """Return the ids of an unfinished reply: those that were sampled, or else those of its text.

    The sampled ids may end within a character or within newlines that the text lacks. They are unknown
    if the engine died, and unusable if the text was changed.
    """
    sampled = list(reply.token_ids)
    while sampled and sampled[-1] in vocab.end_ids:
        sampled.pop()
    if _ids_match_reply(sampled, vocab, prompt, reply):
        return sampled
    return _ids_of_text(template, vocab, prompt, reply)


def _ids_match_reply(ids: list[int], vocab: Vocab, prompt: RenderedPrompt, reply: ChatMessage) -> bool:
    """Return True if ids make up a reply."""
    deltas = DeltaBuilder(vocab, prompt.opens_reasoning)
    deltas.replay(ids)
    deltas.flush()
    message = deltas.message()
    return (message.content, message.reasoning, message.tool_calls) == (
        reply.content,
        reply.reasoning,
        reply.tool_calls,
    )


def _ids_of_text(
    template: ChatTemplate, vocab: Vocab, prompt: RenderedPrompt, reply: ChatMessage
) -> list[int]:
    """Tokenise a reply as Qwen3 writes it; thinking without an answer is treated as unfinished."""

    def encode(text: str) -> list[int]:
        return [token for piece in template.pieces(text) for token in vocab.encode(piece)]

    opening, closing = vocab.token(ReplyTag.THINK_OPEN), vocab.token(ReplyTag.THINK_CLOSE)
    if not reply.reasoning or opening is None or closing is None:
        return encode(reply.content)
    thinking = reply.reasoning if prompt.opens_reasoning else f"\n{reply.reasoning}"
    opening_ids = [] if prompt.opens_reasoning else [opening]
    if not reply.content:
        return opening_ids + encode(thinking)
    return [*opening_ids, *encode(f"{thinking}\n"), closing, *encode(f"\n\n{reply.content}")]


def _ids_by_part(rendered: RenderedPrompt, vocab: Vocab, request: ChatRequest | None) -> Iterator[list[int]]:
    """Yield the ids of each part, the sampled ones where they are known."""
    turns = _messages_by_part(rendered, request) if request else None
    for index, part in enumerate(rendered.parts):
        if isinstance(part, SpecialToken):
            yield [vocab.specials[part.spelling]]
            continue
        turn = turns[index] if turns else ()
        ids = request.messages[turn[0]].token_ids if request and len(turn) == 1 else ()
        sampled_ids = _find_sampled_ids(part, vocab.sampled_texts.get(ids), vocab) if ids else None
        if sampled_ids is not None:
            yield sampled_ids
        else:
            yield [token for piece in part.pieces for token in vocab.encode(piece)]


def _find_sampled_ids(part: PlainText, sampled: SampledText, vocab: Vocab) -> list[int] | None:
    """Return the ids that a text was sampled as, after a header of the reply that was not sampled."""
    text = "".join(part.pieces)
    if (ids := sampled.find_ids(text)) is not None:
        return ids
    ids = sampled.find_ids(text.removeprefix(_REPLY_HEADER)) if text.startswith(_REPLY_HEADER) else None
    return ids and vocab.encode(_REPLY_HEADER) + ids


def _shares(rendered: RenderedPrompt, counts: list[int], request: ChatRequest) -> tuple[int, ...] | None:
    """Add up the counts of the parts by message; None where the text is not ChatML with these turns."""
    turns = _messages_by_part(rendered, request)
    if turns is None:
        return None
    shares = [0] * len(request.messages)
    n_results = 0
    for part, turn, count in zip(rendered.parts, turns, counts, strict=True):
        if part == _MESSAGE_START:
            n_results = 0
        elif part == _TOOL_RESPONSE:
            n_results += 1
        if turn:
            shares[turn[min(max(n_results, 1), len(turn)) - 1]] += count
    return tuple(shares)


def _messages_by_part(rendered: RenderedPrompt, request: ChatRequest) -> list[list[int]] | None:
    """Return for each part the messages of its turn; None where the text is not ChatML with these turns."""
    turns = _turns(request)
    if sum(part == _MESSAGE_START for part in rendered.parts) != len(turns):
        return None
    upcoming = iter(turns)
    turn: list[int] = []
    turn_by_part = []
    for part in rendered.parts:
        if part == _MESSAGE_START:
            turn = next(upcoming)
        turn_by_part.append(turn)
    return turn_by_part


def _turns(request: ChatRequest) -> list[list[int]]:
    """Return the turns that the template writes, each with the indexes of its messages."""
    messages = request.messages
    has_system_prompt = bool(messages) and messages[0].role is Role.SYSTEM
    turns: list[list[int]] = [[]] if request.tools and not has_system_prompt else []
    for index, message in enumerate(messages):
        if message.role is Role.TOOL and index > 0 and messages[index - 1].role is Role.TOOL:
            turns[-1].append(index)
        else:
            turns.append([index])
    return [*turns, []]  # the last is the header of the reply
