"""The attachments of the message being written, one line for each, above the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.texts import formatting, t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.themes import DIM


class AttachmentTokens(Struct, frozen=True):
    """The number of an attachment's tokens, exact or estimated."""

    tokens: int
    is_exact: bool


class AttachmentLine(Static):
    """The line of one attachment; a click removes the attachment."""

    class Removed(Message):
        """The message that the user removes an attachment."""

        def __init__(self, attachment: Attachment) -> None:
            super().__init__()
            self.attachment = attachment

    def __init__(self, attachment: Attachment, count: AttachmentTokens | None) -> None:
        tokens = []
        if count is not None:
            sign = "" if count.is_exact else "≈"
            tokens = [sign + formatting.format_token_count(count.tokens)]
        label = formatting.SEPARATOR.join(
            [terminal_safe(attachment.name), formatting.format_line_count(attachment.line_count), *tokens]
        )
        super().__init__(Content.assemble(("▤ ", "$primary"), label, ("  ×", DIM)), markup=False)
        self._attachment = attachment
        self.tooltip = t("attach.remove_tip")

    def on_click(self, event: events.Click) -> None:
        """Post that the attachment is to be removed."""
        event.stop()
        self.post_message(self.Removed(self._attachment))


class AttachmentBar(VerticalScroll, can_focus=False):
    """The list of attachments; hidden while there are none."""

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
        """Lay out a line for each attachment, and a warning if they exceed the context."""
        for attachment in self._attachments:
            yield AttachmentLine(attachment, self._counts.get(attachment))
        counts = [self._counts[key].tokens for key in self._attachments if key in self._counts]
        total = sum(counts)
        if 0 < self._n_ctx <= total:
            yield Static(t("attach.too_long", total=total, n_ctx=self._n_ctx), markup=False, id="too-long")

    def show(
        self, attachments: Sequence[Attachment], counts: Mapping[Attachment, AttachmentTokens], n_ctx: int
    ) -> None:
        """Show the attachments with the tokens counted so far, and warn if they can't fit into the context.

        `n_ctx` is 0 while it is not known.
        """
        self._attachments, self._counts, self._n_ctx = attachments, counts, n_ctx
        self.set_class(bool(attachments), "-filled")
        self.refresh(recompose=True)
