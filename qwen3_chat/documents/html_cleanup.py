"""Any web page as well-formed HTML of few tags, in one pass: what a converter to Markdown can take.

Converters recurse into the tree and look around in it, so that pages with end tags left out, which is valid,
or with a hundred thousand tags inside each other take them minutes or their stack. Here each tag that may be
left out is closed where HTML closes it, nesting and the number of tags have limits, and nothing is kept that
no Markdown shows. Text is never dropped for being too deep or too much, only the tags around it are.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping

MAX_TAGS = 50_000
"""The number of tags after which text alone is taken."""
MAX_TAG_LEVELS = 32
"""The limit for tags inside each other."""
MAX_ADDRESS_CHARACTERS = 2000
"""The limit for the address of a link; the text of a link to a longer one is text."""
MAX_COLUMNS = 20
"""The limit for the columns that one cell takes."""

_DROPPED = frozenset({"script", "style", "title", "noscript", "template", "svg", "picture", "iframe"})
"""The elements that are left out with all that is in them."""
_BLOCKS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "table", "caption"}
    | {"tr", "td", "th", "dl", "dt", "dd", "div", "article", "section", "figcaption"}
)
_INLINE = frozenset(
    {"a", "b", "strong", "em", "i", "code", "kbd", "samp", "del", "s", "q", "sub", "sup", "br", "hr"}
)
_VOID = frozenset({"br", "hr"})
_CLOSED_BY: Mapping[str, frozenset[str]] = {
    "li": frozenset({"ul", "ol"}),
    "tr": frozenset({"table"}),
    "td": frozenset({"table", "tr"}),
    "th": frozenset({"table", "tr"}),
    "dt": frozenset({"dl"}),
    "dd": frozenset({"dl"}),
}
"""The tags whose end may be left out before one of their own kind, with those that they stay inside."""
_SIBLINGS = {"td": {"td", "th"}, "th": {"td", "th"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}}
_CONTAINERS = frozenset({"table", "ul", "ol"})
_NO_PARAGRAPH_INSIDE = _BLOCKS - {"caption", "td", "th", "tr"} | {"hr"}

_TAG_NAME = re.compile(r"[a-zA-Z][^\s/>\x00]*+")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+(?P<name>[^\s/>=][^\s/>=]*+)"""
    r"""(?:\s*+=\s*+(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s>"'][^\s>]*+)))?"""
)
_TO_TAG_END = re.compile(r"[^>]*+>?")
_LONG_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{8,});?")


def clean_html(text: str) -> str:
    """Return the page's text with the tags that Markdown knows, well-formed, and cells without sections."""
    return "".join(_Cleaner().pieces(text))


class _Cleaner:
    def __init__(self) -> None:
        self._open: list[str] = []
        self._numbers: list[int] = []
        """The number of the next item for each list that is open; those without numbers count too."""
        self._n_tags = 0
        self._never_closed: set[str] = set()

    def pieces(self, text: str) -> Iterator[str]:
        at = 0
        while at < len(text):
            tag_at = text.find("<", at)
            if tag_at < 0:
                tag_at = len(text)
            if tag_at > at:
                yield _escape(text[at:tag_at])
            at = tag_at
            if at == len(text):
                break
            if text.startswith("<!--", at):
                end = text.find("-->", at + 2)  # `<!-->` is a whole comment
                at = len(text) if end < 0 else end + 3
            elif text.startswith(("<!", "<?"), at):
                at = _tag_end(text, at)
            elif match := _TAG_NAME.match(text, at + 2 if text.startswith("</", at) else at + 1):
                name = match[0].lower()
                if text.startswith("</", at):
                    at = _tag_end(text, match.end())
                    yield from self._close(name)
                else:
                    at, attributes = _read_attributes(text, match.end())
                    if name in _DROPPED:
                        at = self._skip_element(text, at, name)
                    else:
                        yield from self._begin(name, attributes)
            elif text.startswith("</", at):
                at = _tag_end(text, at)
            else:
                yield "&lt;"
                at += 1
        while self._open:
            yield self._pop()

    def _skip_element(self, text: str, at: int, name: str) -> int:
        """Return where an element that is left out ends; one without an end is only a tag."""
        if name in self._never_closed:
            return at
        match = re.compile(rf"</{name}[\s/>]", re.IGNORECASE).search(text, at)
        if match is None:
            self._never_closed.add(name)  # no need to search again
            return len(text) if name in ("script", "style") else at
        return _tag_end(text, match.start())

    def _begin(self, name: str, attributes: Mapping[str, str]) -> Iterator[str]:
        if name not in _BLOCKS and name not in _INLINE:
            return
        if name in _NO_PARAGRAPH_INSIDE and "p" in self._open:
            yield from self._close_through("p", _BLOCKS - {"p"})
        if name in _CLOSED_BY:
            for sibling in _SIBLINGS.get(name, {name}):
                yield from self._close_through(sibling, _CLOSED_BY[name])
        if self._n_tags >= MAX_TAGS or len(self._open) >= MAX_TAG_LEVELS:
            yield "\n" if name in _BLOCKS or name in _VOID else ""
            return
        self._n_tags += 1
        if name in _VOID:
            yield f"<{name}>"
            return
        self._open.append(name)
        if name in ("ul", "ol"):
            self._numbers.append(_small_number(attributes.get("start"), 10**6, 1))
        yield f"<{name}{self._kept(name, attributes)}>"

    def _kept(self, name: str, attributes: Mapping[str, str]) -> str:
        """Return the attributes that matter, as HTML."""
        match name:
            case "a" if 0 < len(address := attributes.get("href", "")) <= MAX_ADDRESS_CHARACTERS:
                return f' href="{html.escape(address)}"'
            case "td" | "th" if "colspan" in attributes:
                return f' colspan="{_small_number(attributes["colspan"], MAX_COLUMNS, 1)}"'
            case "li" if self._numbers:
                number = self._numbers[-1]
                self._numbers[-1] += 1
                return f' value="{number}"'
            case _:
                return ""

    def _close(self, name: str) -> Iterator[str]:
        """End a tag; the end of one that is not open is ignored, and ends nothing outside its own block."""
        if name in _BLOCKS:
            yield from self._close_through(name, frozenset() if name in _CONTAINERS else _CONTAINERS)
        elif name in _INLINE:
            yield from self._close_through(name, _BLOCKS)

    def _close_through(self, name: str, stops: frozenset[str]) -> Iterator[str]:
        """End the innermost tag of a name with all tags inside it, unless one of `stops` is among those."""
        for n_inside, open_name in enumerate(reversed(self._open), start=1):
            if open_name == name:
                for _ in range(n_inside):
                    yield self._pop()
                return
            if open_name in stops:
                return

    def _pop(self) -> str:
        name = self._open.pop()
        if name in ("ul", "ol"):
            self._numbers.pop()
        return f"</{name}>"


def _tag_end(text: str, at: int) -> int:
    match = _TO_TAG_END.match(text, at)
    return match.end() if match else len(text)


def _read_attributes(text: str, at: int) -> tuple[int, dict[str, str]]:
    """Return where a tag ends, and its attributes; a tag without an end goes on to the end of the text."""
    attributes: dict[str, str] = {}
    while at < len(text) and text[at] != ">":
        match = _ATTRIBUTE.match(text, at)
        if match is None:
            at += 1
            continue
        at = match.end()
        value = match["double"] or match["single"] or match["bare"] or ""
        if len(value) <= MAX_ADDRESS_CHARACTERS and len(attributes) < MAX_TAG_LEVELS:
            attributes.setdefault(match["name"].lower(), html.unescape(_LONG_REFERENCE.sub("", value)))
    return at + 1, attributes


def _small_number(value: str | None, limit: int, default: int) -> int:
    return min(int(value), limit) if value and re.fullmatch(r"[0-9]{1,9}", value) else default


def _escape(text: str) -> str:
    return html.escape(html.unescape(_LONG_REFERENCE.sub("\ufffd", text)), quote=False)
