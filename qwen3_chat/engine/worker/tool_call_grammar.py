"""The grammar of a tool call in GBNF, llama.cpp's notation, made from the JSON schemas of the tools.

What the grammar cannot express (`pattern`, `not`, `multipleOf` …) it leaves open, so it may allow more than a
schema: the arguments are checked again before a tool runs. It allows less in four ways: declared properties
come without undeclared ones, more than five of them in the order of the schema, a constant in one spelling,
and a URI without escapes; one that begins with `http` goes on as an address of the web.

The converter of llama-cpp-python is not used. It ignores bounds of numbers, mixes up references with equal
ends, doesn't escape backslashes, and writes out `maxLength` in parentheses, so that a schema from outside
could make llama.cpp overflow its stack. Here every count is limited, and every choice of the grammar is
made by few rules, since each possible reading of the text costs time at each token.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from os.path import commonprefix
from typing import Any, Final

from qwen3_chat.request import ToolSpec

ROOT_RULE: Final = "root"

MAX_GRAMMAR_CHARS: Final = 200_000
"""The longest grammar, in characters."""

MAX_CONVERTED_PARTS: Final = 500
"""The most parts of one tool's schema; beyond, its arguments may be any object."""

_MAX_DEPTH: Final = 16
_MAX_PROPERTIES: Final = 40
_MAX_UNORDERED_PROPERTIES: Final = 5  # each set of those that are left is a rule
_MAX_ALTERNATIVES: Final = 20
_MAX_VALUES, _MAX_VALUE_CHARS, _MAX_ALL_VALUES_CHARS = 500, 200, 20_000  # of an enum
_MAX_LENGTH: Final = 500  # llama.cpp makes a rule for each optional repetition
_MAX_ITEMS: Final = 100
_MAX_DIGITS: Final = 15
_MAX_EXCLUDED: Final = 10_000  # where floats have eleven decimals still
_MAX_READINGS: Final = 20  # of one text, by the alternatives of unions: llama.cpp follows all at once
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_CONSTRAINTS: Final = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("format", "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "anyOf", "oneOf", "allOf", "$ref"),
)
"""The keywords that are read."""

# Positive sets only: llama.cpp refuses the first bytes of a character that an excluded range shares.
# The escape of half a surrogate pair is no character, and a pair is one.
COMMON_RULES: Final = r"""
ws ::= (" " | "\n" [ \t]{0,20})?
char ::= [ !#-\[\]-\uD7FF\uE000-\U0010FFFF] | "\\" (["\\/bfnrt] | "u" unit)
unit ::= [0-9a-cA-CefEF] hex{3} | [dD] ([0-7] hex{2} | [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2})
hex ::= [0-9a-fA-F]
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,30})
number ::= integer ("." [0-9]{1,30})? ([eE] [-+]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
uri ::= "\"" (scheme uchar | "http" "s"? "://" uchar) uchar* "\""
scheme ::= [a-gi-zA-Z] schar* ":" | "h" ([a-su-z0-9+.-] schar*)? ":"
schar ::= [a-zA-Z0-9+.-]
uchar ::= [!#-\[\]-~] | [\u00A1-\uD7FF\uE000-\U0010FFFF]
object ::= "{" ws (pair ("," ws pair)*)? "}"
pair ::= string ws ":" ws value ws
array ::= "[" ws (item ("," ws item)*)? "]"
item ::= value ws
value ::= object | array | string | number | boolean | null
"""
_SOURCE_BEGIN, _SOURCE_END, _CALL_END = "<code>", "</code>", "</tool_call>"

_OBJECT, _ARRAY, _STRING, _URI = "object", "array", "string", "uri"
_NUMBER, _INTEGER, _VALUE = "number", "integer", "value"
_COMMA: Final = '"," ws '
_TYPES: Final = {_OBJECT, _ARRAY, _STRING, _NUMBER, _INTEGER, "boolean", "null"}


@lru_cache(maxsize=4)
def tool_call_grammar(tools: tuple[ToolSpec, ...], closing_id: int, *, reads_schemas: bool = True) -> str:
    """Return the grammar of what follows `<tool_call>`, up to `</tool_call>`, the token `closing_id`.

    If `reads_schemas` is false, the arguments may be any object.

    Raises:
        ValueError: it would be too long, or no tool has a name.
    """
    rules = GrammarRules()
    functions = _functions(tools)
    calls = " | ".join(
        f'{_call(function, rules, reads_schemas)} ws "}}" ws{" source?" if takes_code(function[1]) else ""}'
        for function in functions
    )
    start = rf'ws "{{" ws "\"name\"" ws ":" ws ({calls}) <[{closing_id}]>'
    source = _source_rules() if any(takes_code(schema) for _, schema in functions) else ""
    text = f"{ROOT_RULE} ::= {start}{COMMON_RULES}{source}{rules.text}"
    if not calls or len(text) > MAX_GRAMMAR_CHARS:
        raise ValueError
    return text


def _functions(tools: Sequence[ToolSpec]) -> list[tuple[str, object]]:
    """Return names and schemas of tools; a tool without a name can't be called."""
    functions = dict[str, object]()
    for tool in tools:
        value = json.loads(tool.schema)  # rendering the prompt has checked that it is an object
        function = value.get("function", value)
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            functions.setdefault(name, function.get("parameters"))
    return list(functions.items())


def _source_rules() -> str:
    """Return the rules of code between its tags: any text up to the first `</code>`, without `</tool_call>`.

    A rule stands for how much of the two has been written already.
    """
    ends = (_SOURCE_END, _CALL_END)
    states = sorted(
        {end[:length] for end in ends for length in range(len(end))}, key=lambda state: (len(state), state)
    )
    letters = sorted({letter for end in ends for letter in end})
    lines = [f'source ::= "{_SOURCE_BEGIN}" s0']
    for number, state in enumerate(states):
        choices = defaultdict[str, str](str)
        for letter in letters:
            text = state + letter
            if text == _SOURCE_END:
                choices["ws"] += letter
            elif text != _CALL_END:
                longest = next(text[at:] for at in range(len(text) + 1) if text[at:] in states)
                choices[f"s{states.index(longest)}"] += letter
        choices["s0"] += _complement(letters)
        alternatives = (f"[{allowed}] {target}" for target, allowed in choices.items())
        lines.append(f"s{number} ::= " + " | ".join(alternatives))
    return "\n".join(lines) + "\n"


def _complement(letters: Sequence[str]) -> str:
    """Return the inside of a class of all characters but some of ASCII, as ranges."""
    codes = [0x20 - 1, *map(ord, letters), 0xD800]
    ranges = [(low + 1, high - 1) for low, high in pairwise(codes) if low + 1 < high]
    return r"\t\n\r" + "".join(rf"\u{low:04X}-\u{high:04X}" for low, high in ranges) + r"\uE000-\U0010FFFF"


def takes_code(schema: object) -> bool:
    """Return whether a tool needs the text `code`, which may then stand behind the JSON as it is."""
    if not isinstance(schema, dict) or "code" not in (schema.get("required") or ()):
        return False
    properties = schema.get("properties")
    code = properties.get("code") if isinstance(properties, dict) else None
    return isinstance(code, dict) and code.get("type") == _STRING


def _call(function: tuple[str, object], rules: GrammarRules, reads_schemas: bool) -> str:
    name, schema = function
    arguments = _OBJECT
    if reads_schemas and isinstance(schema, dict) and schema.get("type", _OBJECT) == _OBJECT:
        try:
            arguments = SchemaConverter(schema, rules).convert()
        except (SchemaTooLargeError, RecursionError):
            arguments = _OBJECT
    return rules.add(rf'{_literal(_json(name))} ws "," ws "\"arguments\"" ws ":" ws {arguments}')


class SchemaTooLargeError(Exception):
    """A schema has more parts than a grammar is made of."""


class GrammarRules:
    """The rules of a grammar; equal ones are one, so that llama.cpp follows them once."""

    def __init__(self) -> None:
        self._name_of: dict[str, str] = {}
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """The rules, a line each."""
        return "\n".join(self._lines)

    def add(self, body: str) -> str:
        """Return the name of the rule with this body."""
        if body not in self._name_of:
            self._name_of[body] = self.define(self.reserve(), body)
        return self._name_of[body]

    def reserve(self) -> str:
        """Return a name for a rule that is defined later."""
        self._lines.append("")
        return f"r{len(self._lines) - 1}"

    def define(self, name: str, body: str) -> str:
        """Define the rule of a reserved name; return the name."""
        self._lines[int(name[1:])] = f"{name} ::= {body}"
        return name


class _Reference:
    """A reference whose rule exists or is being made, at a depth of containers and of unions."""

    def __init__(self, name: str, depth: int, unions: int) -> None:
        self.name = name
        self.depth = depth
        self.unions = unions
        self.is_open = True


class SchemaConverter:
    """A converter of one tool's schema into rules."""

    def __init__(self, schema: Any, rules: GrammarRules) -> None:
        self._schema = schema
        self._rules = rules
        self._references: dict[str, _Reference] = {}
        self._n_readings = defaultdict[str, int](lambda: 1)
        self._n_parts = self._depth = self._unions = 0

    def convert(self) -> str:
        """Return the rule of the whole schema, which is that of an object."""
        return self._rule({**self._schema, "type": _OBJECT})

    def convert_any(self) -> str:
        """Return the rule of the whole schema, of whatever type."""
        return self._rule(self._schema)

    def _rule(self, schema: object) -> str:
        """Return the name of the rule of a schema."""
        self._n_parts += 1
        if self._n_parts > MAX_CONVERTED_PARTS:
            raise SchemaTooLargeError
        if not isinstance(schema, dict) or self._depth > _MAX_DEPTH:
            return _VALUE
        constraints = {key: schema[key] for key in _CONSTRAINTS if key in schema}
        if constraints.keys() == {"$ref"}:
            return self._reference(constraints["$ref"])
        return self._flat_rule(self._merged(constraints))

    def _add(self, body: str, n_readings: int) -> str:
        name = self._rules.add(body)
        self._n_readings[name] = n_readings
        return name

    def _flat_rule(self, schema: dict[str, Any]) -> str:
        """Return the rule of a schema that is no reference and has no `allOf`."""
        if "const" in schema:
            return self._values([schema["const"]])
        if isinstance(values := schema.get("enum"), list) and values:
            return self._values(values)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                base = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}
                return self._union([_both(base, part) for part in schema[key]])
        kind = schema.get("type", _implied_type(schema))
        if isinstance(kind, list):
            return self._union([{**schema, "type": part} for part in kind])
        match kind:
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema)
            case "string":
                return self._string(schema)
            case "number" | "integer":
                return self._number(schema, kind)
            case str() if kind in _TYPES:
                return kind
            case _:
                return _VALUE

    def _merged(self, schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
        """Return a schema with its reference and its `allOf` merged in, as far as that is possible."""
        parts = [schema.get("$ref")] if "$ref" in schema else []
        merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        others = [self._target(str(part)) for part in parts]
        if isinstance(schema.get("allOf"), list):
            others += schema["allOf"]
        for other in others[:_MAX_ALTERNATIVES]:
            self._n_parts += 1
            if self._n_parts > MAX_CONVERTED_PARTS:
                raise SchemaTooLargeError
            if isinstance(other, dict) and depth < _MAX_DEPTH:
                merged = _both(merged, self._merged(other, depth + 1))
        return merged

    def _reference(self, pointer: object) -> str:
        """Return the rule of a reference; of one that leads back to itself, where that is unambiguous."""
        if not isinstance(pointer, str):
            return _VALUE
        known = self._references.get(pointer)
        if known is None:
            known = _Reference(self._rules.reserve(), self._depth, self._unions)
            self._references[pointer] = known
            try:
                rule = self._rule(self._target(pointer))
                self._rules.define(known.name, rule)
                self._n_readings[known.name] = self._n_readings[rule]
            except (SchemaTooLargeError, RecursionError):
                self._rules.define(known.name, _VALUE)
                raise
            known.is_open = False
        elif known.is_open and (known.depth == self._depth or known.unions < self._unions):
            return _VALUE  # the rule would begin with itself, or the number of readings would grow with depth
        return known.name

    def _target(self, pointer: str) -> object:
        """Return what a reference within the schema refers to; True, which allows anything, if nothing."""
        if not pointer.startswith("#"):
            return True
        target: object = self._schema
        for step in pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            match target:
                case dict() if step in target:
                    target = target[step]
                case list() if step.isdecimal() and len(step) < 6 and int(step) < len(target):
                    target = target[int(step)]
                case _:
                    return True
        return target if pointer == "#" or "/" in pointer else True  # an anchor is not looked for

    def _union(self, schemas: Sequence[object]) -> str:
        if not 0 < len(schemas) <= _MAX_ALTERNATIVES:
            return _VALUE
        self._unions += 1
        names = dict.fromkeys(self._rule(schema) for schema in schemas if schema is not False)
        self._unions -= 1
        n_readings = sum(self._n_readings[name] for name in names)
        if _VALUE in names or not 0 < n_readings <= _MAX_READINGS:
            return _VALUE
        return self._add(" | ".join(names), n_readings)

    def _values(self, values: Sequence[object]) -> str:
        texts = sorted({_json(value) for value in values[: _MAX_VALUES + 1]})
        if (
            len(texts) > _MAX_VALUES
            or max(map(len, texts)) > _MAX_VALUE_CHARS
            or sum(map(len, texts)) > _MAX_ALL_VALUES_CHARS
        ):
            return _STRING if all(isinstance(value, str) for value in values) else _VALUE
        return self._rules.add(_one_of(texts))

    def _object(self, schema: dict[str, Any]) -> str:
        properties = _mapping(schema.get("properties"))
        required = [name for name in _sequence(schema.get("required")) if isinstance(name, str)]
        if len(properties) + len(required) > _MAX_PROPERTIES:
            return _OBJECT
        kinds = {name: part for name, part in properties.items() if part is not False}
        kinds |= {name: True for name in required if name not in kinds}
        more = schema.get("additionalProperties", "properties" not in schema)
        if not kinds:
            return self._map(more)
        self._depth += 1
        values = {name: self._rule(part) for name, part in kinds.items()}
        self._depth -= 1
        pairs = {
            name: self._rules.add(f'{_literal(_json(name))} ws ":" ws {value} ws')
            for name, value in values.items()
        }
        members = self._unordered if len(pairs) <= _MAX_UNORDERED_PROPERTIES else self._ordered
        body = f'"{{" ws {members(pairs, frozenset(required))} "}}"'
        return self._add(body, max(self._n_readings[value] for value in values.values()))

    def _map(self, kind: object) -> str:
        """Return the rule of an object whose properties have any names."""
        if kind is False:
            return self._rules.add('"{" ws "}"')
        self._depth += 1
        value = self._rule(kind)
        self._depth -= 1
        pair = self._rules.add(f'string ws ":" ws {value} ws')
        return self._add(f'"{{" ws ({pair} ({_COMMA}{pair})*)? "}}"', self._n_readings[value])

    def _unordered(self, pairs: Mapping[str, str], required: Collection[str], separator: str = "") -> str:
        """Return the rule of properties in any order."""
        options = []
        for name, pair in pairs.items():
            others = {key: value for key, value in pairs.items() if key != name}
            rest = self._unordered(others, required, _COMMA) if others else ""
            options.append(f"{separator}{pair} {rest}")
        is_optional = not any(name in required for name in pairs)
        return self._rules.add(f"({' | '.join(options)}){'?' if is_optional else ''}")

    def _ordered(self, pairs: Mapping[str, str], required: Collection[str]) -> str:
        """Return the rule of properties in the order of the schema."""
        after, first = '""', '""'  # the rest after another property, and where it comes first
        for name, pair in reversed(list(pairs.items())):
            if name in required:
                first = self._rules.add(f"{pair} {after}")
                after = self._rules.add(f"{_COMMA}{pair} {after}")
            else:
                first = self._rules.add(f"{pair} {after} | {first}")
                after = self._rules.add(f"({_COMMA}{pair})? {after}")
        return first

    def _array(self, schema: dict[str, Any]) -> str:
        prefix = [part for part in _sequence(schema.get("prefixItems")) if part is not False][:_MAX_ITEMS]
        rest = schema.get("items", True)
        least = min(_count(schema.get("minItems"), 0), _MAX_ITEMS)
        most = _count(schema.get("maxItems"), _MAX_ITEMS + 1)
        if most < least:
            return _ARRAY
        self._depth += 1
        items = [self._rule(part) for part in prefix[:most]]
        item = self._rule(rest) if rest is not False and most > len(items) else ""
        self._depth -= 1
        n_readings = max((self._n_readings[name] for name in [*items, item]), default=1)
        items, item = [f"{name} ws" for name in items], f"{item} ws" if item else ""
        tail = ""
        if item and items:
            low = max(0, least - len(items))
            tail = f"({_COMMA}{item}){_repeated(low, most - len(items))}"
        elif item:
            low = max(0, least - 1)
            tail = f"{item} ({_COMMA}{item}){_repeated(low, most - 1)}"
            tail = tail if least else f"({tail})?"
        for index in reversed(range(len(items))):
            tail = f"{_COMMA if index else ''}{items[index]} {tail}"
            tail = tail if index < least else f"({tail})?"
        return self._add(f'"[" ws {tail} "]"', n_readings)

    def _string(self, schema: dict[str, Any]) -> str:
        limits_length = "maxLength" in schema or schema.get("minLength", 1) not in (0, 1)
        if schema.get("format") == "uri" and not limits_length:
            return _URI
        least = min(_count(schema.get("minLength"), 0), _MAX_LENGTH)
        most = _count(schema.get("maxLength"), _MAX_LENGTH + 1)
        if most < least:
            return _STRING
        if not least and most > _MAX_LENGTH:
            return _STRING
        upper = most if most <= _MAX_LENGTH else ""
        return self._rules.add(rf'"\"" char{{{least},{upper}}} "\""')

    def _number(self, schema: dict[str, Any], kind: str) -> str:
        """Return the rule of a number; bounds count where they are integers of at most 15 digits."""
        low, excludes_low = _bound(schema, "minimum", "exclusiveMinimum", max)
        high, excludes_high = _bound(schema, "maximum", "exclusiveMaximum", min)
        cap = 10**_MAX_DIGITS - 1
        if (low is None and high is None) or any(b is not None and abs(b) > cap for b in (low, high)):
            return kind
        low, high = -cap if low is None else low, cap if high is None else high
        first, last = math.ceil(low), math.floor(high)
        whole = _integers(first + (excludes_low and first == low), last - (excludes_high and last == high))
        if kind == _INTEGER:
            return self._rules.add(whole) if whole else kind
        if first != low or last != high:
            return kind  # decimals between such bounds would take many rules
        excluded = [bound for bound, is_it in ((low, excludes_low), (high, excludes_high)) if is_it]
        if any(abs(bound) > _MAX_EXCLUDED for bound in excluded):
            return kind
        # A number of more digits may be rounded to the excluded bound.
        digits = '"." "0"{0,5} [1-9] [0-9]{0,5}' if excluded else '"." [0-9]{1,30}'
        decimals = [f'"-" ({span}) {digits}' for span in [_span(max(0, -last), -first - 1)] if span]
        decimals += [f"({span}) {digits}" for span in [_span(max(0, first), last - 1)] if span]
        options = [*filter(None, [whole]), *decimals]
        return self._rules.add(" | ".join(options)) if options else kind


def _both(first: Mapping[str, Any], second: object) -> Any:
    """Return a schema that allows at least what both schemas allow; where they conflict, the first counts."""
    if second is False:
        return False
    both = dict(first)
    if not isinstance(second, dict):
        return both
    for key, value in second.items():
        if key not in _CONSTRAINTS:
            continue
        if key not in both:
            both[key] = value
        elif key == "required":
            both[key] = [*_sequence(both[key]), *_sequence(value)]
        elif key == "properties":
            mine, theirs = _mapping(both[key]), _mapping(value)
            shared = {name: {"allOf": [mine[name], theirs[name]]} for name in mine.keys() & theirs.keys()}
            both[key] = {**mine, **theirs, **shared}
    return both


def _implied_type(schema: Mapping[str, Any]) -> str | None:
    """Return the type that the keywords of a schema without one are meant for."""
    for kind, keys in (
        (_OBJECT, ("properties", "required", "additionalProperties")),
        (_ARRAY, ("items", "prefixItems", "minItems", "maxItems")),
        (_STRING, ("minLength", "maxLength")),
        (_NUMBER, ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")),
    ):
        if any(key in schema for key in keys):
            return kind
    return None


def _bound(
    schema: Mapping[str, Any], inclusive: str, exclusive: str, tighter: Any
) -> tuple[int | float | None, bool]:
    """Return a bound of a number, and whether it is excluded; None where there is none."""
    bounds = [(schema.get(key), key == exclusive) for key in (inclusive, exclusive)]
    known = [(value, excludes) for value, excludes in bounds if _is_finite(value)]
    if not known:
        return None, False
    value = tighter(value for value, _ in known)
    return value, any(excludes for other, excludes in known if other == value)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _integers(low: int, high: int) -> str:
    """Return the integers from `low` to `high`, of at most 15 digits; empty if there are none."""
    negative, positive = _span(max(1, -high), -low), _span(max(0, low), high)
    return " | ".join(filter(None, (f'"-" ({negative})' if negative else "", positive)))


def _span(low: int, high: int) -> str:
    """Return the decimals of the numbers from `low`, at least 0, to `high`."""
    options = []
    while low <= high:
        last = min(high, 10 ** len(str(low)) - 1)
        options.append(_span_of_equal_lengths(str(low), str(last)))
        low = last + 1
    return " | ".join(options)


def _span_of_equal_lengths(low: str, high: str) -> str:
    if low == high:
        return f'"{low}"'
    rest = len(low) - 1
    if not rest:
        return f"[{low}-{high}]"
    if low[0] == high[0]:
        return f'"{low[0]}" ({_span_of_equal_lengths(low[1:], high[1:])})'
    first, last, options = int(low[0]), int(high[0]), []
    if low[1:].strip("0"):
        options.append(f'"{first}" ({_span_of_equal_lengths(low[1:], "9" * rest)})')
        first += 1
    if high[1:].strip("9"):
        options.append(f'"{last}" ({_span_of_equal_lengths("0" * rest, high[1:])})')
        last -= 1
    if first <= last:
        options.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    return " | ".join(options)


def _repeated(low: int, high: int) -> str:
    """Return how often an item may follow; a number above the limit is none."""
    # llama.cpp never ends where the upper number is the smaller one.
    return f"{{{low},{max(low, high) if high <= _MAX_ITEMS else ''}}}"


def _count(value: object, default: int) -> int:
    """Return a count that a schema gives, at most just above all limits."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return default
    return min(value, _MAX_LENGTH + _MAX_ITEMS)


def _one_of(texts: Sequence[str]) -> str:
    """Return the alternatives of different, sorted texts; each beginning that some share stands once."""
    prefix = commonprefix(texts)  # noqa: RUF071 - by characters is meant
    rests = [text[len(prefix) :] for text in texts if len(text) > len(prefix)]
    if not rests:
        return _literal(prefix)
    options = " | ".join(_one_of(list(group)) for _, group in groupby(rests, key=lambda rest: rest[0]))
    return f"{_literal(prefix)} ({options}){'?' if len(rests) < len(texts) else ''}"


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # Half a character could not be matched, its escape can.
    return json.dumps(value) if _LONE_SURROGATE.search(text) else text


def _literal(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if " " <= character <= "~" else f"\\U{ord(character):08X}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
