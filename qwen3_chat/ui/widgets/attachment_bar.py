"""The attachments of the message: one line for each, above the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.texts import formatting, t
from qwen3_chat.texts.terminal_safe import terminal_safe


@dataclass(frozen=True, slots=True)
class AttachmentTokens:
    """The tokens of an attachment, exact or an estimate."""

    tokens: int
    is_exact: bool


class AttachmentLine(Static):
    """One attachment; a click takes it away."""

    @dataclass
    class Removed(Message):
        """The user takes an attachment away."""

        attachment: Attachment

    def __init__(self, attachment: Attachment, count: AttachmentTokens | None) -> None:
        tokens = []
        if count is not None:
            sign = "" if count.is_exact else "≈"
            tokens = [sign + formatting.format_token_count(count.tokens)]
        words = formatting.SEPARATOR.join(
            [terminal_safe(attachment.name), formatting.format_line_count(attachment.line_count), *tokens]
        )
        super().__init__(
            Content.assemble(("▤ ", "$primary"), words, ("  ×", "$foreground 68%")), markup=False
        )
        self._attachment = attachment
        self.tooltip = t("attach.remove_tip")

    def on_click(self, event: events.Click) -> None:
        """Take the attachment away."""
        event.stop()
        self.post_message(self.Removed(self._attachment))


class AttachmentBar(VerticalScroll, can_focus=False):
    """Not there while nothing is attached."""

    DEFAULT_CSS = """
    AttachmentBar {
        height: auto;
        max-height: 5;
        padding: 0 2;
        display: none;
        &.-filled { display: block; }
        #too-long { color: $text-warning; }
        AttachmentLine {
            height: 1;
            width: auto;
            max-width: 100%;
            text-overflow: ellipsis;
            text-wrap: nowrap;
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._attachments: Sequence[Attachment] = ()
        self._counts: Mapping[Attachment, AttachmentTokens] = {}
        self._n_ctx = 0

    def compose(self) -> ComposeResult:
        """Lay out a line for each attachment."""
        for attachment in self._attachments:
            yield AttachmentLine(attachment, self._counts.get(attachment))
        total = sum(self._counts[one].tokens for one in self._attachments if one in self._counts)
        if 0 < self._n_ctx <= total:
            yield Static(t("attach.too_long", total=total, n_ctx=self._n_ctx), markup=False, id="too-long")

    def show(
        self, attachments: Sequence[Attachment], counts: Mapping[Attachment, AttachmentTokens], n_ctx: int
    ) -> None:
        """Show what is attached, with the tokens as far as they are counted; say where it can't fit.

        `n_ctx` is 0 while it is not known.
        """
        self._attachments, self._counts, self._n_ctx = attachments, counts, n_ctx
        self.set_class(bool(attachments), "-filled")
        self.refresh(recompose=True)
