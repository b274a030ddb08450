"""The answer of a reply, held to a JSON schema from the end of the thinking on."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Final

from qwen3_chat.engine.reply_splitter import ReplyTag
from qwen3_chat.engine.worker.chat_template import RenderedPrompt
from qwen3_chat.engine.worker.deltas import DeltaBuilder
from qwen3_chat.engine.worker.sampler import Candidates
from qwen3_chat.engine.worker.tool_call_constraint import Grammar
from qwen3_chat.engine.worker.tool_call_grammar import (
    COMMON_RULES,
    MAX_GRAMMAR_CHARS,
    ROOT_RULE,
    GrammarRules,
    SchemaConverter,
    SchemaTooLargeError,
)
from qwen3_chat.engine.worker.vocab import Vocab

_CLOSING_TEXTS = ('"', "}", "]", "0")
"""The texts that end JSON soonest, in this order; a number has to have a digit."""
ANY_JSON_GRAMMAR: Final = rf'{ROOT_RULE} ::= "\n"{{0,2}} value{COMMON_RULES}'


@lru_cache(maxsize=4)
def answer_grammar(schema_text: str) -> str:
    """Return the grammar of an answer that is JSON of a schema, with the line ends before it.

    Raises:
        ValueError: it would be too long, or the schema has too many parts.
    """
    rules = GrammarRules()
    try:
        rule = SchemaConverter(json.loads(schema_text), rules).convert_any()
    except (SchemaTooLargeError, RecursionError) as error:
        raise ValueError from error
    text = rf'{ROOT_RULE} ::= "\n"{{0,2}} {rule}{COMMON_RULES}{rules.text}'
    if len(text) > MAX_GRAMMAR_CHARS:
        raise ValueError
    return text


class _AnswerRule:
    """The rule of the next token of an answer; the first one may begin the thinking instead.

    Tags are tokens of their own, which the grammar would take for their spelling inside a text.
    """

    def __init__(self, grammar: Grammar, tag_ids: frozenset[int], think_id: int | None) -> None:
        self._grammar, self._tag_ids, self._think_id = grammar, tag_ids, think_id

    def allows(self, token: int) -> bool:
        if token in self._tag_ids:
            return token == self._think_id
        return self._grammar.allows(token)

    def forbid_others(self, candidates: Candidates) -> None:
        logits = {token: candidates.logit(token) for token in self._tag_ids if token == self._think_id}
        self._grammar.forbid_others(candidates)
        for token in self._tag_ids:
            candidates.set_logit(token, logits.get(token, -math.inf))


class AnswerConstraint:
    """The constraint of one reply: any token while it thinks, then JSON of a schema up to its end."""

    def __init__(self, vocab: Vocab, schema: str, prompt: RenderedPrompt, deltas: DeltaBuilder) -> None:
        self._vocab, self._deltas = vocab, deltas
        self._grammar: Grammar | None = None
        for source in (answer_grammar, lambda _: ANY_JSON_GRAMMAR):
            try:
                self._grammar = Grammar(vocab, source(schema))
                break
            except ValueError:  # the next one is simpler; the answer is checked again in any case
                continue
        self._tag_ids = frozenset(id for tag in ReplyTag if (id := vocab.token(tag)) is not None)
        self._is_thinking = prompt.opens_reasoning
        self._has_begun = False
        self._closing_ids = [ids[0] for text in _CLOSING_TEXTS if len(ids := vocab.encode(text)) == 1]

    @property
    def grammar(self) -> _AnswerRule | None:
        """The rule of the next token; None where any token may come."""
        if self._is_thinking or self._grammar is None:
            return None
        think_id = None if self._has_begun else self._vocab.token(ReplyTag.THINK_OPEN)
        return _AnswerRule(self._grammar, self._tag_ids, think_id)

    def follow(self, token: int) -> None:
        """Follow a token of the reply, which the deltas have been given already."""
        was_thinking = self._is_thinking
        self._is_thinking = self._deltas.in_reasoning
        if self._is_thinking or self._grammar is None:
            return
        ends_thinking = was_thinking or (
            not self._has_begun and token == self._vocab.token(ReplyTag.THINK_CLOSE)
        )
        self._has_begun = True
        if not ends_thinking and not self._grammar.advance(token):
            self.close()  # of a reply that is continued and did not keep to it

    def closing_token(self) -> int | None:
        """Return the allowed token that ends the answer soonest; None where there is no choice yet."""
        if self._grammar is None or self._is_thinking:
            return None
        return next(
            (token for token in (*self._vocab.end_ids, *self._closing_ids) if self._grammar.allows(token)),
            None,
        )

    def close(self) -> None:
        """Drop the grammar, if there is one."""
        if self._grammar is not None:
            self._grammar.close()
            self._grammar = None
