"""The state of a conversation's screen: what every group of its actions works on."""

from __future__ import annotations

from asyncio import Lock
from pathlib import Path
from time import monotonic

from textual import getters
from textual.app import ComposeResult

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.config import Settings
from qwen3_chat.session import ChatSession
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.drafts import Drafts
from qwen3_chat.session.fixed_thinking import fixed_mode
from qwen3_chat.session.variants import Variants, Versions
from qwen3_chat.shelf import ModelDesk
from qwen3_chat.store import Store
from qwen3_chat.texts import t
from qwen3_chat.transcript.entry import ThinkingDisplay
from qwen3_chat.ui.entries import entries_of, versioned_header
from qwen3_chat.ui.leaving import work_ended
from qwen3_chat.ui.motion import CALM_TICK_S, TICK_S, set_motion
from qwen3_chat.ui.screens.reading import ReadingScreen
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.welcome import welcome
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
        store: Store,
        drafts: Drafts,
        models: Path,
        exports: Path,
        settings: Settings,
        desk: ModelDesk | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.store = store
        self.drafts = drafts
        self.models = models
        self.exports = exports
        self.desk = desk
        self.advice = ""
        self.is_answering = False
        self.chat_tree = ChatTree(session, store)
        self.versions = Versions()
        self.moving = Lock()
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
        set_motion(self, reduced=self.settings.reduced_motion)
        self.set_interval(CALM_TICK_S if self.settings.reduced_motion else TICK_S, self.tick)
        self.input.focus()
        self.show_chat()

    def chat_is_left(self) -> None:
        """Do what is to be done before another chat is opened; groups of actions add theirs."""

    async def settle(self) -> None:
        """End whatever runs; everything that arrived is in the store afterwards."""
        await self.session.stop()
        await work_ended(self, ("turn", "load"))

    def show_chat(self) -> None:
        """Show the session's chat from its end."""
        self.show_messages()
        messages = [stored.message for stored in self.session.messages]
        self.input.remember([message.content for message in messages if message.role is Role.USER])
        self.show_state()

    def show_messages(self) -> None:
        """Show the messages, or the welcome where there are none, with what was said while loading."""
        entries = entries_of(self.session.messages)
        empty = [] if entries else [welcome(self.session.engine.model, self.models, self.advice)]
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
            variants=(self.chosen_versions.shown + 1, self.chosen_versions.count),
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
                if (versions := self.versions.of(stored.id)).count
            }
        )

    @property
    def chosen_versions(self) -> Variants:
        """The versions of the marked message, or of the end of the chat."""
        marked = self.transcript.marked
        return self.versions.at_end if marked is None else self.versions.of(marked)

    @property
    def is_ready(self) -> bool:
        """Whether the screen has been laid out, so that its widgets can be asked."""
        return self.is_mounted and hasattr(self, "turn")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if self.is_ready and action in ("fold", "fold_all"):
            return any(turn.has_thinking for turn in self.transcript.column.turns)
        return True
