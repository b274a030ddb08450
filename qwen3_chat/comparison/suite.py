"""A suite: questions with the checks of their answers, as a TOML file describes them."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from qwen3_chat.comparison.answer_checks import AnswerChecks, CheckInvalidError
from qwen3_chat.config.toml_text import TomlError, parse_toml, read_toml_text
from qwen3_chat.documents.attachments import Attachment, join_attachments
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError

SHIPPED_SUITES: Final = {name: Path(__file__).with_name("suites") / f"{name}.toml" for name in ("en", "zh")}
"""The suites that come with the app, by the name that stands for their file."""
MAX_CASES: Final = 1_000

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class _CaseEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: _Name
    prompt: _Text
    check: AnswerChecks
    system: str = ""
    files: tuple[_Name, ...] = ()
    language: str = ""


class _SuiteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    case: Annotated[tuple[_CaseEntry, ...], msgspec.Meta(min_length=1, max_length=MAX_CASES)]


@dataclass(frozen=True, slots=True)
class SuiteCase:
    """A question as it is asked, with its files below it, and the checks of its answer.

    `digest` changes with anything that may change the outcome.
    """

    id: str
    text: str
    system: str
    language: str
    checks: AnswerChecks
    digest: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of a file, by its name."""

    name: str
    cases: tuple[SuiteCase, ...]


def load_suite(name: str) -> Suite:
    """Load a suite from its file, or the shipped one of that name.

    Raises:
        UsageError: it can't be read, holds something else, or a case has no check or one that can't be made.
    """
    path = Path(name)
    if name in SHIPPED_SUITES and not path.exists():
        path = SHIPPED_SUITES[name]
    try:
        entries = msgspec.convert(parse_toml(read_toml_text(path)), _SuiteFile).case
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(ErrorCode.SUITE_UNREADABLE, file=path, reason=reason) from error
    except (TomlError, msgspec.ValidationError) as error:
        raise UsageError(ErrorCode.SUITE_INVALID, file=path, reason=error) from error
    ids = set[str]()
    for entry in entries:
        if entry.id in ids:
            raise UsageError(ErrorCode.SUITE_ID_TWICE, file=path, id=entry.id)
        ids.add(entry.id)
    return Suite(path.stem, tuple(_case(entry, path) for entry in entries))


def _case(entry: _CaseEntry, path: Path) -> SuiteCase:
    checks = entry.check
    if isinstance(checks.json_schema, str):
        file = _inside(checks.json_schema, entry, path)
        try:
            schema = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError) as error:
            raise _invalid(entry, path, "json_schema", error) from error
        checks = msgspec.structs.replace(checks, json_schema=schema)
    if not any(True for _ in checks.names()):
        raise UsageError(ErrorCode.SUITE_WITHOUT_CHECK, file=path, id=entry.id)
    try:
        checks.require_usable()
        ast.parse(checks.python or "")
    except CheckInvalidError as error:
        raise _invalid(entry, path, error.check, error.reason) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _invalid(entry, path, "python", error) from error
    text = join_attachments(entry.prompt, list(_attachments(entry, path)))
    parts = msgspec.json.encode([text, entry.system, checks], order="sorted")
    return SuiteCase(
        entry.id, text, entry.system, entry.language, checks, hashlib.sha256(parts).hexdigest()[:16]
    )


def _attachments(entry: _CaseEntry, path: Path) -> Iterator[Attachment]:
    for name in entry.files:
        yield read_attachment(_inside(name, entry, path))


def _inside(name: str, entry: _CaseEntry, path: Path) -> Path:
    """Return the path of a file that a case names, which lies beside the suite or below.

    Raises:
        UsageError: it lies elsewhere.
    """
    folder = path.parent.resolve()
    file = (folder / name).resolve()
    if not file.is_relative_to(folder):
        raise UsageError(ErrorCode.SUITE_FILE_OUTSIDE, file=path, id=entry.id, name=name)
    return file


def _invalid(entry: _CaseEntry, path: Path, check: str, reason: object) -> UsageError:
    return UsageError(ErrorCode.SUITE_CHECK_INVALID, file=path, id=entry.id, check=check, reason=reason)
