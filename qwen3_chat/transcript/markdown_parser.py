"""The Markdown parser: CommonMark, tables, fences in fences, strikethrough, CJK emphasis, formulas."""

from __future__ import annotations

from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_inline import StateInline, emphasis, image, link, strikethrough
from markdown_it.rules_inline.state_inline import Scanned

from qwen3_chat.transcript.cells import is_cjk
from qwen3_chat.transcript.fence_rule import use_fence_rule
from qwen3_chat.transcript.formula_rules import add_formula_rules
from qwen3_chat.transcript.table_rule import use_table_rule

MAX_NESTING_LEVELS = 100  # of quotes in lists in quotes; deeper levels are not drawn
MAX_BRACKETS = 500  # in one paragraph with links
MAX_IMAGE_LEVELS = 4  # of images in the descriptions of images, which are parsed once for each level
MAX_SCANS = 50  # of each character of a paragraph, on average, in search of the ends of links


class _CjkInline(StateInline):
    """CommonMark's flanking rules, except beside CJK text, which has no spaces between words.

    Its punctuation counts as letters, its characters as white space next to other punctuation.
    """

    n_scanned = 0
    """The characters that were looked at in vain for the ends of links."""

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 (markdown-it's names)
        source, end = self.src, start
        while end < self.posMax and source[end] == source[start]:
            end += 1
        before = source[start - 1] if start else " "
        after = source[end] if end < self.posMax else " "
        space_before, space_after = isWhiteSpace(ord(before)), isWhiteSpace(ord(after))
        mark_before, mark_after = (isMdAsciiPunct(ord(c)) or isPunctChar(c) for c in (before, after))
        cjk_before, cjk_after = is_cjk(before), is_cjk(after)
        left = not space_after and (not mark_after or cjk_after or space_before or mark_before or cjk_before)
        right = not space_before and (not mark_before or cjk_before or space_after or mark_after or cjk_after)
        return Scanned(
            left and (canSplitWord or not right or mark_before),
            right and (canSplitWord or not left or mark_after),
            end - start,
        )


_Rule = Callable[[StateInline, bool], bool]


def _cjk_aware(rule: _Rule) -> _Rule:
    def tokenize(state: StateInline, silent: bool) -> bool:
        state.__class__ = _CjkInline  # for this parse only; the library itself stays as it is
        return rule(state, silent)

    return tokenize


def _in_few_levels(rule: _Rule) -> _Rule:
    """Return the rule for images that leaves an image in too many others as text."""

    def tokenize(state: StateInline, silent: bool) -> bool:
        level = state.env.get("image_level", 0)
        if level >= MAX_IMAGE_LEVELS:
            return False
        state.env["image_level"] = level + 1
        try:
            return rule(state, silent)
        finally:
            state.env["image_level"] = level

    return tokenize


def _bounded(rule: _Rule) -> _Rule:
    """Return a rule for links that gives up where a paragraph takes too long: its brackets are then text."""

    def tokenize(state: StateInline, silent: bool) -> bool:
        if not state.src.startswith(("[", "!["), state.pos) or state.src.count("[") > MAX_BRACKETS:
            return False
        state.__class__ = _CjkInline
        assert isinstance(state, _CjkInline)
        if state.n_scanned > MAX_SCANS * len(state.src):
            return False
        n_following = state.posMax - state.pos
        if rule(state, silent):
            return True
        state.n_scanned += n_following
        return False

    return tokenize


def keep_footnotes(parser: MarkdownIt) -> None:
    """Make a parser leave `[^1]` and `[^1]: Note.` as text; CommonMark takes one word for an address."""
    parser.block.ruler.at("reference", _reference)


def _reference(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    if state.src.startswith("[^", state.bMarks[first] + state.tShift[first]):
        return False
    return reference(state, first, last, silent)


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING_LEVELS}).enable(
        ["strikethrough"]
    )
    use_table_rule(parser)
    use_fence_rule(parser)
    keep_footnotes(parser)
    inline = parser.inline.ruler
    inline.at("emphasis", _cjk_aware(emphasis.tokenize))
    inline.at("strikethrough", _cjk_aware(strikethrough.tokenize))
    inline.at("link", _bounded(link))
    inline.at("image", _bounded(_in_few_levels(image)))
    add_formula_rules(parser)
    return parser


PARSER = _make_parser()
