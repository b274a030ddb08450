"""The conversation in lines: reads a line, does what it says, reads the next."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from pathlib import Path

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.linear.commands import Command, Order, order_of
from qwen3_chat.linear.narrator import Narrator
from qwen3_chat.plain import plain
from qwen3_chat.prompt import ContextPolicy, only_a_tag, typed_mode
from qwen3_chat.session import ChatSession, SessionEvent
from qwen3_chat.store import Store
from qwen3_chat.texts import t

LISTED_CHATS = 20

Ask = Callable[[str], str | None]
"""Shows a prompt and returns the line typed, None at the end of the input."""


class Conversation:
    """One session in lines; everything it needs is given to it."""

    def __init__(
        self,
        session: ChatSession,
        store: Store,
        narrator: Narrator,
        ask: Ask,
        stoppable: Callable[[Callable[[], Awaitable[None]]], AbstractContextManager[None]],
        export: Callable[[], Path | None],
    ) -> None:
        self._session = session
        self._store = store
        self._narrator = narrator
        self._ask = ask
        self._stoppable = stoppable
        self._export = export

    async def run(self) -> None:
        """Talk until the input ends or the user leaves."""
        self._narrator.say(t("linear.welcome"))
        await self._turn(self._session.prepare())
        if model := self._session.engine.model:
            self._narrator.say(plain(" ".join(filter(None, (model.name, model.quant)))))
        self._narrator.recall(self._session.messages)
        while (text := self._read()) is not None:
            try:
                if not await self._obey(text):
                    return
            except Qwen3ChatError as error:
                self._narrator.say(plain(str(error)))

    def _read(self) -> str | None:
        """Read a message; a line that ends with a backslash goes on in the next."""
        lines: list[str] = []
        while (line := self._ask(t("linear.more") if lines else self._label)) is not None:
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])
        return "\n".join(lines) or None

    @property
    def _label(self) -> str:
        return t(f"linear.prompt.{self._session.mode.value}")

    async def _obey(self, text: str) -> bool:
        """Do what was typed; return whether to go on."""
        order = order_of(text)
        if not text.strip():
            return True
        if only_a_tag(text) and (mode := typed_mode(text)):
            await self._session.set_toggle(mode)
        elif order is None or typed_mode(text):
            await self._turn(self._session.send(text))
        elif order.command is Command.QUIT:
            return False
        else:
            await self._command(order)
        return True

    async def _command(self, order: Order) -> None:
        session, say = self._session, self._narrator.say
        match order.command:
            case Command.NEW:
                session.start_new()
                say(t("linear.new"))
            case Command.CHATS:
                await self._list(order.argument)
            case Command.OPEN if order.argument.isdecimal():
                await session.resume(int(order.argument))
                self._narrator.recall(session.messages)
            case Command.OPEN:
                say(t("linear.open_what"))
            case Command.AGAIN:
                await self._turn(session.answer_again())
            case Command.CONTINUE if session.can_continue:
                await self._turn(session.continue_reply())
            case Command.CONTINUE:
                say(t("linear.nothing_to_continue"))
            case Command.EXPORT:
                path = self._export()
                say(plain(t("cli.exported", path=path)) if path else t("linear.nothing_to_export"))
            case Command.HELP:
                say(t("linear.help"))
            case _:
                say(t("linear.no_command"))

    async def _list(self, words: str) -> None:
        chats = await self._store.chats(search=words or None)
        for chat in chats[:LISTED_CHATS]:
            self._narrator.say(f"{chat.id}: {plain(chat.title) or t('ui.untitled')}")
        if not chats:
            self._narrator.say(t("cli.no_chats_found") if words else t("cli.no_chats"))

    async def _turn(self, events: AsyncGenerator[SessionEvent, None]) -> None:
        """Tell a turn; where the chat no longer fits, ask what is to be done and go on."""
        self._narrator.begin()
        with self._stoppable(self._session.stop):
            async with aclosing(events) as stream:
                async for event in stream:
                    self._narrator.show(event)
        if (exceeded := self._narrator.exceeded) is not None and exceeded.policies:
            choice = self._ask(t("linear.policy", policies=", ".join(exceeded.policies)))
            if choice and choice.strip() in exceeded.policies:
                policy = ContextPolicy(choice.strip())
                session = self._session
                again = session.continue_reply if exceeded.continues else session.answer_again
                await self._turn(again(policy))
