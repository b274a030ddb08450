"""The base of the chat screen: the state that every group of its actions works on."""

from __future__ import annotations

from asyncio import Lock, timeout
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from time import monotonic

from textual import getters
from textual.app import ComposeResult
from textual.screen import Screen
from textual.worker import WorkerError

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
from qwen3_chat.ui.message_entries import entries_from_branch, versioned_header, welcome_entry
from qwen3_chat.ui.screens.reading_screen import REDUCED_TICK_S, TICK_S, ReadingScreen, set_animation
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.widgets.activity_line import ActivityLine
from qwen3_chat.ui.widgets.attachment_bar import AttachmentBar
from qwen3_chat.ui.widgets.banner import Banner
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.chat_list import ChatList
from qwen3_chat.ui.widgets.completion_list import CompletionList
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript
from qwen3_chat.ui.widgets.status_bar import Status, StatusBar
from qwen3_chat.ui.widgets.title_bar import TitleBar

WORKER_END_TIMEOUT_S = 3
"""How long a running turn may take to end by itself."""


async def wait_for_workers(screen: Screen[None], groups: Collection[str]) -> None:
    """Wait for the workers of a screen that was asked to stop; those that take too long are cancelled."""
    with suppress(TimeoutError):
        async with timeout(WORKER_END_TIMEOUT_S):
            await _wait_for_groups(screen, groups)
    screen.workers.cancel_node(screen)
    await _wait_for_groups(screen, groups)


async def _wait_for_groups(screen: Screen[None], groups: Collection[str]) -> None:
    for worker in [one for one in screen.workers if one.node is screen and one.group in groups]:
        with suppress(WorkerError):
            await worker.wait()


class ConversationScreen(ReadingScreen):
    """Shows a session's chat; the groups of actions in `ui.actions` change it.

    A group is a subclass; its `check_action` answers for its own actions and leaves the others to `super()`.
    """

    DEFAULT_CSS = """
    ConversationScreen {
        layers: base above;
        #sidebar {
            display: none; dock: left; width: 34; height: 100%;
            border-right: tall $panel; background: $surface; padding-top: 1;
        }
        &.-sidebar #sidebar { display: block; }
        &.-narrow #sidebar { layer: above; width: 90%; max-width: 44; border-right: tall $primary; }
    }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]

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
        self.chat_tree = ChatTree(session, store)
        self.versions = BranchVersions()
        self.navigation_lock = Lock()
        """Held while another chat or branch is brought in: one such change is over before the next begins."""
        self.settings = settings

    def compose(self) -> ComposeResult:
        """Lay out from top to bottom."""
        yield ChatList(self.store, id="sidebar")
        yield TitleBar()
        yield Banner()
        yield MarkedTranscript(copy_label=t("ui.copy"))
        yield ActivityLine()
        yield AttachmentBar()
        yield (completions := CompletionList())
        yield ChatInput(completions)
        yield StatusBar()
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the chat."""
        self.turn = TurnView(self.transcript, self.activity_line, monotonic)
        self.transcript.thinking_display = ThinkingDisplay(self.settings.thinking_display)
        self.input.enter_sends = self.settings.enter_key == "send"
        set_animation(self, reduced=self.settings.reduced_motion)
        self.set_interval(REDUCED_TICK_S if self.settings.reduced_motion else TICK_S, self.tick)
        self.input.focus()
        self.show_chat()

    def before_chat_change(self) -> None:
        """Do what is to be done before another chat is opened; groups of actions add theirs."""

    async def shutdown(self) -> None:
        """End whatever runs; everything that arrived is in the store afterwards."""
        await self.session.stop()
        await wait_for_workers(self, ("turn", "load"))

    def show_chat(self) -> None:
        """Show the session's chat from its end."""
        self.show_messages()
        messages = [stored.message for stored in self.session.messages]
        self.input.remember([message.content for message in messages if message.role is Role.USER])
        self.show_state()

    def show_messages(self) -> None:
        """Show the messages, or the welcome where there are none, with what was said while loading."""
        entries = entries_from_branch(self.session.messages)
        empty = [] if entries else [welcome_entry(self.session.engine.model, self.models_folder, self.advice)]
        self.transcript.show([*entries, *empty, *self.turn.notices])
        self.show_version_counts()
        if empty and not self.turn.notices:
            self.transcript.scroll_home(animate=False)  # a welcome is read from its beginning

    def tick(self) -> None:
        """Let time go on in what is shown."""
        self.turn.tick()
        if self.turn.is_busy:
            self.show_state()

    def show_state(self) -> None:
        """Bring title, mode, model and figures up to date."""
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
        """Count the versions of each message, for their headers and for the keys that walk through them."""
        branch = self.session.chat_id, self.session.messages
        versions = await self.chat_tree.versions()
        if (self.session.chat_id, self.session.messages) != branch:
            return  # another branch came meanwhile, with its own
        self.versions = versions
        self.show_version_counts()
        self.refresh_bindings()

    def show_version_counts(self) -> None:
        """Write into the headers which version of how many is shown."""
        self.transcript.retitle(
            {
                stored.id: versioned_header(stored, versions)
                for stored in self.session.messages
                if (versions := self.versions.for_message(stored.id)).count
            }
        )

    @property
    def chosen_versions(self) -> MessageVersions:
        """The versions of the marked message, or of the end of the chat."""
        marked = self.transcript.marked
        return self.versions.for_latest if marked is None else self.versions.for_message(marked)

    @property
    def is_ready(self) -> bool:
        """Whether the screen has been laid out, so that its widgets can be asked."""
        return self.is_mounted and hasattr(self, "turn")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if self.is_ready and action in ("fold", "fold_all"):
            return any(turn.has_thinking for turn in self.transcript.transcript_layout.message_views)
        return True
