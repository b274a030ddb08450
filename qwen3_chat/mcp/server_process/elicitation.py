"""The forms that servers ask for, on their way to the user and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final

from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp.types import (
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    ErrorData,
)
from mcp.types.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, URL_ELICITATION_REQUIRED
from pydantic import ValidationError

from qwen3_chat.mcp.forms import FormAnswer, FormError, FormRequested, read_fields, read_message, read_url
from qwen3_chat.mcp.server_messages import AnswerForm, FormWithdrawn

MAX_FORMS_PER_CALL: Final = 10
"""The most forms of a server while one of its calls runs."""

FormSink = Callable[[ElicitRequestParams], Coroutine[Any, Any, ElicitResult | ErrorData]]
"""A function that has the user asked for what a server wants of them."""


class Forms:
    """The forms of all servers that wait for an answer."""

    def __init__(self, send: Callable[[FormRequested | FormWithdrawn], None]) -> None:
        self._send = send
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[FormAnswer]] = {}

    async def ask(self, server: str, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        """Have the user asked for what a server wants; if the request is cancelled, so is the question."""
        form_id = next(self._ids)
        try:
            request = _form_request(form_id, server, params)
        except FormError as error:
            return ErrorData(code=INVALID_PARAMS, message=str(error))
        given = await self._answer_to(request)
        is_filled = given.action == "accept" and isinstance(params, ElicitRequestFormParams)
        return ElicitResult(action=given.action.value, content=dict(given.content) if is_filled else None)

    async def ask_to_sign_in(self, server: str, url: str) -> FormAnswer:
        """Have the user visit an address; if the request is cancelled, so is the question."""
        return await self._answer_to(FormRequested(next(self._ids), server, "", url=url, is_sign_in=True))

    async def _answer_to(self, request: FormRequested) -> FormAnswer:
        answer: asyncio.Future[FormAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[request.form_id] = answer
        self._send(request)
        try:
            return await answer
        except asyncio.CancelledError:
            self._send(FormWithdrawn(request.form_id))
            raise
        finally:
            del self._waiting[request.form_id]

    def answer(self, command: AnswerForm) -> None:
        """Take the user's answer to a form."""
        waiting = self._waiting.get(command.call_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(command.answer)


class FormGate:
    """The way of one server to the user: closed without a call, open for a few forms while calls run."""

    def __init__(self, ask: FormSink) -> None:
        self._ask = ask
        self._n_calls = self._n_forms = 0
        self._tasks: set[asyncio.Task[ElicitResult | ErrorData]] = set()

    def __enter__(self) -> None:
        self._n_calls += 1

    def __exit__(self, *failure: object) -> None:
        self._n_calls -= 1
        if not self._n_calls:
            self._n_forms = 0
            for task in self._tasks:
                task.cancel()

    async def ask(self, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        """Have the user asked, if that is in order; a form ends with the calls that need it."""
        if not self._n_calls:
            return ErrorData(code=INVALID_REQUEST, message="The user is asked only while a request runs.")
        self._n_forms += 1
        if self._n_forms > MAX_FORMS_PER_CALL:
            return ErrorData(code=INVALID_REQUEST, message="The user was asked too often.")
        task = asyncio.ensure_future(self._ask(params))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait([task])
        return ElicitResult(action="cancel") if task.cancelled() else task.result()


def required_addresses(error: MCPError) -> list[ElicitRequestURLParams]:
    """Return the addresses that a server wants visited before it answers a request."""
    if error.code != URL_ELICITATION_REQUIRED:
        return []
    try:
        return UrlElicitationRequiredError.from_error(error.error).elicitations[:MAX_FORMS_PER_CALL]
    except (ValidationError, TypeError, AttributeError):  # its data have another shape
        return []


def _form_request(form_id: int, server: str, params: ElicitRequestParams) -> FormRequested:
    match params:
        case ElicitRequestURLParams(url=url):
            return FormRequested(form_id, server, read_message(params.message), url=read_url(url))
        case ElicitRequestFormParams():
            fields = read_fields(params.requested_schema)
            return FormRequested(form_id, server, read_message(params.message), fields)
