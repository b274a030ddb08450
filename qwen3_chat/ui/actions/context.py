"""The actions around a chat that does not fit into the context."""

from __future__ import annotations

from textual import work

from qwen3_chat.session import ContextExceeded
from qwen3_chat.ui.actions.turns import TurnActions
from qwen3_chat.ui.screens.context_choice import ContextChoiceScreen


class ContextActions(TurnActions):
    """A turn that waits for a choice goes on as soon as it is made."""

    def turn_is_over(self) -> None:
        """Ask what is to be done about a chat that did not fit."""
        super().turn_is_over()
        exceeded, self.turn.exceeded = self.turn.exceeded, None
        if exceeded is not None:
            self.choose_policy(exceeded)

    @work(group="context", exclusive=True)
    async def choose_policy(self, exceeded: ContextExceeded) -> None:
        """Let the user choose, then take the turn that waits."""
        self.app.clear_notifications()
        policy = await self.app.push_screen_wait(ContextChoiceScreen(exceeded))
        if policy is None or self.is_answering:
            return
        self.show_chat()
        if exceeded.continues:
            self.take_turn(self.session.continue_reply(policy))
        else:
            self.take_turn(self.session.answer_again(policy))
