"""The tool calls of a reply, held to their grammar while they are generated.

llama.cpp ends the process if its grammar is given a token that it forbids. So every token is checked before
it is accepted, wherever it comes from. A call whose tokens were not all allowed goes on without a grammar.
"""

from __future__ import annotations

import codecs
import ctypes
import math

from qwen3_chat.engine.reply_splitter import ReplyTag
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.deltas import DeltaBuilder
from qwen3_chat.engine.worker.native_library import TokenData, TokenDataArray
from qwen3_chat.engine.worker.sampler import Candidates
from qwen3_chat.engine.worker.tool_call_grammar import ROOT_RULE, tool_call_grammar
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.request import ToolSpec


class Grammar:
    """A grammar of llama.cpp at its place in a text, which has to be UTF-8; to be closed.

    llama.cpp alone would take three or four bytes that are no character for one, and miscount lengths.
    """

    def __init__(self, vocab: Vocab, source: str) -> None:
        """Parse a grammar in GBNF.

        Raises:
            ValueError: llama.cpp can't read it.
        """
        native = vocab.native.new_grammar(source, ROOT_RULE)
        if native is None:
            raise ValueError
        self._native = native
        self._vocab = vocab
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._one = TokenData()
        self._array = TokenDataArray(ctypes.pointer(self._one), 1, -1, False)

    def allows(self, token: int) -> bool:
        """Return whether a token may come next."""
        self._one.id, self._one.logit = token, 0.0
        self._native.apply(self._array)
        return self._one.logit > -math.inf and self._is_utf8(token)

    def forbid_others(self, candidates: Candidates) -> None:
        """Give each token that may not come next a probability of 0."""
        self._native.apply(candidates.array)
        if self._decoder.getstate()[0]:  # within a character, a few dozen tokens are left
            candidates.forbid_unless(self._is_utf8)

    def _is_utf8(self, token: int) -> bool:
        """Return whether the text is still UTF-8 with a token after it."""
        state = self._decoder.getstate()
        try:
            self._decoder.decode(self._vocab.piece(token))
        except UnicodeDecodeError:
            return False
        finally:
            self._decoder.setstate(state)
        return True

    def advance(self, token: int) -> bool:
        """Go on past a token if it may come next; return whether it may."""
        if not self.allows(token):
            return False
        self._native.accept(token)
        self._decoder.decode(self._vocab.piece(token))
        return True

    def close(self) -> None:
        """Free the memory of the grammar."""
        self._native.free()


class ToolCallConstraint:
    """The constraint of one reply: it follows the tokens, and has a grammar while they are inside a call.

    A call begins and ends where the splitter of the reply says so, hence never within the thinking.
    """

    def __init__(
        self, vocab: Vocab, template: ChatTemplate, tools: tuple[ToolSpec, ...], deltas: DeltaBuilder
    ) -> None:
        self.grammar: Grammar | None = None
        """The grammar of the next token; None where any token may come."""
        opening, closing = vocab.token(ReplyTag.TOOL_CALL_OPEN), vocab.token(ReplyTag.TOOL_CALL_CLOSE)
        self._opening_id = opening if tools and closing is not None and template.has_json_calls else None
        self._closing_id = closing
        self._vocab, self._tools, self._deltas = vocab, tools, deltas

    def follow(self, token: int) -> None:
        """Follow a token of the reply, which the deltas have been given already."""
        if self.grammar is not None:
            is_over = token == self._closing_id and not self._deltas.in_tool_call
            if not self.grammar.advance(token) or is_over:
                self.close()
        if self.grammar is None and token == self._opening_id and self._deltas.begins_tool_call:
            self.grammar = self._open_grammar()

    def close(self) -> None:
        """Drop the grammar, if there is one."""
        if self.grammar is not None:
            self.grammar.close()
            self.grammar = None

    def _open_grammar(self) -> Grammar | None:
        assert self._closing_id is not None
        for reads_schemas in (True, False):
            try:
                return Grammar(
                    self._vocab, tool_call_grammar(self._tools, self._closing_id, reads_schemas=reads_schemas)
                )
            except ValueError:  # the next one is simpler
                continue
        return None
