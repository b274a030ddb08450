"""The token ids of a rendered prompt and of a reply that is continued, counted by message where that is
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.engine.reply_splitter import ReplyTag
from qwen3_chat.engine.worker.chat_template import ChatTemplate, PlainText, RenderedPrompt, SpecialToken
from qwen3_chat.engine.worker.deltas import DeltaBuilder
from qwen3_chat.engine.worker.vocab import SampledText, Vocab
from qwen3_chat.request import ChatRequest, TokenCounts


def prefix_ids(template: ChatTemplate, vocab: Vocab, prompt: RenderedPrompt, reply: ChatMessage) -> list[int]:
    """Return the ids of a reply as far as it came: as they were sampled, else as its text is tokenised.

    The sampled ids may end within a character or within newlines that the text lacks. They are not known
    where the engine died, and not to be used where the text was changed.
    """
    sampled = list(reply.token_ids)
    while sampled and sampled[-1] in vocab.end_ids:
        sampled.pop()
    return (
        sampled
        if _spell_reply(sampled, vocab, prompt, reply)
        else _ids_of_text(template, vocab, prompt, reply)
    )


def _spell_reply(ids: list[int], vocab: Vocab, prompt: RenderedPrompt, reply: ChatMessage) -> bool:
    """Tell whether ids make up a reply."""
    deltas = DeltaBuilder(vocab, prompt.opens_reasoning)
    deltas.replay(ids)
    deltas.flush()
    told = deltas.message()
    return (told.content, told.reasoning, told.tool_calls) == (
        reply.content,
        reply.reasoning,
        reply.tool_calls,
    )


def _ids_of_text(
    template: ChatTemplate, vocab: Vocab, prompt: RenderedPrompt, reply: ChatMessage
) -> list[int]:
    """Tokenise a reply as Qwen3 writes it; thinking without an answer is taken for unfinished."""

    def encode(text: str) -> list[int]:
        return [token for piece in template.pieces(text) for token in vocab.encode(piece)]

    opening, closing = vocab.token(ReplyTag.THINK_OPEN), vocab.token(ReplyTag.THINK_CLOSE)
    if not reply.reasoning or opening is None or closing is None:
        return encode(reply.content)
    thinking = reply.reasoning if prompt.opens_reasoning else f"\n{reply.reasoning}"
    begun = [] if prompt.opens_reasoning else [opening]
    if not reply.content:
        return begun + encode(thinking)
    return [*begun, *encode(f"{thinking}\n"), closing, *encode(f"\n\n{reply.content}")]


_MESSAGE_START = SpecialToken("<|im_start|>")
_TOOL_RESPONSE = SpecialToken("<tool_response>")
_REPLY_HEADER = "assistant\n"


def tokenise(rendered: RenderedPrompt, vocab: Vocab, request: ChatRequest | None = None) -> list[int]:
    """Return the ids of a prompt; only special tokens that the template itself wrote become special ids.

    Told which request was rendered, it takes the ids that were sampled for a reply where the text is still
    the same: tokenised again, a text need not give the ids that it was sampled as.
    """
    return [token for part in _ids_by_part(rendered, vocab, request) for token in part]


def count_prompt_tokens(template: ChatTemplate, vocab: Vocab, request: ChatRequest) -> TokenCounts:
    """Count what each message adds to the prompt of a request.

    `total` is exact for any template. Where the template writes ChatML, as Qwen3's does, so is the share of
    each message: the tokens from its header to its end. Results of tools in one turn are split at their own
    tags, the turn's header counts for the first. The tools' manual counts for the system prompt that it is
    appended to. What the shares leave of the total is overhead: the header of the reply, what there is of it
    already, and the manual where there is no system prompt. Elsewhere the shares are the tokens of the bare
    contents, and `exact` is false.

    Raises:
        EngineError: the request can't be rendered.
    """
    rendered = template.render_request(request)
    counts = [len(ids) for ids in _ids_by_part(rendered, vocab, request)]
    total = sum(counts)
    if request.prefix is not None:
        total += len(prefix_ids(template, vocab, rendered, request.prefix))
    shares = _shares(rendered, counts, request)
    if shares is None:
        contents = tuple(len(vocab.encode(message.sent_content)) for message in request.messages)
        return TokenCounts(contents, total, exact=False)
    return TokenCounts(shares, total, exact=True)


def _ids_by_part(rendered: RenderedPrompt, vocab: Vocab, request: ChatRequest | None) -> Iterator[list[int]]:
    owners = _messages_by_part(rendered, request) if request else None
    for index, part in enumerate(rendered.parts):
        if isinstance(part, SpecialToken):
            yield [vocab.specials[part.spelling]]
            continue
        owner = owners[index] if owners else ()
        ids = request.messages[owner[0]].token_ids if request and len(owner) == 1 else ()
        if ids and (found := _find_sampled_ids(part, vocab.sampled_texts.get(ids), vocab)) is not None:
            yield found
            continue
        yield [token for piece in part.pieces for token in vocab.encode(piece)]


def _find_sampled_ids(part: PlainText, sampled: SampledText, vocab: Vocab) -> list[int] | None:
    """Look for a text among what was sampled; the header of the reply before it was not."""
    text = "".join(part.pieces)
    if (ids := sampled.find_ids(text)) is not None:
        return ids
    ids = sampled.find_ids(text.removeprefix(_REPLY_HEADER)) if text.startswith(_REPLY_HEADER) else None
    return ids and vocab.encode(_REPLY_HEADER) + ids


def _shares(rendered: RenderedPrompt, counts: list[int], request: ChatRequest) -> tuple[int, ...] | None:
    """Add up the counts of the parts by message; None where the text is not ChatML with these turns."""
    owners = _messages_by_part(rendered, request)
    if owners is None:
        return None
    shares = [0] * len(request.messages)
    results = 0
    for part, turn, count in zip(rendered.parts, owners, counts, strict=True):
        if part == _MESSAGE_START:
            results = 0
        elif part == _TOOL_RESPONSE:
            results += 1
        if turn:
            shares[turn[min(max(results, 1), len(turn)) - 1]] += count
    return tuple(shares)


def _messages_by_part(rendered: RenderedPrompt, request: ChatRequest) -> list[list[int]] | None:
    """Tell of each part the messages whose turn it is in; None where the text is not ChatML with these."""
    turns = _turns(request)
    if sum(part == _MESSAGE_START for part in rendered.parts) != len(turns):
        return None
    upcoming = iter(turns)
    turn: list[int] = []
    owners = []
    for part in rendered.parts:
        if part == _MESSAGE_START:
            turn = next(upcoming)
        owners.append(turn)
    return owners


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
