"""The JSON schema of `ask --schema`: read, told to the model, and the answer checked by it."""

from __future__ import annotations

import json
from pathlib import Path

from qwen3_chat.documents.attachments import Attachment, join_attachments
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, UsageError
from qwen3_chat.texts import t
from qwen3_chat.tools.arguments import MAX_SCHEMA_CHARS, SchemaChecker, SchemaError


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
