"""The public names of the package, read from its source.

`python3 scripts/public_names.py` lists every module, class, function, property, parameter, field and
constant. `tests/project/test_public_names.py` fails on a name with a word that `docs/glossary.md` replaced.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "qwen3_chat"

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class NameKind(StrEnum):
    """The kinds of public names."""

    MODULE = "module"
    CLASS = "class"
    FUNCTION = "function"
    PROPERTY = "property"
    PARAMETER = "parameter"
    FIELD = "field"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class PublicName:
    """A name that other modules may use: its place (`module:Class.method(parameter)`) and its kind."""

    where: str
    kind: NameKind

    @property
    def module(self) -> str:
        """The dotted name of its module."""
        return self.where.partition(":")[0]

    @property
    def name(self) -> str:
        """The last part, as a reader sees it at the place of use."""
        return re.split(r"[.:(]", self.where.rstrip(")"))[-1]

    @property
    def is_top_level(self) -> bool:
        """True for a class, function or constant of a module, False for what stands inside one."""
        _, _, inside = self.where.partition(":")
        return bool(inside) and not re.search(r"[.(]", inside)

    @property
    def words(self) -> list[str]:
        """Its words in lower case; `KVSnapshotStore` and `kv_snapshot_store` have the same."""
        return [
            word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", self.name)
        ]


def modules_of(package: Path = PACKAGE) -> Iterator[tuple[str, Path]]:
    """List the modules with their files; a package is its `__init__.py`."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


def public_names(package: Path = PACKAGE) -> list[PublicName]:
    """List the public names of all modules, module by module, each once."""
    names: dict[PublicName, None] = {}
    for module, path in modules_of(package):
        names[PublicName(module, NameKind.MODULE)] = None
        body = ast.parse(path.read_text("utf-8")).body
        names |= dict.fromkeys(_names_in(body, f"{module}:", NameKind.CONSTANT))
    return list(names)


def is_property(function: _Function) -> bool:
    """Return True for a function that is read like a field."""
    decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any(re.search(r"property$|\.setter$", decorator) for decorator in decorators)


def _names_in(body: list[ast.stmt], prefix: str, value_kind: NameKind) -> Iterator[PublicName]:
    for statement in body:
        match statement:
            case ast.ClassDef(name=name) if _is_public(name):
                yield PublicName(prefix + name, NameKind.CLASS)
                yield from _names_in(statement.body, f"{prefix}{name}.", NameKind.FIELD)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if _is_public(name):
                    kind = NameKind.PROPERTY if is_property(statement) else NameKind.FUNCTION
                    yield PublicName(prefix + name, kind)
                if _is_public(name) or name == "__init__":
                    yield from _parameters(statement, prefix)
                if value_kind is NameKind.FIELD:
                    yield from _attributes(statement, prefix)
            case ast.Assign(targets=targets):
                yield from (name for target in targets for name in _assigned(target, prefix, value_kind))
            case ast.AnnAssign(target=target):
                yield from _assigned(target, prefix, value_kind)
            case ast.If() | ast.Try() | ast.With():
                yield from _names_in(_nested(statement), prefix, value_kind)
            case _:
                pass


def _nested(statement: ast.If | ast.Try | ast.With) -> list[ast.stmt]:
    nested = list(statement.body)
    if isinstance(statement, ast.If | ast.Try):
        nested += statement.orelse
    if isinstance(statement, ast.Try):
        nested += [*statement.finalbody, *(inner for handler in statement.handlers for inner in handler.body)]
    return nested


def _assigned(target: ast.expr, prefix: str, kind: NameKind) -> Iterator[PublicName]:
    match target:
        case ast.Name(id=name) if _is_public(name):
            yield PublicName(prefix + name, kind)
        case ast.Tuple(elts=targets):
            yield from (name for element in targets for name in _assigned(element, prefix, kind))
        case _:
            pass


def _parameters(function: _Function, prefix: str) -> Iterator[PublicName]:
    arguments = function.args
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *variadic):
        if argument.arg not in ("self", "cls") and _is_public(argument.arg):
            yield PublicName(f"{prefix}{function.name}({argument.arg})", NameKind.PARAMETER)


def _attributes(method: _Function, prefix: str) -> Iterator[PublicName]:
    """List what a method puts into its object."""
    for node in ast.walk(method):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()) if _is_public(name):
                yield PublicName(prefix + name, NameKind.FIELD)
            case _:
                pass


def _is_public(name: str) -> bool:
    return not name.startswith("_")


if __name__ == "__main__":
    for public_name in public_names():
        sys.stdout.write(f"{public_name.kind:<9} {public_name.where}\n")
