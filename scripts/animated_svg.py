"""Frames of a terminal as one SVG that moves: equal rows are stored once, CSS shows each in its time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from xml.etree import ElementTree

from rich.cells import cell_len

CELL_WIDTH, ROW_HEIGHT, FONT_SIZE = 12.2, 24.4, 20  # as Rich draws a terminal
BASELINE, PADDING, CAPTION_HEIGHT = 18.5, 12, 40
FONTS = (
    "ui-monospace,'Cascadia Mono','SF Mono',Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',"
    "'PingFang SC','Microsoft YaHei',monospace"
)
_STYLE = re.compile(r"^\s*\.\S+-(r\d+) \{ (.*?) \}$", re.MULTILINE)
_LINE = re.compile(r"line-(\d+)\)$")
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Frame:
    """A moment of the terminal: Textual's own picture of it, how long it lasts, and what is said about it."""

    picture: str
    seconds: float
    caption: str = ""


@dataclass(frozen=True)
class Span:
    """A run of cells with one background, or with one style and text."""

    column: float
    columns: float
    style: str
    text: str = ""


@dataclass(frozen=True)
class Row:
    """The backgrounds and texts of a row of the terminal."""

    backgrounds: tuple[Span, ...]
    texts: tuple[Span, ...]


def animate(frames: Sequence[Frame], title: str) -> str:
    """Return an SVG that shows the frames in turn, again and again; the last one where nothing may move."""
    frames = [frame for frame in frames if read_rows(frame.picture)]  # none between two screens
    screens = [read_rows(frame.picture) for frame in frames]
    n_rows = max(len(rows) for rows in screens)
    spans = [span for rows in screens for row in rows for span in (*row.backgrounds, *row.texts)]
    columns = max(span.column + span.columns for span in spans)
    paper = _widest(span for span in spans if not span.text)
    ink = _widest(span for span in spans if span.text)
    styles = {style: f"s{number}" for number, style in enumerate(sorted({s.style for s in spans if s.text}))}
    times = _Times([frame.seconds for frame in frames])
    drawings: dict[Row, str] = {}
    uses = []
    for index in range(n_rows):
        column = [rows[index] if index < len(rows) else Row((), ()) for rows in screens]
        for row in dict.fromkeys(column):
            name = drawings.setdefault(row, f"d{len(drawings)}")
            when = times.name([other == row for other in column])
            uses.append(f'<use href="#{name}" y="{index * ROW_HEIGHT:.1f}"{when}/>')
    width, height = columns * CELL_WIDTH + 2 * PADDING, n_rows * ROW_HEIGHT + 2 * PADDING + CAPTION_HEIGHT
    captions = [
        f'<text class="caption" x="{width / 2:.0f}" y="{height - 18:.0f}"><tspan'
        f"{times.name([frame.caption == caption for frame in frames])}>{escape(caption)}</tspan></text>"
        for caption in dict.fromkeys(frame.caption for frame in frames)
        if caption
    ]
    rules = [
        f"text{{font:{FONT_SIZE}px {FONTS};white-space:pre}}",
        f".caption{{{ink};text-anchor:middle;font-style:italic}}",
        *(f".{name}{{{style}}}" for style, name in styles.items()),
        *times.rules(),
    ]
    defined = [f'<g id="{name}">{_draw(row, paper, styles)}</g>' for row, name in drawings.items()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            "<style>",
            *rules,
            "</style>",
            f'<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="{paper}" stroke="#8886"/>',
            f"<defs>{''.join(defined)}</defs>",
            f'<g transform="translate({PADDING},{PADDING})">',
            *uses,
            "</g>",
            *captions,
            "</svg>\n",
        ]
    )


def read_rows(picture: str) -> list[Row]:
    """Return the rows of a picture that Textual made of its screen."""
    root = ElementTree.fromstring(picture)
    styles = dict(_STYLE.findall(root.findtext(f"{_SVG}style") or ""))
    backgrounds: dict[int, list[Span]] = {}
    texts: dict[int, list[Span]] = {}
    terminal = next(group for group in root.iter(f"{_SVG}g") if "clip-path" in group.attrib)
    for rect in terminal.findall(f"{_SVG}rect"):
        number = round((float(rect.attrib["y"]) - 1.5) / ROW_HEIGHT)
        backgrounds.setdefault(number, []).append(
            Span(_cells(rect.attrib["x"]), _cells(rect.attrib["width"]), rect.attrib["fill"])
        )
    for text in terminal.iter(f"{_SVG}text"):
        content = (text.text or "").replace("\xa0", " ").rstrip("\n")
        if content.strip() and (line := _LINE.search(text.attrib["clip-path"])):
            style = styles[text.attrib["class"].rpartition("-")[2]]
            span = Span(_cells(text.attrib["x"]), cell_len(content), style, content)  # Rich counts characters
            texts.setdefault(int(line[1]), []).append(span)
    numbers = range(1 + max((*backgrounds, *texts), default=-1))
    return [Row(tuple(backgrounds.get(n, ())), tuple(texts.get(n, ()))) for n in numbers]


class _Times:
    """The intervals in which parts of the picture are seen, each with a class and keyframes."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._total = sum(seconds)
        self._starts = [sum(seconds[:number]) / self._total for number in range(len(seconds))]
        self._names: dict[tuple[bool, ...], str] = {}

    def name(self, seen: Sequence[bool]) -> str:
        """Return the attribute for what is seen in these frames; none where it is seen in all."""
        if all(seen):
            return ""
        return f' class="{self._names.setdefault(tuple(seen), f"k{len(self._names)}")}"'

    def rules(self) -> list[str]:
        """Return the rules of all intervals."""
        rules = [f"[class^=k]{{animation:{self._total:.2f}s step-end infinite}}"]
        for seen, name in self._names.items():
            changes = [0, *(later for later, (a, b) in enumerate(pairwise(seen), 1) if a != b)]
            steps = "".join(
                f"{self._starts[n] * 100:.3f}%{{visibility:{_visibility(is_seen=seen[n])}}}" for n in changes
            )
            rules.append(
                f".{name}{{visibility:{_visibility(is_seen=seen[-1])};animation-name:{name}}}"
                f"@keyframes {name}{{{steps}}}"
            )
        return [*rules, "@media(prefers-reduced-motion:reduce){[class^=k]{animation:none!important}}"]


def _draw(row: Row, paper: str, styles: dict[str, str]) -> str:
    parts = []
    for fill, same in groupby(row.backgrounds, lambda span: span.style):
        spans = list(same)
        if fill != paper:
            x, columns = spans[0].column * CELL_WIDTH, sum(span.columns for span in spans)
            size = f'width="{columns * CELL_WIDTH:.1f}" height="{ROW_HEIGHT + 0.3:.1f}"'
            parts.append(f'<rect x="{x:.1f}" {size} fill="{fill}" shape-rendering="crispEdges"/>')
    parts += [
        f'<text class="{styles[span.style]}" x="{span.column * CELL_WIDTH:.1f}" y="{BASELINE}" '
        f'textLength="{span.columns * CELL_WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(span.text)}</text>"
        for span in row.texts
    ]
    return "".join(parts)


def _cells(pixels: str) -> float:
    return round(float(pixels) / CELL_WIDTH, 2)


def _widest(spans: Iterable[Span]) -> str:
    """Return the style that most cells have."""
    cells: dict[str, float] = {}
    for span in spans:
        cells[span.style] = cells.get(span.style, 0) + span.columns
    return max(cells, key=cells.__getitem__)


def _visibility(*, is_seen: bool) -> str:
    return "visible" if is_seen else "hidden"
