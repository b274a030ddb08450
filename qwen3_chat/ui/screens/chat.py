"""The screen of a conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from time import monotonic

from textual import getters, on, work
from textual.app import ComposeResult

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.prompt import only_a_tag, typed_mode
from qwen3_chat.session import ChatSession, SessionEvent
from qwen3_chat.session.variants import Variants
from qwen3_chat.store import Store
from qwen3_chat.texts import t
from qwen3_chat.transcript.entry import ThinkingDisplay
from qwen3_chat.ui.entries import entry_of
from qwen3_chat.ui.exporting import export_session
from qwen3_chat.ui.keys import CHAT_KEYS
from qwen3_chat.ui.leaving import work_ended
from qwen3_chat.ui.screens.chats import ChatsScreen
from qwen3_chat.ui.screens.reading import ReadingScreen
from qwen3_chat.ui.telling import telling
from qwen3_chat.ui.turn_view import Phase, TurnView
from qwen3_chat.ui.welcome import welcome
from qwen3_chat.ui.widgets.activity_line import ActivityLine
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.status_bar import Status, StatusBar
from qwen3_chat.ui.widgets.title_bar import TitleBar
from qwen3_chat.ui.widgets.transcript import Transcript


class ChatScreen(ReadingScreen):
    """Transcript, input and state of one chat; the turn runs in a worker of this screen."""

    BINDINGS = [*CHAT_KEYS]

    title_bar = getters.query_one(TitleBar)
    status_bar = getters.query_one(StatusBar)

    def __init__(
        self,
        session: ChatSession,
        store: Store,
        models: Path,
        exports: Path,
        thinking_display: str = "auto",
        advise: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self._store = store
        self._models = models
        self._exports = exports
        self._advise = advise
        self._advice = ""
        self.is_answering = False
        self._variants = Variants()
        self._thinking_display = ThinkingDisplay(thinking_display)

    def compose(self) -> ComposeResult:
        """Lay out from top to bottom."""
        yield TitleBar()
        yield Transcript(copy_label=t("ui.copy"))
        yield ActivityLine()
        yield ChatInput(t("ui.input.placeholder"))
        yield StatusBar()
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the chat, make the engine ready."""
        self.turn = TurnView(self.transcript, self.activity_line, monotonic)
        self.transcript.thinking_display = self._thinking_display
        self.set_interval(0.25, self.tick)
        self.input.focus()
        self.show_chat()
        self.prepare_engine()

    async def settle(self) -> None:
        """End whatever runs; everything that arrived is in the store afterwards."""
        await self.session.stop()
        await work_ended(self, ("turn", "load"))

    # what is shown

    def show_chat(self) -> None:
        """Show the session's chat from its end."""
        self.show_messages()
        messages = [stored.message for stored in self.session.messages]
        self.input.remember([message.content for message in messages if message.role is Role.USER])
        self.show_state()

    def show_messages(self) -> None:
        """Show the messages, or the welcome where there are none, with what was said while loading."""
        entries = [entry_of(stored) for stored in self.session.messages]
        empty = [] if entries else [welcome(self.session.engine.model, self._models, self._advice)]
        self.transcript.show([*entries, *empty, *self.turn.notices])
        if empty and not self.turn.notices:
            self.transcript.scroll_home(animate=False)  # a welcome is read from its beginning

    def tick(self) -> None:
        """Let time go on in what is shown."""
        self.turn.tick()
        if self.turn.is_busy:
            self.show_state()

    def show_state(self) -> None:
        """Bring title, mode, model and figures up to date."""
        session = self.session
        replies = (m.meta for m in reversed(session.messages) if m.message.role is Role.ASSISTANT)
        meta = next(replies, None)
        self.status_bar.status = Status(
            mode=session.mode,
            model=session.engine.model,
            usage=self.turn.usage or (meta.usage if meta else None),
            timings=meta.timings if meta else None,
            variants=(self._variants.shown + 1, self._variants.count),
            counts_exactly=session.engine.capabilities.exact_counts,
        )
        self.title_bar.title = session.chat.title if session.chat else t("ui.new_chat")
        self.input.set_class(session.mode is ThinkingMode.NO_THINK, "-no-think")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if not self.is_mounted or not hasattr(self, "turn"):
            return True
        match action:
            case "stop":
                return self.turn.is_busy
            case "answer_now":
                return self.turn.phase is Phase.THINKING
            case "export":
                return bool(self.session.messages) and not self.is_answering
            case "fold" | "fold_all":
                return any(turn.has_thinking for turn in self.transcript.column.turns)
            case "variant":
                return not self.is_answering and self._variants.beside(int(str(parameters[0]))) is not None
            case "continue_reply":
                return self.session.can_continue and not self.is_answering
            case "new_chat" | "chats" | "retry":
                return not self.is_answering
            case _:
                return True

    # turns

    @work(group="load", exit_on_error=False)
    async def prepare_engine(self) -> None:
        """Load the model while the user reads and writes."""
        await self._run(self.session.prepare())
        model = self.session.engine.model
        if model is None or self.session.messages:
            return
        self.show_messages()
        if model.is_demo and self._advise is not None:
            with telling(self):
                self._advice = await self._advise()
            if not self.session.messages and not self.is_answering:
                self.show_messages()

    @on(ChatInput.Submitted)
    def send(self, message: ChatInput.Submitted) -> None:
        """Start a turn, or switch the mode where nothing but a tag was typed."""
        text = message.text
        if only_a_tag(text) and (tag := typed_mode(text)):
            self.set_mode(tag)
        elif self.is_answering:
            self.notify(t("ui.notice.busy"))
            return
        else:
            if not self.session.messages:
                self.transcript.show([])
            self.transcript.to_end()
            self.take_turn(self.session.send(text), text)
        self.input.clear_sent(text)

    def take_turn(self, events: AsyncGenerator[SessionEvent, None], typed: str = "") -> None:
        """Run one turn to its end; at once it is known that one runs."""
        self.is_answering = True
        self._answer(events, typed)

    @work(group="turn", exclusive=True, exit_on_error=False)
    async def _answer(self, events: AsyncGenerator[SessionEvent, None], typed: str) -> None:
        before = len(self.session.messages)
        try:
            with telling(self):
                await self._run(events)
        finally:
            self.is_answering = False
            if len(self.session.messages) == before:
                self.input.put_back(typed)
            self.show_state()
        with telling(self):
            await self.show_variants()
            self.show_state()

    async def _run(self, events: AsyncGenerator[SessionEvent, None]) -> None:
        """Draw events to their end; a load and the turn that waits for it may run at the same time."""
        turn = self.turn
        turn.begin()
        self.refresh_bindings()
        try:
            async with aclosing(events) as stream:
                phase = turn.phase
                async for event in stream:
                    turn.draw(event)
                    if turn.phase is not phase:
                        phase = turn.phase
                        self.show_state()
        finally:
            turn.end(can_retry=bool(self.session.messages))
            self.show_state()

    @work(group="mode", exclusive=True)
    async def set_mode(self, mode: ThinkingMode) -> None:
        """Remember the mode with the chat, then show it."""
        with telling(self):
            await self.session.set_toggle(mode)
        self.show_state()

    def action_toggle_mode(self) -> None:
        """Switch thinking on or off for the turns to come."""
        self.set_mode(self.session.mode.other)

    async def action_stop(self) -> None:
        """Stop what the engine is at; what arrived is kept."""
        await self.session.stop()

    async def action_answer_now(self) -> None:
        """End the thinking; the answer follows."""
        await self.session.engine.end_thinking()

    def action_retry(self) -> None:
        """Answer the latest message again."""
        self.take_turn(self.session.answer_again())

    @work(group="variant", exclusive=True)
    async def action_variant(self, step: int) -> None:
        """Show another version of the latest reply or question."""
        with telling(self):
            if (message_id := self._variants.beside(step)) is not None:
                await self.session.show_variant(message_id)
                await self.show_variants()
                self.show_chat()

    async def show_variants(self) -> None:
        """Count the versions at the end of the chat, for the keys that walk through them."""
        self._variants = await self.session.variants()
        self.refresh_bindings()

    def action_continue_reply(self) -> None:
        """Go on with the reply that was stopped."""
        self.show_chat()
        self.take_turn(self.session.continue_reply())

    def action_new_chat(self) -> None:
        """Leave this chat as it is and begin another."""
        self.session.start_new()
        self._variants = Variants()
        self.turn.notices.clear()
        self.show_chat()
        self.input.focus()

    @work(group="chats", exclusive=True)
    async def action_chats(self) -> None:
        """Choose a stored chat and go on with it."""
        self.app.clear_notifications()
        chats = ChatsScreen(self._store)
        chat_id = await self.app.push_screen_wait(chats)
        current = self.session.chat.id if self.session.chat else None
        with telling(self):
            if chat_id is not None:
                await self.session.resume(chat_id)
            elif current in chats.deleted:
                self.session.start_new()
            else:
                return
            await self.show_variants()
        self.turn.notices.clear()
        self.show_chat()
        self.input.focus()

    @work(group="export", thread=False)
    async def action_export(self) -> None:
        """Write the chat as Markdown beside earlier exports."""
        with telling(self):
            if path := export_session(self.session, self._exports):
                self.notify(str(path), title=t("ui.notice.exported"), timeout=10)
