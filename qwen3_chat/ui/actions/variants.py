"""The actions on the versions of an answer or a question."""

from __future__ import annotations

from textual import work

from qwen3_chat.ui.screens.conversation import ConversationScreen
from qwen3_chat.ui.telling import telling


class VariantActions(ConversationScreen):
    """Walks through them in the order in which they were written."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "variant":
            return not self.is_answering and self.variants.beside(int(str(parameters[0]))) is not None
        return super().check_action(action, parameters)

    @work(group="variant", exclusive=True)
    async def action_variant(self, step: int) -> None:
        """Show another version of the latest reply or question."""
        with telling(self):
            if (message_id := self.variants.beside(step)) is not None:
                await self.session.show_variant(message_id)
                await self.show_variants()
                self.show_chat()
