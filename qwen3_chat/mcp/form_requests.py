"""The forms of servers that wait for the user: asked about one at a time, closed when nobody needs them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormPrompt, FormRequested, sign_in_form


class FormRequests:
    """The forms that wait; without `fill`, nobody can be asked, and each is declined.

    `send` takes the id of a form and its answer; `on_wait` is told of a server that the user is asked for it,
    and that it has the answer.
    """

    def __init__(
        self,
        send: Callable[[int, FormAnswer], None],
        on_wait: Callable[[str, bool], None],
        lock: asyncio.Lock,
    ) -> None:
        self.fill: FormPrompt | None = None
        self._send = send
        self._on_wait = on_wait
        self._lock = lock
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._declined: Counter[str] = Counter()

    def receive(self, request: FormRequested) -> None:
        """Have the user fill a form."""
        if self.fill is None:
            self._declined[request.server] += not request.is_sign_in
            self._send(request.form_id, FormAnswer(FormAction.DECLINE))
            return
        if request.is_sign_in:
            request = sign_in_form(request)
        task = asyncio.create_task(self._ask(self.fill, request))
        self._tasks[request.form_id] = task
        task.add_done_callback(lambda done: self._tasks.pop(request.form_id, None))

    def withdraw(self, form_id: int) -> None:
        """Close a form whose server does not need it any longer."""
        if task := self._tasks.get(form_id):
            task.cancel()

    def withdraw_all(self) -> None:
        """Close all forms."""
        for task in self._tasks.values():
            task.cancel()

    def take_declined(self, server: str) -> bool:
        """Return, once, whether a form of a server was declined because nobody could be asked."""
        return self._declined.pop(server, 0) > 0

    async def _ask(self, fill: FormPrompt, request: FormRequested) -> None:
        answer = FormAnswer(FormAction.CANCEL)
        self._on_wait(request.server, True)
        try:
            async with self._lock:
                answer = await fill(request)
        finally:
            self._on_wait(request.server, False)
            self._send(request.form_id, answer)
