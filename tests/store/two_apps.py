"""An app of its own that writes turns into a chat: `python -m tests.store.two_apps FILE CHAT NAME COUNT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.store import ChatStore, MessageMeta

DONE = MessageMeta(stop_reason=StopReason.END_OF_TURN)


async def write_turns(path: Path, chat_id: int, name: str, count: int) -> None:
    """Write questions and answers below a head of its own."""
    store = await ChatStore.open(path)
    head_id = None
    for number in range(count):
        question = await store.add_message(chat_id, head_id, ChatMessage(Role.USER, f"{name} {number}"))
        reply = await store.add_message(chat_id, question.id, ChatMessage(Role.ASSISTANT, ""))
        await store.save_partial(reply.id, "half", "")
        await store.finish_message(reply.id, ChatMessage(Role.ASSISTANT, f"to {name} {number}"), DONE)
        head_id = reply.id
    print(head_id)
    await store.close()


async def be_killed(path: Path, chat_id: int) -> None:
    """Save half a reply and wait to be killed."""
    store = await ChatStore.open(path)
    reply = await store.add_message(chat_id, None, ChatMessage(Role.ASSISTANT, ""))
    await store.save_partial(reply.id, "half an answer", "the thinking")
    print(reply.id, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    file, chat, name, count = sys.argv[1:]
    if name == "killed":
        asyncio.run(be_killed(Path(file), int(chat)))
    asyncio.run(write_turns(Path(file), int(chat), name, int(count)))
