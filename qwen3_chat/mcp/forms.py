"""The forms by which MCP servers ask the user for something (elicitation), and what is typed. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.texts.terminal_safe import label_of_name, storable, terminal_safe

MAX_FIELDS: Final = 20
MAX_CHOICES: Final = 50
MAX_MESSAGE_CHARS: Final = 2_000
MAX_LABEL_CHARS: Final = 80
MAX_ABOUT_CHARS: Final = 300
MAX_FORM_VALUE_CHARS: Final = 4_000
"""The longest value that the user can type, in characters."""

MAX_FORM_URL_CHARS: Final = 4_000

_YES, _NO = ("yes", "y", "true", "1", "是", "对"), ("no", "n", "false", "0", "否", "不")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LIMITS: Final = {
    "string": ("minLength", "maxLength"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
    "array": ("minItems", "maxItems"),
}

FormValue = str | int | float | bool | list[str]


class FieldKind(StrEnum):
    """The kind of value that a field takes."""

    TEXT = "text"
    EMAIL = "email"
    URI = "uri"
    DATE = "date"
    MOMENT = "date-time"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    CHOICES = "choices"


class FormChoice(msgspec.Struct, frozen=True):
    """A value to choose, with the text that is shown for it."""

    value: str
    label: str


class FormField(msgspec.Struct, frozen=True):
    """A field of a form; `low` and `high` limit a number, the length of a text, or the count of choices."""

    name: str
    title: str
    kind: FieldKind
    about: str = ""
    is_required: bool = False
    default: str = ""
    """The value that stands there at first, as it would be typed in English."""
    choices: tuple[FormChoice, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def first_text(self) -> str:
        """The default as it stands in the field."""
        is_boolean = self.kind is FieldKind.BOOLEAN and self.default
        return t(f"mcp.form.{self.default}") if is_boolean else self.default

    @property
    def expected(self) -> str:
        """The value that the user is to type, in words."""
        if self.choices:
            numbered = (f"{number} {choice.label}" for number, choice in enumerate(self.choices, 1))
            return t(f"mcp.form.{self.kind}", choices=SEPARATOR.join(numbered))
        if self.low is None and self.high is None:
            return t(f"mcp.form.{self.kind}")
        low = "" if self.low is None else f"{self.low:g}"
        high = "" if self.high is None else f"{self.high:g}"
        return t("mcp.form.limited", kind=t(f"mcp.form.{self.kind}"), low=low, high=high)


class FormRequested(msgspec.Struct, frozen=True, tag=True):
    """The news that a server asks the user for something: to fill fields, or to visit an address."""

    form_id: int
    server: str
    message: str
    fields: tuple[FormField, ...] = ()
    url: str = ""
    is_sign_in: bool = False
    """True where the address is visited to sign in: the form closes once the browser is back."""


class FormAction(StrEnum):
    """The user's answer to a form, as the protocol names it."""

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"


class FormAnswer(msgspec.Struct, frozen=True):
    """The user's answer to a form; `content` has the values of the fields of one that was accepted."""

    action: FormAction
    content: dict[str, FormValue] = {}


FormPrompt = Callable[[FormRequested], Awaitable[FormAnswer]]
"""A function that has the user fill a form."""


class FormError(ValueError):
    """A form that can't be shown, as one English sentence for the server."""


def read_fields(schema: Mapping[str, Any]) -> tuple[FormField, ...]:
    """Return the fields of a schema, which has to be flat.

    Raises:
        FormError: it is not, or it is too large.
    """
    properties, required = schema.get("properties"), schema.get("required", [])
    if schema.get("type") != "object" or not isinstance(properties, dict) or not isinstance(required, list):
        raise FormError("The schema is not an object of fields.")
    if not 0 < len(properties) <= MAX_FIELDS:
        raise FormError(f"A form needs 1 to {MAX_FIELDS} fields.")
    return tuple(_read_field(name, field, name in required) for name, field in properties.items())


def read_url(url: str) -> str:
    """Return an address that can be shown to be visited.

    Raises:
        FormError: it is no address of the web.
    """
    try:
        is_web = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        is_web = False
    if not is_web or len(url) > MAX_FORM_URL_CHARS or not url.isprintable() or " " in url:
        raise FormError("The address is no http or https address.")
    return url


def sign_in_form(request: FormRequested) -> FormRequested:
    """Return the form to sign in with its texts, and a field for a browser that can't reach this machine."""
    about = t("mcp.sign_in.about")
    field = FormField("address", t("mcp.sign_in.address"), FieldKind.TEXT, about)
    host = urlsplit(request.url).hostname or ""
    message = t("mcp.sign_in.message", name=request.server, host=host)
    return msgspec.structs.replace(request, message=message, fields=(field,))


def read_message(text: str) -> str:
    """Return a server's message as it is shown."""
    return terminal_safe(text.strip())[:MAX_MESSAGE_CHARS]


def parse_value(field: FormField, text: str) -> FormValue | None:
    """Return the value of a typed text; None where nothing is typed and nothing has to be.

    Raises:
        UsageError: it is no value of the field.
    """
    text = storable(text.strip())[:MAX_FORM_VALUE_CHARS]
    if not text:
        if field.is_required:
            raise UsageError(ErrorCode.FORM_VALUE_WRONG, expected=field.expected)
        return None
    value = _value(field, text)
    if value is None or not _is_within(field, value):
        raise UsageError(ErrorCode.FORM_VALUE_WRONG, expected=field.expected)
    return value


def parse_values(fields: tuple[FormField, ...], texts: Mapping[str, str]) -> dict[str, FormValue]:
    """Return the values of all fields that have one.

    Raises:
        UsageError: one of them is wrong.
    """
    values = {field.name: parse_value(field, texts.get(field.name, "")) for field in fields}
    return {name: value for name, value in values.items() if value is not None}


def _read_field(name: str, field: Any, is_required: bool) -> FormField:
    if not isinstance(field, dict):
        raise FormError("A field is no object.")
    kind_name = field.get("type")
    items = field.get("items") if kind_name == "array" else field
    choices = _read_choices(items if isinstance(items, dict) else {})
    match kind_name, field.get("format"):
        case "string", _ if choices:
            kind = FieldKind.CHOICE
        case "string", ("email" | "uri" | "date" | "date-time") as form:
            kind = FieldKind(form)
        case "string", _:
            kind = FieldKind.TEXT
        case ("number" | "integer" | "boolean") as plain, _:
            kind = FieldKind(plain)
        case "array", _ if choices:
            kind = FieldKind.CHOICES
        case _:
            raise FormError("Fields are strings, numbers, integers, booleans, or choices of strings.")
    low, high = (None, None) if kind is FieldKind.CHOICE else _read_limits(kind_name, field)
    return FormField(
        name,
        _shown(field.get("title"), MAX_LABEL_CHARS) or _shown(name, MAX_LABEL_CHARS),
        kind,
        _shown(field.get("description"), MAX_ABOUT_CHARS),
        is_required,
        _read_default(kind, field.get("default"), choices),
        choices,
        low,
        high,
    )


def _read_choices(field: Mapping[str, Any]) -> tuple[FormChoice, ...]:
    titled = field.get("oneOf", field.get("anyOf"))
    if isinstance(titled, list):
        pairs = [(item.get("const"), item.get("title")) for item in titled if isinstance(item, dict)]
    elif isinstance(values := field.get("enum"), list):
        labels = field.get("enumNames")
        labels = labels if isinstance(labels, list) and len(labels) == len(values) else values
        pairs = list(zip(values, labels, strict=True))
    else:
        return ()
    if not 0 < len(pairs) <= MAX_CHOICES:
        raise FormError(f"A field has 1 to {MAX_CHOICES} choices.")
    choices = []
    for value, label in pairs:
        if not isinstance(value, str) or len(value) > MAX_FORM_VALUE_CHARS:
            raise FormError("Choices are strings.")
        choices.append(FormChoice(value, _shown(label, MAX_LABEL_CHARS) or _shown(value, MAX_LABEL_CHARS)))
    return tuple(choices)


def _read_limits(kind_name: str, field: Mapping[str, Any]) -> tuple[float | None, float | None]:
    found = [field.get(name) for name in _LIMITS.get(kind_name, ())]
    numbers = [
        float(n) if isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e15 else None
        for n in found
    ]
    return (numbers[0], numbers[1]) if numbers else (None, None)


def _read_default(kind: FieldKind, value: object, choices: tuple[FormChoice, ...]) -> str:
    """Return a default as it would be typed; choices are typed by their numbers."""
    numbers = {choice.value: str(number) for number, choice in enumerate(choices, 1)}
    match value:
        case bool() if kind is FieldKind.BOOLEAN:
            return "yes" if value else "no"
        case str() if choices:
            return numbers.get(value, "")
        case str() if kind is FieldKind.BOOLEAN:
            return ""
        case str():
            return storable(terminal_safe(value))[:MAX_FORM_VALUE_CHARS]
        case int() | float() if kind in (FieldKind.NUMBER, FieldKind.INTEGER):
            return f"{value}"[:40]
        case list():
            return ", ".join(numbers[item] for item in value if isinstance(item, str) and item in numbers)
        case _:
            return ""


def _value(field: FormField, text: str) -> FormValue | None:
    match field.kind:
        case FieldKind.TEXT:
            return text
        case FieldKind.EMAIL:
            return text if _EMAIL.fullmatch(text) else None
        case FieldKind.URI:
            return text if _is_uri(text) else None
        case FieldKind.DATE:
            return text if _is_moment(date.fromisoformat, text) else None
        case FieldKind.MOMENT:
            return text if "T" in text and _is_moment(datetime.fromisoformat, text) else None
        case FieldKind.NUMBER:
            return _number(float, text)
        case FieldKind.INTEGER:
            return _number(int, text)
        case FieldKind.BOOLEAN:
            lower = text.casefold()
            return True if lower in _YES else False if lower in _NO else None
        case FieldKind.CHOICE:
            return _chosen(field, text)
        case FieldKind.CHOICES:
            values = [_chosen(field, part) for part in re.split(r"[,，、]", text) if part.strip()]
            return None if None in values else list(dict.fromkeys(v for v in values if v is not None))


def _chosen(field: FormField, text: str) -> str | None:
    """Return the value of a choice that is typed by its number, its text or its value."""
    text = text.strip()
    for number, choice in enumerate(field.choices, 1):
        if text in (str(number), choice.label, choice.value):
            return choice.value
    return None


def _is_within(field: FormField, value: FormValue) -> bool:
    match value:
        case bool():
            return True
        case int() | float():
            size: float = value
        case str() if field.kind is FieldKind.CHOICE:
            return True
        case _:
            size = len(value)
    return (field.low is None or size >= field.low) and (field.high is None or size <= field.high)


def _number(make: type[int] | type[float], text: str) -> int | float | None:
    try:
        number = make(text[:40])
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and " " not in text


def _is_moment(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _shown(text: object, max_chars: int) -> str:
    return label_of_name(" ".join(text.split()))[:max_chars] if isinstance(text, str) else ""
