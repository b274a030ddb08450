"""The actions around a turn: send, stop, answer now, retry, continue, and the choice at a full context."""

from __future__ import annotations

import asyncio
from functools import partial

from textual import on, work

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.session import ContextExceeded, SessionEventSink, Turn
from qwen3_chat.session.thinking_mode import fixed_mode, is_only_mode_tag, typed_mode
from qwen3_chat.texts import t
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.context_choice_screen import ContextChoiceScreen
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen
from qwen3_chat.ui.turn_view import TurnPhase
from qwen3_chat.ui.widgets.chat_input import ChatInput


class TurnActions(ConversationScreen):
    """Actions around a turn, which runs in one worker of the screen; the load of a model runs in another."""

    def on_mount(self) -> None:
        """Schedule the load of the model."""
        self.call_next(self.prepare_engine)  # after `on_mount` of the base classes

    @work(group="load", exit_on_error=False)
    async def prepare_engine(self) -> None:
        """Load the model while the user reads and writes; show its name in the welcome of an empty chat."""
        await self._run(self._prepare)
        model = self.session.engine.model
        if model is None or self.session.messages:
            return
        self.show_messages()

    async def _prepare(self, on_event: SessionEventSink) -> None:
        await self.session.prepare(on_event)

    @on(ChatInput.Submitted)
    def send(self, message: ChatInput.Submitted) -> None:
        """Start a turn, or switch the mode if only a mode tag was typed."""
        text = message.text
        if is_only_mode_tag(text) and (tag := typed_mode(text)):
            self.set_mode(tag)
        elif self.is_answering:
            self.notify(t("ui.notice.busy"))
            return
        else:
            if not self.session.messages:
                self.transcript.show([])
            self.transcript.to_end()
            self.take_turn(self.turn_of(text), text)
        self.input.clear_sent(text)

    def turn_of(self, text: str) -> Turn:
        """Return the turn of a typed text."""
        return partial(self.session.send, text)

    def take_turn(self, turn: Turn, typed: str = "") -> None:
        """Start a turn unless one runs; `is_answering` is set at once, so that no second turn begins."""
        if self.is_answering:
            return
        self.is_answering = True
        self._answer(turn, typed)

    @work(group="turn", exclusive=True, exit_on_error=False)
    async def _answer(self, turn: Turn, typed: str) -> None:
        before = self.session.messages
        try:
            with notify_errors(self, "task.turn"):
                async with self.navigation_lock:
                    await self.free_engine()
                    before = self.session.messages
                await self._run(turn)
        finally:
            self.is_answering = False
            if self.session.messages == before:
                self.input.restore_unsent(typed)
            self.show_state()
        with notify_errors(self, "task.versions"):
            await self.show_versions()
            self.show_state()
        self.after_turn()

    async def free_engine(self) -> None:
        """Free the engine for a turn; a group that uses it between turns overrides this."""

    def refresh_chat_list(self) -> None:
        """Update the list of stored chats; a group with such a list overrides this."""

    def after_turn(self) -> None:
        """Run the tasks that follow a turn; other groups add theirs."""

    async def _run(self, turn: Turn) -> None:
        """Run a turn or a load in a task of its own, which `action_stop` cancels, and show its events.

        A load and the turn that waits for it may run together.
        """
        view = self.turn
        view.begin()
        self.refresh_bindings()
        task = asyncio.create_task(turn(view.draw))
        self.running_turns.add(task)
        try:
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            self.running_turns.discard(task)
            view.end(can_retry=bool(self.session.messages))
            self.show_state()

    @work(group="mode", exclusive=True)
    async def set_mode(self, mode: ThinkingMode) -> None:
        """Store the mode with the chat, then show it."""
        if (fixed := fixed_mode(self.session.engine.model)) is not None:
            self.notify(t(f"ui.fixed_mode.{fixed.value}"))
            return
        with notify_errors(self, "task.mode"):
            await self.session.set_mode_override(mode)
        self.show_state()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        if self.is_ready:
            match action:
                case "stop":
                    return self.turn.is_busy
                case "answer_now":
                    return self.turn.phase is TurnPhase.THINKING
                case "continue_reply":
                    return self.session.can_continue and not self.is_answering
                case "retry" if self.session.messages:
                    return None if self.is_answering else True
                case "retry":
                    return False
        return super().check_action(action, parameters)

    def action_toggle_mode(self) -> None:
        """Switch thinking on or off for the following turns."""
        self.set_mode(self.session.mode.other)

    def action_stop(self) -> None:
        """Stop the turn and the load; the text that arrived is kept."""
        self.stop_turns()

    async def action_answer_now(self) -> None:
        """End the thinking, so that the answer follows."""
        await self.session.engine.end_thinking()

    def action_retry(self) -> None:
        """Answer the marked message again, or the latest one if none is marked."""
        messages = self.session.messages
        if messages:
            self.take_turn(partial(self.chat_tree.regenerate_at, self.transcript.marked or messages[-1].id))

    def action_continue_reply(self) -> None:
        """Continue the reply that was stopped."""
        self.show_chat()
        self.take_turn(self.session.continue_reply)


class ContextActions(TurnActions):
    """The choice at a full context, after which the waiting turn goes on."""

    def after_turn(self) -> None:
        """Run the tasks that follow a turn; ask for the policy for a chat that exceeds the context."""
        super().after_turn()
        exceeded, self.turn.context_exceeded = self.turn.context_exceeded, None
        if exceeded is not None:
            self.choose_policy(exceeded)

    @work(group="context", exclusive=True)
    async def choose_policy(self, exceeded: ContextExceeded) -> None:
        """Ask the user for a policy, then run the waiting turn with it."""
        self.app.clear_notifications()
        policy = await self.app.push_screen_wait(ContextChoiceScreen(exceeded))
        if policy is None or self.is_answering:
            return
        self.show_chat()
        if exceeded.continues:
            self.take_turn(partial(self.session.continue_reply, policy=policy))
        else:
            self.take_turn(partial(self.session.regenerate, policy=policy))
