"""The base class of the chat screen: the state that all groups of actions work on."""

from __future__ import annotations

from asyncio import Lock, Task, timeout
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from time import monotonic

from textual import getters
from textual.screen import Screen
from textual.worker import Worker, WorkerError, WorkerState

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.config import Settings
from qwen3_chat.models.picker import ModelPicker
from qwen3_chat.session import ChatSession
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.draft_store import DraftStore
from qwen3_chat.session.message_versions import BranchVersions, MessageVersions
from qwen3_chat.session.thinking_mode import fixed_mode
from qwen3_chat.store import ChatStore
from qwen3_chat.texts import t
from qwen3_chat.transcript.message_entry import ThinkingDisplay
from qwen3_chat.ui.error_notices import notify_failure
from qwen3_chat.ui.message_entries import entries_from_branch, versioned_header, welcome_entry
from qwen3_chat.ui.screens.reading_screen import REDUCED_TICK_S, TICK_S, ReadingScreen, set_animation
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.widgets.chat_list import ChatList
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript
from qwen3_chat.ui.widgets.status_bar import Status, StatusBar
from qwen3_chat.ui.widgets.title_bar import TitleBar

WORKER_END_TIMEOUT_S = 3
"""The time that a running turn has to end by itself."""


class ConversationScreen(ReadingScreen):
    """A screen with a session's chat; the groups of actions in `ui.actions` change the chat.

    A group is a subclass; its `check_action` decides on its own actions and leaves the others to `super()`.
    """

    transcript = getters.query_one(MarkedTranscript)
    sidebar = getters.query_one("#sidebar", ChatList)
    title_bar = getters.query_one(TitleBar)
    status_bar = getters.query_one(StatusBar)

    def __init__(
        self,
        session: ChatSession,
        store: ChatStore,
        drafts: DraftStore,
        models_folder: Path,
        exports_folder: Path,
        settings: Settings,
        model_picker: ModelPicker | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.store = store
        self.drafts = drafts
        self.models_folder = models_folder
        self.exports_folder = exports_folder
        self.model_picker = model_picker
        self.advice = ""
        self.is_answering = False
        self.running_turns: set[Task[None]] = set()
        """The tasks of the turn and of the load in progress."""
        self.chat_tree = ChatTree(session, store)
        self.versions = BranchVersions()
        self.navigation_lock = Lock()
        """The lock held during a change to another chat or branch, so that such changes follow each other."""
        self.settings = settings

    def on_mount(self) -> None:
        """Apply the settings to the widgets, then show the chat."""
        self.turn = TurnView(self.transcript, self.activity_line, monotonic, self.show_state)
        self.transcript.thinking_display = ThinkingDisplay(self.settings.thinking_display)
        self.input.enter_sends = self.settings.enter_key == "send"
        set_animation(self, reduced=self.settings.reduced_motion)
        self.set_interval(REDUCED_TICK_S if self.settings.reduced_motion else TICK_S, self.tick)
        self.input.focus()
        self.show_chat()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report the failure of a worker that must not end the app; Textual would drop it silently."""
        worker = event.worker
        if event.state is WorkerState.ERROR and not worker.exit_on_error and worker.error is not None:
            notify_failure(self, worker.error)

    def before_chat_change(self) -> None:
        """Run the tasks that precede a change of the chat; groups of actions add theirs."""

    async def shutdown(self) -> None:
        """End all work; everything that arrived is in the store afterwards."""
        self.stop_turns()
        await wait_for_workers(self, ("turn", "load"))

    def stop_turns(self) -> None:
        """Stop the turn and the load in progress; what arrived is kept."""
        for task in self.running_turns:
            task.cancel()

    def show_chat(self) -> None:
        """Show the session's chat, scrolled to its end."""
        self.show_messages()
        messages = [stored.message for stored in self.session.messages]
        self.input.remember([message.content for message in messages if message.role is Role.USER])
        self.show_state()

    def show_messages(self) -> None:
        """Show the messages, or the welcome if there are none, with the notices of the load."""
        entries = entries_from_branch(self.session.messages)
        if is_empty := not entries:
            entries = [welcome_entry(self.session.engine.model, self.models_folder, self.advice)]
        self.transcript.show([*entries, *self.turn.notices])
        self.show_version_counts()
        if is_empty and not self.turn.notices:
            self.transcript.scroll_home(animate=False)  # a welcome is read from its beginning

    def tick(self) -> None:
        """Update the elapsed times on the screen."""
        self.turn.tick()
        if self.turn.is_busy:
            self.show_state()

    def show_state(self) -> None:
        """Update the title, the status bar and the keys."""
        session = self.session
        replies = (m.meta for m in reversed(session.messages) if m.message.role is Role.ASSISTANT)
        meta = next(replies, None)
        self.status_bar.status = Status(
            mode=session.mode,
            mode_is_fixed=fixed_mode(session.engine.model) is not None,
            download=self.status_bar.status.download,
            model=session.engine.model,
            usage=self.turn.usage or (meta.usage if meta else None),
            timings=meta.timings if meta else None,
            versions=(self.chosen_versions.shown_index + 1, self.chosen_versions.count),
            counts_exactly=session.engine.capabilities.exact_counts,
        )
        self.title_bar.title = session.chat.title if session.chat else t("ui.new_chat")
        self.input.set_class(session.mode is ThinkingMode.NO_THINK, "-no-think")
        self.refresh_bindings()

    async def show_versions(self) -> None:
        """Count the versions of each message, for the headers and for the keys that switch between them."""
        branch = self.session.chat_id, self.session.messages
        versions = await self.chat_tree.versions()
        if (self.session.chat_id, self.session.messages) != branch:
            return  # another branch was opened meanwhile, with versions of its own
        self.versions = versions
        self.show_version_counts()
        self.refresh_bindings()

    def show_version_counts(self) -> None:
        """Write the number of the shown version and the count into the headers."""
        self.transcript.retitle(
            {
                stored.id: versioned_header(stored, versions)
                for stored in self.session.messages
                if (versions := self.versions.for_message(stored.id)).count
            }
        )

    @property
    def chosen_versions(self) -> MessageVersions:
        """The versions of the marked message, or of the end of the chat if none is marked."""
        marked = self.transcript.marked
        return self.versions.for_latest if marked is None else self.versions.for_message(marked)

    @property
    def is_ready(self) -> bool:
        """True once the screen is mounted, so that its widgets can be queried."""
        return self.is_mounted and hasattr(self, "turn")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        if self.is_ready and action in ("fold", "fold_all"):
            return any(view.has_thinking for view in self.transcript.transcript_layout.message_views)
        return True


async def wait_for_workers(screen: Screen[None], groups: Collection[str]) -> None:
    """Wait for the workers of a screen that were asked to stop; cancel those that take too long."""
    with suppress(TimeoutError):
        async with timeout(WORKER_END_TIMEOUT_S):
            await _wait_for_groups(screen, groups)
    screen.workers.cancel_node(screen)
    await _wait_for_groups(screen, groups)


async def _wait_for_groups(screen: Screen[None], groups: Collection[str]) -> None:
    for worker in [worker for worker in screen.workers if worker.node is screen and worker.group in groups]:
        with suppress(WorkerError):
            await worker.wait()
