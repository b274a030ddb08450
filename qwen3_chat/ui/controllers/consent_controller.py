"""The questions to the user: whether a call of the model may run, and what a server asks for."""

from __future__ import annotations

from asyncio import Event, Future, get_running_loop
from typing import TYPE_CHECKING, TypeVar

from qwen3_chat.session import ChatSession
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.consent import ConsentAnswer, ConsentRequest
from qwen3_chat.tools.permissions import PermissionScope
from qwen3_chat.ui.controllers.controller import ChatView, Controller
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

if TYPE_CHECKING:
    from qwen3_chat.mcp.forms import FormAnswer, FormRequested
    from qwen3_chat.ui.screens.consent_screen import ConsentScreen
    from qwen3_chat.ui.screens.form_screen import FormScreen

GivenT = TypeVar("GivenT")


class ConsentController(Controller):
    """The questions about calls and the forms of servers, each once nothing else covers the chat.

    What is typed while a question may not be answered yet goes to the input, unless that is switched off.
    """

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
        from qwen3_chat.ui.screens.consent_screen import ConsentScreen, TypedOn

        name = label_of_name(request.label)
        sentence = t(request.text_key("ui.activity.", "consent"), name=name)
        self._turn.wait_for_consent(sentence, request.call)
        answer: Future[ConsentAnswer] = get_running_loop().create_future()
        await self._wait_until_uncovered(t(request.text_key("ui.consent.", "covered"), name=name))

        def on_answer(given: ConsentAnswer) -> None:
            if not answer.done():
                answer.set_result(given)

        box = self._widgets.input
        typed_on = TypedOn(box.insert, box.paste, box.action_delete_left)
        if box.disabled:
            typed_on = TypedOn(_drop, _drop, _drop)
        dialog = ConsentScreen(request, on_answer, typed_on, self._turns.stop)
        given = await self._answer_of(dialog, answer)
        if given.permission is not None and given.permission.scope is not PermissionScope.TOOL:
            self._screen.notify(t("ui.consent.kept"))
        return given

    async def fill_form(self, request: FormRequested) -> FormAnswer:
        """Have the user fill the form of an MCP server; where the turn is stopped, it closes."""
        from qwen3_chat.ui.screens.form_screen import FormScreen  # here: few chats have such servers

        self._turn.wait_for_form(request.server)
        await self._wait_until_uncovered(t("mcp.form.covered", name=request.server))
        answer: Future[FormAnswer] = get_running_loop().create_future()
        dialog = FormScreen(request, lambda given: None if answer.done() else answer.set_result(given))
        return await self._answer_of(dialog, answer)

    async def _answer_of(self, dialog: ConsentScreen | FormScreen, answer: Future[GivenT]) -> GivenT:
        """Show a dialog until it is answered or the turn is stopped."""
        self._screen.app.clear_notifications()
        try:
            await self._screen.app.push_screen(dialog)
            return await answer
        finally:
            dialog.close()

    async def _wait_until_uncovered(self, sentence: str) -> None:
        """Wait until the chat is on top; notify the user of what waits there."""
        app = self._screen.app
        if app.screen_stack[-1:] != [self._screen]:
            self._screen.notify(sentence, severity="warning")
        while app.screen_stack[-1:] != [self._screen]:
            self._uncovered.clear()
            await self._uncovered.wait()


def _drop(_typed: str = "") -> None:
    """Leave out what was typed."""
