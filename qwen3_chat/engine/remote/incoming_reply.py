"""A reply as its bytes come in: decoded, read and pushed as events, and begun again where it is cut off."""

from __future__ import annotations

from qwen3_chat.engine.remote.reply_reader import ReplyReader
from qwen3_chat.engine.remote.stream_decoding import BodyDecoder
from qwen3_chat.events import EventSink


class IncomingReply:
    """The decoder and the reader of one reply; the transport follows its progress."""

    def __init__(self, reply: ReplyReader, on_event: EventSink) -> None:
        self.reply = reply
        self.decoder = BodyDecoder()
        self._on_event = on_event

    @property
    def has_text(self) -> bool:
        """True once any text of the reply has arrived."""
        return self.reply.has_text

    @property
    def is_finished(self) -> bool:
        """True once the model has finished; figures may still follow."""
        return self.reply.is_finished

    @property
    def n_characters(self) -> int:
        """The characters of the reply that came so far."""
        return self.reply.n_characters

    @property
    def n_steps(self) -> int:
        """The number of steps so far: pieces of text, of calls, of the prompt's evaluation."""
        return self.reply.n_steps

    @property
    def is_cut_off(self) -> bool:
        """True where a stream of events that ends now breaks off before any text, after a role perhaps."""
        is_begun = self.has_text or self.is_finished or self.reply.error is not None
        return self.decoder.is_event_stream and not is_begun

    def feed(self, piece: bytes) -> bool:
        """Push the events of a piece; return True if the reply goes on.

        Raises:
            ReplyTooLargeError: the reply is too long; what came before is kept.
        """
        for value in self.decoder.feed(piece):
            for event in self.reply.feed(value):
                self._on_event(event)
        return not (self.reply.is_done or self.reply.error is not None or self.decoder.is_unrecognised)

    def flush(self) -> None:
        """Push the events of what was held back at the end.

        Raises:
            ReplyTooLargeError: that is too long.
        """
        for value in self.decoder.flush():
            for event in self.reply.feed(value):
                self._on_event(event)

    def restart(self) -> None:
        """Forget what came without any text, because the reply is requested again."""
        self.decoder = BodyDecoder()
        self.reply.restart()
