"""The actions on whole chats: a new one, another one, an export."""

from __future__ import annotations

from textual import work

from qwen3_chat.session.variants import Versions
from qwen3_chat.texts import t
from qwen3_chat.ui.exporting import export_session
from qwen3_chat.ui.screens.chats import ChatsScreen
from qwen3_chat.ui.screens.conversation import ConversationScreen
from qwen3_chat.ui.telling import telling


class ChatActions(ConversationScreen):
    """None of them while an answer is written: it belongs to the chat that is open."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        match action:
            case "new_chat" | "chats":
                return None if self.is_answering else True
            case "export" if self.session.messages:
                return None if self.is_answering else True
            case "export":
                return False
            case _:
                return super().check_action(action, parameters)

    def action_new_chat(self) -> None:
        """Leave this chat as it is and begin another."""
        self.session.start_new()
        self.versions = Versions()
        self.turn.notices.clear()
        self.show_chat()
        self.input.focus()

    @work(group="chats", exclusive=True)
    async def action_chats(self) -> None:
        """Choose a stored chat and go on with it."""
        self.app.clear_notifications()
        chats = ChatsScreen(self.store)
        chat_id = await self.app.push_screen_wait(chats)
        current = self.session.chat.id if self.session.chat else None
        with telling(self):
            if chat_id is not None:
                await self.session.resume(chat_id)
            elif current in chats.deleted:
                self.session.start_new()
            else:
                return
            await self.show_versions()
        self.turn.notices.clear()
        self.show_chat()
        self.input.focus()

    @work(group="export", thread=False)
    async def action_export(self) -> None:
        """Write the chat as Markdown beside earlier exports."""
        with telling(self):
            if path := export_session(self.session, self.exports):
                self.notify(str(path), title=t("ui.notice.exported"), timeout=10)
