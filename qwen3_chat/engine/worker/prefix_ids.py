"""The token ids of a reply that was stopped and is to be continued."""

from __future__ import annotations

from qwen3_chat.chat import ChatMessage
from qwen3_chat.engine.worker.deltas import Deltas
from qwen3_chat.engine.worker.render import ChatTemplate, Rendered
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.reasoning import Mark


def prefix_ids(template: ChatTemplate, vocab: Vocab, prompt: Rendered, reply: ChatMessage) -> list[int]:
    """Return the ids of a reply as far as it came: as they were sampled, else as its text is tokenised.

    The sampled ids may end within a character or within newlines that the text lacks. They are not known
    where the engine died, and not to be used where the text was changed.
    """
    sampled = list(reply.token_ids)
    while sampled and sampled[-1] in vocab.end_ids:
        sampled.pop()
    return sampled if _spell(sampled, vocab, prompt, reply) else _ids_of_text(template, vocab, prompt, reply)


def _spell(ids: list[int], vocab: Vocab, prompt: Rendered, reply: ChatMessage) -> bool:
    """Tell whether ids make up a reply."""
    deltas = Deltas(vocab, prompt.opens_reasoning)
    deltas.replay(ids)
    deltas.flush()
    told = deltas.message()
    return (told.content, told.reasoning, told.tool_calls) == (
        reply.content,
        reply.reasoning,
        reply.tool_calls,
    )


def _ids_of_text(template: ChatTemplate, vocab: Vocab, prompt: Rendered, reply: ChatMessage) -> list[int]:
    """Tokenise a reply as Qwen3 writes it; thinking without an answer is taken for unfinished."""

    def encode(text: str) -> list[int]:
        return [token for piece in template.pieces(text) for token in vocab.encode(piece)]

    opening, closing = vocab.token(Mark.THINK_OPEN), vocab.token(Mark.THINK_CLOSE)
    if not reply.reasoning or opening is None or closing is None:
        return encode(reply.content)
    thinking = reply.reasoning if prompt.opens_reasoning else f"\n{reply.reasoning}"
    begun = [] if prompt.opens_reasoning else [opening]
    if not reply.content:
        return begun + encode(thinking)
    return [*begun, *encode(f"{thinking}\n"), closing, *encode(f"\n\n{reply.content}")]
