"""The configuration of a chat: its mode override, its system prompt, its generation options."""

from __future__ import annotations

from asyncio import Lock

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import NO_CHAT_OPTIONS, Chat, ChatOptions


class ChatConfiguration:
    """The configuration of a chat: its mode override, its system prompt, its generation options.

    It is held in memory until the chat is stored with its first message, and in the store from then on.
    """

    def __init__(self, store: ChatStore, system: str, options: ChatOptions = NO_CHAT_OPTIONS) -> None:
        self.chat: Chat | None = None
        self.mode_override: ThinkingMode | None = None
        self._store = store
        self._system = self._default_system = system
        self._chat_options = self._default_options = options
        self._chat_lock = Lock()
        """The lock held while the chat is stored or opened; changes to its configuration wait for it."""

    @property
    def chat_id(self) -> int | None:
        """The chat's id in the store; None before it is stored."""
        return None if self.chat is None else self.chat.id

    @property
    def system(self) -> str:
        """The system prompt of this chat."""
        return self._system if self.chat is None else self.chat.system

    @property
    def chat_options(self) -> ChatOptions:
        """The generation options of this chat; they take precedence over `ChatSession.options`."""
        return self._chat_options if self.chat is None else self.chat.options

    async def set_system(self, system: str) -> None:
        """Change the system prompt of this chat from now on."""
        async with self._chat_lock:
            if (chat_id := self.chat_id) is None:
                self._system = system
            else:
                await self._store.set_system(chat_id, system)
                await self._reread(chat_id)

    async def set_chat_options(self, options: ChatOptions) -> None:
        """Set the generation options for the coming replies of this chat."""
        async with self._chat_lock:
            if (chat_id := self.chat_id) is None:
                self._chat_options = options
            else:
                await self._store.set_options(chat_id, options)
                await self._reread(chat_id)

    async def set_mode_override(self, mode: ThinkingMode) -> None:
        """Set the thinking mode for the turns to come."""
        async with self._chat_lock:
            await self._apply_mode_override(mode)

    async def reread_chat(self) -> None:
        """Read the chat from the store again, for changes such as a new title."""
        if self.chat_id is not None:
            await self._reread(self.chat_id)

    def _reset_configuration(self) -> None:
        """Forget the chat and its configuration; the defaults apply again."""
        self.chat = self.mode_override = None
        self._system, self._chat_options = self._default_system, self._default_options

    async def _store_chat(self, mode_override: ThinkingMode | None) -> Chat:
        """Store a new chat with its configuration; for a stored one, apply the mode override."""
        async with self._chat_lock:
            if self.chat is None:
                self.mode_override = mode_override
                self.chat = await self._store.create_chat(
                    system=self.system, mode_override=mode_override, options=self.chat_options
                )
            else:
                await self._apply_mode_override(mode_override)
            return self.chat

    async def _apply_mode_override(self, mode_override: ThinkingMode | None) -> None:
        self.mode_override = mode_override
        if self.chat_id is not None and mode_override is not None:
            await self._store.set_mode_override(self.chat_id, mode_override)

    async def _reread(self, chat_id: int) -> None:
        chat = await self._store.chat(chat_id)
        if self.chat_id == chat_id:  # another chat may have been opened meanwhile
            self.chat = chat
