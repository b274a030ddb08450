"""The public names of the package, read from its source, and the words that none of them may use.

`python3 scripts/public_names.py` lists every module, class, function, parameter, field and constant. The test of
the same name fails on a word of the dialect that `docs/glossary.md` replaced with the field's standard terms.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "qwen3_chat"

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class PublicName:
    """A name that other modules may use: where it stands (`module:Class.method(parameter)`), and its kind."""

    where: str
    kind: str

    @property
    def name(self) -> str:
        """The last part: what a reader sees at the place of use."""
        return re.split(r"[.:(]", self.where.rstrip(")"))[-1]

    @property
    def words(self) -> list[str]:
        """Its words in lower case: `KVSnapshotStore` and `kv_snapshot_store` have the same."""
        return [
            word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", self.name)
        ]


def public_names(package: Path = PACKAGE) -> Iterator[PublicName]:
    """List the public names of all modules, module by module."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        yield PublicName(module, "module")
        yield from _names_of(ast.parse(path.read_text("utf-8")).body, f"{module}:")


def _names_of(body: list[ast.stmt], prefix: str) -> Iterator[PublicName]:
    for statement in body:
        match statement:
            case ast.ClassDef(name=name) if _is_public(name):
                yield PublicName(prefix + name, "class")
                yield from _names_of(statement.body, f"{prefix}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if _is_public(name):
                    yield PublicName(prefix + name, "function")
                if _is_public(name) or name == "__init__":
                    yield from _parameters(statement, prefix)
                if name == "__init__":
                    yield from _attributes(statement, prefix)
            case ast.AnnAssign(target=ast.Name(id=name)) if _is_public(name):
                yield PublicName(prefix + name, "field")
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                yield from (PublicName(prefix + name, "field") for name in names if _is_public(name))
            case _:
                pass


def _parameters(function: _Function, prefix: str) -> Iterator[PublicName]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg not in ("self", "cls") and _is_public(argument.arg):
            yield PublicName(f"{prefix}{function.name}({argument.arg})", "parameter")


def _attributes(function: _Function, prefix: str) -> Iterator[PublicName]:
    """List what `__init__` puts into the object."""
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()) if _is_public(name):
                yield PublicName(prefix + name, "field")
            case _:
                pass


def _is_public(name: str) -> bool:
    return not name.startswith("_")


if __name__ == "__main__":
    for public_name in public_names():
        sys.stdout.write(f"{public_name.kind:<9} {public_name.where}\n")
