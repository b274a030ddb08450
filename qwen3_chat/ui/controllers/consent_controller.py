"""The questions to the user whether a call of the model may run."""

from __future__ import annotations

from asyncio import Event, get_running_loop

from qwen3_chat.session import ChatSession
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.consent import ConsentAnswer, ConsentRequest
from qwen3_chat.ui.controllers.controller import ChatView, Controller
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.screens.consent_screen import ConsentScreen, TypedOn
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets


class ConsentController(Controller):
    """The questions whether calls may run, one at a time, each once nothing else covers the chat."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        turn: TurnView,
        turns: TurnController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._turn = turn
        self._turns = turns
        self._uncovered = Event()

    def uncovered(self) -> None:
        """Note that nothing covers the chat any longer."""
        self._uncovered.set()

    async def ask(self, request: ConsentRequest) -> ConsentAnswer:
        """Ask the user about a call; a stop of the turn closes the question."""
        name = label_of_name(request.label)
        self._turn.wait_for_consent(name)
        app, answer = self._screen.app, get_running_loop().create_future()
        if app.screen_stack[-1:] != [self._screen]:
            self._screen.notify(t(request.text_key("ui.consent.", "covered"), name=name), severity="warning")
        while app.screen_stack[-1:] != [self._screen]:
            self._uncovered.clear()
            await self._uncovered.wait()

        def on_answer(given: ConsentAnswer) -> None:
            if not answer.done():
                answer.set_result(given)

        box = self._widgets.input
        dialog = ConsentScreen(
            request, on_answer, TypedOn(box.insert, box.paste, box.action_delete_left), self._turns.stop
        )
        app.clear_notifications()
        try:
            await app.push_screen(dialog)
            given: ConsentAnswer = await answer
            return given
        finally:
            dialog.close()
