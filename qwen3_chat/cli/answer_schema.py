"""The JSON schema of `ask --schema`: read, told to the model, and the answer checked by it.

An answer that does not fit, since a server cut it off or does not hold to schemas, is asked for again:
without the thinking that took its room, and by a schema in which nothing goes on for ever.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from qwen3_chat.chat import Role, StopReason, ThinkingMode
from qwen3_chat.cli.bounded_schema import bound_schema
from qwen3_chat.context_plan import whole_answer_tokens
from qwen3_chat.documents.attachments import Attachment, join_attachments
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, UsageError
from qwen3_chat.events import Notice
from qwen3_chat.record_copies import replace
from qwen3_chat.sampling import MAX_SEED
from qwen3_chat.session import ChatSession, SessionEventSink
from qwen3_chat.texts import t
from qwen3_chat.tools.arguments import MAX_SCHEMA_CHARS, SchemaChecker, SchemaError

MAX_ANSWERS: Final = 3
"""The most answers to one question, until one fits."""
_ROOM_TOKENS: Final = 1024
"""The tokens that a later answer has at most."""
_COMPLETE: Final = frozenset({StopReason.END_OF_TURN, StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL})


class AnswerSchema:
    """A schema from a file.

    Raises:
        UsageError: the file can't be read, or its schema can't be used: it leads elsewhere, or is too large.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open(encoding="utf-8-sig") as file:
                source = file.read(4 * MAX_SCHEMA_CHARS)
            schema = json.loads(source)
        except OSError as error:
            raise UsageError(ErrorCode.SCHEMA_INVALID, path=path, reason=error.strerror or error) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(ErrorCode.SCHEMA_INVALID, path=path, reason=error) from error
        if not isinstance(schema, dict):
            raise UsageError(ErrorCode.SCHEMA_INVALID, path=path, reason=type(schema).__name__)
        try:
            self._checker = SchemaChecker(schema)
        except SchemaError as error:
            raise UsageError(ErrorCode.SCHEMA_INVALID, path=path, reason=error) from error
        self._schema = schema
        self.text = json.dumps(schema, ensure_ascii=False)
        """The schema as JSON."""

    def ask_for_json(self, question: str) -> str:
        """Return a question with the schema below it."""
        text = f"{question.rstrip()}\n\n{t('cli.schema_instruction')}"
        return join_attachments(text, [Attachment("schema.json", self.text)])

    def check(self, answer: str) -> None:
        """Check an answer.

        Raises:
            EngineError: it is no JSON, or JSON that does not fit the schema.
        """
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise EngineError(ErrorCode.ANSWER_NOT_OF_SCHEMA, reason=error) from error
        if reason := self._checker.explain_value(value, "value"):
            raise EngineError(ErrorCode.ANSWER_NOT_OF_SCHEMA, reason=reason)

    def bounded_text(self, room_tokens: int) -> str:
        """Return a schema as JSON whose values fit this one, and into a number of tokens."""
        return json.dumps(bound_schema(self._schema, room_tokens), ensure_ascii=False)


async def ask_until_it_fits(session: ChatSession, schema: AnswerSchema, on_event: SessionEventSink) -> None:
    """Have the session answer again as long as its answer does not fit, at most three times in all.

    The answers before stay in the chat as versions.
    """
    options = session.options
    for attempt in range(1, MAX_ANSWERS):
        reply = session.messages[-1] if session.messages else None
        if reply is None or reply.message.role is not Role.ASSISTANT or reply.stop_reason not in _COMPLETE:
            return
        try:
            schema.check(reply.message.content)
            return
        except EngineError as error:
            on_event(Notice("cli.schema_again", {"reason": str(error.values.get("reason", ""))}))
        can_think = (
            attempt == 1 and reply.message.content.strip() and session.engine.capabilities.thinking_budget
        )
        thinks = bool(can_think) and reply.meta.mode is ThinkingMode.THINK
        room = min(options.max_tokens or _ROOM_TOKENS, _ROOM_TOKENS)
        room = whole_answer_tokens(room) if thinks else room
        seed = None if options.seed is None else (options.seed + attempt) % (MAX_SEED + 1)
        text = schema.bounded_text(room >> 2 * (attempt - 1))
        session.set_options(replace(options, answer_schema=text, seed=seed))
        await session.regenerate(on_event, mode=reply.meta.mode if thinks else ThinkingMode.NO_THINK)
