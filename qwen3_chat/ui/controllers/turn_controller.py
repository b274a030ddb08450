"""The turn: send, stop, answer now, retry, continue, the load before it and the choice at a full context."""

from __future__ import annotations

import asyncio
from asyncio import Lock, timeout
from collections.abc import Collection
from contextlib import suppress
from functools import partial

from textual.screen import Screen
from textual.worker import WorkerError

from qwen3_chat.chat import StopReason
from qwen3_chat.session import ChatSession, ContextExceeded, SessionEventSink, Turn
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

WORKER_END_TIMEOUT_S = 3
"""The time that a running turn has to end by itself."""


class TurnController(Controller):
    """The turn in one worker of the screen, the load of a model in another.

    A turn that is started while a model is loaded in place of another waits for it.
    """

    def __init__(self, view: ChatView, session: ChatSession, widgets: ChatWidgets, turn: TurnView) -> None:
        super().__init__(view, session, widgets)
        self.is_answering = False
        """True from the moment at which a turn is started, so that no second one begins."""
        self.navigation_lock = Lock()
        """The lock held during a change to another chat or branch, so that such changes follow each other."""
        self.unsent = ""
        """The message that was sent and is not stored yet; it counts as a draft until then."""
        self.is_complete = False
        """True if the latest turn ended with a whole answer, so that the next message may follow."""
        self._turn = turn
        turn.on_question_stored = self._forget_unsent
        self._is_stopped = False
        """True from a stop to the start of the next turn; a turn that has yet to begin obeys it."""
        self._running: set[asyncio.Task[None]] = set()
        """The tasks of the turn and of the load in progress."""
        self._switch_lock = Lock()

    @in_worker("load")
    async def load_model(self) -> None:
        """Load the model while the user reads and writes; show its name in the welcome of an empty chat."""
        await self._run(self._prepare)
        if self._session.engine.model is not None and not self._session.messages and not self.is_answering:
            self._view.show_messages()  # a question that is being stored is on the screen, and no message yet

    async def _prepare(self, on_event: SessionEventSink) -> None:
        await self._session.prepare(on_event)

    async def switch_model(self, switch: Turn) -> None:
        """Run the switch to another model; turns wait for its end."""
        async with self._switch_lock:
            await self._run(switch)

    def start(self, turn: Turn, typed: str = "") -> None:
        """Start a turn unless one runs; `typed` is shown at once and returns to the input if not sent."""
        if self.is_answering:
            return
        self.is_answering, self._is_stopped, self.unsent = True, False, typed
        if typed:
            self._turn.show_question(typed)
        self._answer(turn, typed)

    @in_worker("turn", exclusive=True)
    async def _answer(self, turn: Turn, typed: str) -> None:
        before = self._session.messages

        async def when_free(on_event: SessionEventSink) -> None:
            nonlocal before
            if self._is_stopped:  # before this task could be cancelled
                return
            async with self.navigation_lock:
                await self._view.free_engine()
                before = self._session.messages
            async with self._switch_lock:
                pass
            await turn(on_event)

        try:
            with notify_errors(self._screen, "task.turn"):
                await self._run(when_free)
        finally:
            self.is_answering, self.unsent = False, ""
            self.is_complete = self._session.messages != before and self._has_whole_answer
            if self._session.messages == before:
                self._widgets.input.restore_unsent(typed)
            self._turn.drop_question()
            self._view.show_state()
        await self._view.turn_ended()

    async def _run(self, turn: Turn) -> None:
        """Run a turn or a load in a task of its own, which `stop` cancels, and show its events.

        A load and the turn that waits for it may run together.
        """
        self._turn.begin()
        self._screen.refresh_bindings()
        task = asyncio.create_task(turn(self._turn.draw))
        self._running.add(task)
        try:
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            self._running.discard(task)
            self._turn.end(can_retry=bool(self._session.messages))
            self._view.show_state()

    @property
    def _has_whole_answer(self) -> bool:
        last = self._session.messages[-1:]
        return any(stored.stop_reason is StopReason.END_OF_TURN for stored in last) and not self._is_stopped

    def _forget_unsent(self) -> None:
        self.unsent = ""

    # the user's actions

    def stop(self) -> None:
        """Stop the turn and the load, whatever stage they are in; the text that arrived is kept."""
        self._is_stopped = True
        for task in self._running:
            task.cancel()

    async def answer_now(self) -> None:
        """End the thinking, so that the answer follows."""
        await self._session.engine.end_thinking()

    def continue_reply(self) -> None:
        """Continue the reply that was stopped."""
        self._view.show_chat()
        self.start(self._session.continue_reply)

    def make_call(self) -> None:
        """Have the latest reply call a tool, where the engine can be made to."""
        if not self._session.engine.capabilities.requires_calls:
            self._screen.notify(t("ui.notice.call_not_offered"), severity="warning")
            return
        self._view.show_chat()
        self.start(self._session.make_call)

    def start_servers(self) -> None:
        """Start the servers of the chat's tools now, not with the next message."""

        async def prepare(on_event: SessionEventSink) -> None:
            await self._session.prepare_tools(on_event)
            self._screen.notify(t("ui.notice.servers"))

        self.start(prepare)

    @in_worker("context")
    async def choose_policy(self, exceeded: ContextExceeded) -> None:
        """Ask for a policy for a chat that exceeds the context, then run the waiting turn with it."""
        from qwen3_chat.ui.screens.context_choice_screen import ContextChoiceScreen

        self._screen.app.clear_notifications()
        policy = await self._screen.app.push_screen_wait(ContextChoiceScreen(exceeded))
        if policy is None or self.is_answering:
            return
        self._view.show_chat()
        if exceeded.must_call:
            self.start(partial(self._session.make_call, policy=policy))
        elif exceeded.continues:
            self.start(partial(self._session.continue_reply, policy=policy))
        else:
            self.start(partial(self._session.regenerate, policy=policy))

    def ask_policy(self) -> None:
        """Ask for a policy if the turn that ended needs one."""
        if (exceeded := self._turn.take_context_exceeded()) is not None:
            self.choose_policy(exceeded)

    async def shutdown(self) -> None:
        """End the turn and the load; everything that arrived is in the store afterwards."""
        self.stop()
        await wait_for_workers(self._screen, ("turn", "load"))


async def wait_for_workers(screen: Screen[object], groups: Collection[str]) -> None:
    """Wait for the workers of a screen that were asked to stop; cancel those that take too long."""
    with suppress(TimeoutError):
        async with timeout(WORKER_END_TIMEOUT_S):
            await _wait_for_groups(screen, groups)
    screen.workers.cancel_node(screen)
    await _wait_for_groups(screen, groups)


async def _wait_for_groups(screen: Screen[object], groups: Collection[str]) -> None:
    for worker in [worker for worker in screen.workers if worker.node is screen and worker.group in groups]:
        with suppress(WorkerError):
            await worker.wait()
