"""What was chosen for a chat: its mode, its system prompt, how its replies are generated."""

from __future__ import annotations

from asyncio import Lock

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.store import Store
from qwen3_chat.store.records import NO_OPTIONS, Chat, ChatOptions


class ChatChoices:
    """Kept here until there is a chat, in the store with the chat from then on."""

    def __init__(self, store: Store, system: str) -> None:
        self.chat: Chat | None = None
        self.toggle: ThinkingMode | None = None
        self._store = store
        self._system = self._default_system = system
        self._chat_options = NO_OPTIONS
        self._beginning = Lock()
        """Held while the chat is stored or opened: what is chosen for it meanwhile waits for that."""

    @property
    def chat_id(self) -> int | None:
        """The chat's number in the store, once it is there."""
        return None if self.chat is None else self.chat.id

    @property
    def system(self) -> str:
        """The system prompt of this chat."""
        return self._system if self.chat is None else self.chat.system

    @property
    def chat_options(self) -> ChatOptions:
        """What was chosen for this chat; it wins over `options`."""
        return self._chat_options if self.chat is None else self.chat.options

    async def set_system(self, system: str) -> None:
        """Change the system prompt of this chat from now on."""
        async with self._beginning:
            if (chat_id := self.chat_id) is None:
                self._system = system
            else:
                await self._store.set_system(chat_id, system)
                await self._reread(chat_id)

    async def set_chat_options(self, options: ChatOptions) -> None:
        """Choose how the replies of this chat are generated from now on."""
        async with self._beginning:
            if (chat_id := self.chat_id) is None:
                self._chat_options = options
            else:
                await self._store.set_options(chat_id, options)
                await self._reread(chat_id)

    async def set_toggle(self, mode: ThinkingMode) -> None:
        """Set the thinking mode for the turns to come."""
        async with self._beginning:
            await self._toggle_to(mode)

    async def reread_chat(self) -> None:
        """Take over what was changed in the store, such as the title."""
        if self.chat_id is not None:
            await self._reread(self.chat_id)

    def _begin_new(self) -> None:
        """Be without a chat, as in the beginning."""
        self.chat = self.toggle = None
        self._system, self._chat_options = self._default_system, NO_OPTIONS

    async def _keep(self, toggle: ThinkingMode | None) -> Chat:
        """Store the chat with all that was chosen, or what the toggle is by now where it is there already."""
        async with self._beginning:
            if self.chat is None:
                self.toggle = toggle
                self.chat = await self._store.create_chat(
                    system=self.system, toggle=toggle, options=self.chat_options
                )
            else:
                await self._toggle_to(toggle)
            return self.chat

    async def _toggle_to(self, toggle: ThinkingMode | None) -> None:
        self.toggle = toggle
        if self.chat_id is not None and toggle is not None:
            await self._store.set_toggle(self.chat_id, toggle)

    async def _reread(self, chat_id: int) -> None:
        chat = await self._store.chat(chat_id)
        if self.chat_id == chat_id:  # another one may have been opened meanwhile
            self.chat = chat
