"""A chat template in Jinja's sandbox, by the conventions of Hugging Face.

Requests and answers are objects of JSON, one a line. A request compiles a template, `{"source": …}`, or
renders it, `{"variables": …, "max_characters": …}`. An answer holds `text`, or `failure` with `reason`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_REASON_CHARACTERS = 1000
"""The most that is told of a template's own words."""


class TemplateFailure(StrEnum):
    """The ways in which a template fails."""

    BROKEN = "broken"
    REFUSED = "refused"
    TOO_LARGE = "too_large"


class JinjaSandbox:
    """The one template of a process: compiled first, then rendered as often as asked."""

    def __init__(self) -> None:
        self._environment = _environment()
        self._template = jinja2.Template("")

    def answer(self, line: bytes) -> bytes:
        """Carry out a request and return its answer, each a line of JSON without its end.

        Raises:
            MemoryError: this process may not have as much memory as the template takes.
        """
        return json.dumps(self._answer(json.loads(line))).encode()

    def _answer(self, request: Mapping[str, Any]) -> dict[str, str]:
        match request:
            case {"source": source}:
                return self._compile(source)
            case {"variables": variables, "max_characters": max_characters}:
                return self._render(variables, max_characters)
            case _:
                return _failure(TemplateFailure.REFUSED, "unknown request")

    def _compile(self, source: str) -> dict[str, str]:
        try:
            self._template = self._environment.from_string(source)
        except MemoryError:
            raise
        except Exception as error:  # Jinja's own errors, and Python's about the code that Jinja makes
            return _failure(TemplateFailure.BROKEN, error)
        return {"text": ""}

    def _render(self, variables: dict[str, Any], max_characters: int) -> dict[str, str]:
        pieces: list[str] = []
        n_characters = 0
        try:
            for piece in self._template.generate(variables):
                pieces.append(piece)
                n_characters += len(piece)
                if n_characters > max_characters:
                    return _failure(TemplateFailure.TOO_LARGE, "")
        except MemoryError:
            raise
        except Exception as error:  # a template is a program from a file: whatever it raises is its failure
            return _failure(TemplateFailure.REFUSED, error)
        return {"text": "".join(pieces)}


def _failure(kind: TemplateFailure, reason: object) -> dict[str, str]:
    return {"failure": kind.value, "reason": str(reason)[:MAX_REASON_CHARACTERS]}


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationBlock]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda time_format: datetime.now().strftime(time_format)
    return environment


class _GenerationBlock(Extension):
    """The block `{% generation %}`, which marks for training what the model wrote; here it is its content."""

    tags = {"generation"}  # noqa: RUF012 - as the class of Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the content of a block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML; models are trained on JSON as it is.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
