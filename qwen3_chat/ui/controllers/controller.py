"""The base class of the chat screen's controllers, and the chat screen as they see it."""

from __future__ import annotations

from asyncio import Event
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker

from qwen3_chat.config import Settings
from qwen3_chat.session import ChatSession
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

ControllerT = TypeVar("ControllerT", bound="Controller")
ParametersT = ParamSpec("ParametersT")


class ChatView(Protocol):
    """The chat screen as its controllers see it.

    A controller that has changed something calls the function for it; which of the other controllers that
    concerns, and in which order, is decided by the screen alone.
    """

    @property
    def screen(self) -> Screen[object]:
        """Textual's part of the screen: its workers, timers, notices and dialogs."""

    @property
    def is_answering(self) -> bool:
        """True from the moment at which a turn is started until it has ended."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    @property
    def exports_folder(self) -> Path:
        """The folder that exported chats and code blocks are written to."""

    def show_chat(self) -> None:
        """Show the session's chat, scrolled to its end."""

    def show_messages(self) -> None:
        """Show the messages, or the welcome if there are none."""

    def show_state(self) -> None:
        """Update the title, the status bar and the keys."""

    def show_chat_list(self) -> None:
        """Update the list of stored chats."""

    async def free_engine(self) -> None:
        """End what the engine does between turns, before a turn needs it."""

    async def turn_ended(self) -> None:
        """Show what a turn changed, and go on with what waited for its end."""


async def wait_for_messages(widget: Widget) -> None:
    """Wait until a widget has processed the messages that it has received so far, keys among them."""
    processed = Event()
    widget.call_later(processed.set)
    await processed.wait()


class Controller:
    """A part of the chat screen's behaviour, with the state that it alone writes."""

    def __init__(self, view: ChatView, session: ChatSession, widgets: ChatWidgets) -> None:
        self._view = view
        self._screen = view.screen
        self._session = session
        self._widgets = widgets

    def start_worker(
        self, task: Callable[[], Coroutine[Any, Any, None]], group: str, exclusive: bool
    ) -> Worker[None]:
        """Start a task as a worker of the screen; an `exclusive` one ends the others of its group."""
        return self._screen.run_worker(task, group=group, exclusive=exclusive, exit_on_error=False)


def in_worker(
    group: str, *, exclusive: bool = False
) -> Callable[
    [Callable[Concatenate[ControllerT, ParametersT], Coroutine[Any, Any, None]]],
    Callable[Concatenate[ControllerT, ParametersT], Worker[None]],
]:
    """Return a decorator that runs a controller's method in a worker, as Textual's `work` runs a widget's.

    A failure that the method does not report itself is reported by the screen, and ends nothing.
    """

    def decorate(
        method: Callable[Concatenate[ControllerT, ParametersT], Coroutine[Any, Any, None]],
    ) -> Callable[Concatenate[ControllerT, ParametersT], Worker[None]]:
        @wraps(method)
        def start(
            controller: ControllerT, /, *args: ParametersT.args, **kwargs: ParametersT.kwargs
        ) -> Worker[None]:
            task = partial(method, controller, *args, **kwargs)
            return controller.start_worker(task, group, exclusive)

        return start

    return decorate
