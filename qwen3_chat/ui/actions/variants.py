"""The actions on the versions of an answer or a question."""

from __future__ import annotations

from textual import work

from qwen3_chat.ui.screens.conversation import ConversationScreen
from qwen3_chat.ui.telling import telling


class VariantActions(ConversationScreen):
    """Walks through them in the order in which they were written."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "variant" and self.is_ready:
            is_possible = self.chosen_versions.beside(int(str(parameters[0]))) is not None
            return None if is_possible and self.is_answering else is_possible
        return super().check_action(action, parameters)

    @work(group="variant")
    async def action_variant(self, step: int) -> None:
        """Show another version of the marked message, or of the latest that has some; a mark goes along."""
        async with self.moving:
            other = self.chosen_versions.beside(step)
            if other is None or self.is_answering:
                return
            is_marked = self.transcript.marked is not None
            with telling(self):
                await self.session.show_variant(other)
                await self.show_versions()
                self.show_chat()
                if is_marked:
                    self.transcript.mark(other)
