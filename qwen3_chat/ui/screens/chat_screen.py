"""The chat screen: its widgets, its keys, and the controllers that it is made of."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual import on
from textual.events import DescendantFocus
from textual.widgets import TextArea
from textual.worker import Worker

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.config import Settings
from qwen3_chat.highlighting.highlighter import Highlighter
from qwen3_chat.record_copies import field_names, replace
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.draft_store import DraftStore
from qwen3_chat.session.rescue import rescue
from qwen3_chat.session.thinking_mode import fixed_mode, is_only_mode_tag, typed_mode
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import Language, language_from_locale, set_language, t
from qwen3_chat.transcript.message_entry import ThinkingDisplay
from qwen3_chat.ui.controllers.chat_controller import ChatController
from qwen3_chat.ui.controllers.comparison_controller import ComparisonController
from qwen3_chat.ui.controllers.consent_controller import ConsentController
from qwen3_chat.ui.controllers.controller import wait_for_messages
from qwen3_chat.ui.controllers.draft_controller import DraftController
from qwen3_chat.ui.controllers.file_controller import FileController, names_files
from qwen3_chat.ui.controllers.message_controller import MessageController
from qwen3_chat.ui.controllers.model_controller import ModelController
from qwen3_chat.ui.controllers.option_controller import OptionController
from qwen3_chat.ui.controllers.queue_controller import QueueController
from qwen3_chat.ui.controllers.signal_controller import SignalController
from qwen3_chat.ui.controllers.storing_controller import StoringController
from qwen3_chat.ui.controllers.title_controller import TitleController
from qwen3_chat.ui.controllers.tool_controller import ToolController
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.controllers.version_controller import VersionController
from qwen3_chat.ui.controllers.writing_controller import WritingController
from qwen3_chat.ui.error_notices import notify_errors, notify_worker_failure
from qwen3_chat.ui.external_editor import edit_in_editor
from qwen3_chat.ui.key_bindings import BLOCKED_WHILE_ANSWERING, CHAT_KEYS, MESSAGE_KEYS
from qwen3_chat.ui.message_entries import entries_from_branch, welcome_entry
from qwen3_chat.ui.screens.reading_screen import REDUCED_TICK_S, TICK_S, ReadingScreen
from qwen3_chat.ui.textual_compat import SteadyApp
from qwen3_chat.ui.turn_view import TurnPhase, TurnView
from qwen3_chat.ui.widgets.attachment_bar import AttachmentLine
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.chat_list import ChatList
from qwen3_chat.ui.widgets.chat_widgets import make_chat_widgets
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript
from qwen3_chat.ui.widgets.queue_bar import QueuedLine

if TYPE_CHECKING:
    from qwen3_chat.mcp.server_texts import TextSource
    from qwen3_chat.mcp.tool_list import ToolCatalogue
    from qwen3_chat.models.picker import ModelPicker

TURN_OPTION_NAMES = frozenset(field_names(TurnOptions))

TYPED_TIMEOUT_S = 1.0
"""The time for the keys that were pressed right before the app ends; a key needs milliseconds."""


class ChatScreen(ReadingScreen):
    """The transcript, the input and the state of one chat.

    The screen makes the widgets and the controllers, leads keys and messages to the controller concerned, and
    alone knows what follows when one of them has changed something. The controllers know it as a `ChatView`.
    """

    BINDINGS = [*MESSAGE_KEYS, *CHAT_KEYS]
    DEFAULT_CSS = """
    ChatScreen {
        layers: base above;
        &.-sidebar #sidebar { display: block; }
        &.-narrow #sidebar { layer: above; width: 90%; max-width: 44; border-right: tall $primary; }
        &.-flat TitleBar, &.-flat KeyBar { display: none; }  /* the answer needs their rows */
        &.-flat ChatInput, &.-flat ChatInput:focus { min-height: 1; max-height: 2; border: none; }
    }
    """

    def __init__(
        self,
        session: ChatSession,
        store: ChatStore,
        drafts: DraftStore,
        models_folder: Path,
        exports_folder: Path,
        settings: Settings,
        make_picker: Callable[[], ModelPicker] | None = None,
        prompts_file: Path | None = None,
        highlighter: Highlighter | None = None,
        texts: TextSource | None = None,
        make_tool_catalogue: Callable[[], ToolCatalogue] | None = None,
    ) -> None:
        widgets = make_chat_widgets(store)
        widgets.transcript.highlighter = highlighter
        super().__init__(widgets)
        self.session = session
        self.settings = settings
        self.exports_folder = exports_folder
        self._models_folder = models_folder
        self._is_shutting_down = False
        self._result_paths = store
        chat_tree = ChatTree(session, store)
        self.turn = TurnView(widgets.transcript, widgets.activity_line, monotonic, self.show_state, store)
        self.turns = TurnController(self, session, widgets, self.turn)
        self.turn.can_answer_now = lambda: "answer_now" not in self.keys_not_offered
        self.consent = ConsentController(self, session, widgets, self.turn, self.turns)
        self.models: ModelController | None = None
        get_picker = None if make_picker is None else cache(make_picker)
        if get_picker is not None:
            self.models = ModelController(self, session, widgets, get_picker, self.turns)
        self.titles = TitleController(self, session, widgets, store, self.turns)
        self.storing = StoringController(self, session, widgets, store)
        self.queue = QueueController(self, session, widgets, lambda text: self.messages.ask(text))
        self.signals = SignalController(self, session, widgets, self.turn, self.write_signal)
        self.drafts = DraftController(self, session, widgets, drafts, self.turns, self.queue)
        self.versions = VersionController(self, session, widgets, self.turns, chat_tree)
        self.messages = MessageController(self, session, widgets, self.turns, self.versions, chat_tree)
        self.chats = ChatController(
            self, session, widgets, store, self.turn, self.turns, self.versions, self.drafts
        )
        self.comparisons = ComparisonController(
            self, session, widgets, store, get_picker, self.turns, self.versions
        )
        self.options = OptionController(self, session, widgets, prompts_file)
        self.writing = WritingController(self, session, widgets, store, texts)
        self.tools = ToolController(self, session, widgets, make_tool_catalogue, self.turns)
        self.turn.calls.name_of = self.tools.name_of
        self.files = FileController(self, session, widgets, store, self.writing)

    async def on_mount(self) -> None:
        """Apply the settings to the widgets, show the chat, then begin what goes on in the background."""
        self.transcript.thinking_display = ThinkingDisplay(self.settings.thinking_display)
        self.transcript.draws_formulas = self.settings.maths == "drawn"
        self.transcript.reading_width = self.settings.reading_width
        self.input.enter_sends = self.settings.enter_key == "send"
        self.set_animation(reduced=self.settings.reduced_motion)
        self.set_interval(REDUCED_TICK_S if self.settings.reduced_motion else TICK_S, self.tick)
        self.input.focus()
        self.app.app_resume_signal.subscribe(self, lambda _: self.signals.forget_title())
        await self.chats.read_last()  # one row; found later, it has the welcome laid out and drawn again
        self.show_chat()
        if self.models is not None:
            self.models.start()
        self.call_after_refresh(self.turns.load_model)  # the first frame comes first
        self.call_later(self.chats.purge)

    def on_screen_resume(self) -> None:
        """Let a call be asked about that waited for another screen to close."""
        self.consent.uncovered()

    async def shutdown(self) -> None:
        """End all work; everything that arrived or was typed is in the store afterwards."""
        self._is_shutting_down = True
        with suppress(TimeoutError):
            async with timeout(TYPED_TIMEOUT_S):
                # Twice the input: a key makes it post that the text is sent, which then reaches the screen.
                for widget in (self.input, self.input, self):
                    await wait_for_messages(widget)
        if self.models is not None:
            await self.models.shutdown()
        await self.titles.cancel()
        await self.turns.shutdown()
        self.signals.shutdown()
        await self.storing.store()
        await self.drafts.shutdown()

    def rescue(self) -> str:
        """Write what is not stored after the shutdown into a file; return the sentence about it."""
        return rescue(self.session.unstored, self.exports_folder, self.drafts.unsaved)

    def apply_setting(self, settings: Settings, name: str) -> bool:
        """Apply a changed setting; return True if it takes effect now, False if only at the next start."""
        value: Any = getattr(settings, name)
        self.settings = settings
        match name:
            case "theme":
                self.app.theme = value
            case "language":
                self._change_language(value)
            case "reduced_motion":
                self.set_animation(reduced=value)
            case "thinking_display":
                self.transcript.thinking_display = ThinkingDisplay(value)
            case "maths":
                self.transcript.draws_formulas = value == "drawn"
            case "reading_width":
                self.transcript.reading_width = value
            case "chat_titles" | "export_thinking" | "export_format" | "notifications" | "terminal_title":
                pass  # read each time it is needed
            case "draft" if self.models is not None:
                pass  # read when a model is loaded
            case "enter_key":
                self.input.enter_sends = value == "send"
            case "export_folder" if settings.export_dir is not None:
                self.exports_folder = settings.export_dir
            case _ if name in TURN_OPTION_NAMES:
                self.session.set_options(replace(self.session.options, **{name: value}))
            case _:
                return False
        return True

    def _change_language(self, language: Language | None) -> None:
        """Speak another language at once; what stands in the transcript is written anew."""
        set_language(language or language_from_locale())
        self.input.show_keys()
        self.transcript.copy_label = t("ui.copy")
        self.show_messages()
        self.show_state()
        for widget in self.widgets:
            widget.refresh()

    # the state

    @property
    def is_answering(self) -> bool:
        """True from the moment at which a turn is started until it has ended."""
        return self.turns.is_answering

    @property
    def marked(self) -> StoredMessage | None:
        """The marked message, on which the keys act."""
        return self.messages.marked

    def tick(self) -> None:
        """Update the elapsed times on the screen, and save what was typed."""
        self.turn.tick()
        if self.turn.is_busy:
            self.show_state()
        self.writing.tick()
        self.drafts.tick()
        self.storing.tick()

    def show_chat(self) -> None:
        """Show the session's chat, scrolled to its end."""
        self.messages.branch_changed()
        self.show_messages()
        messages = [stored.message for stored in self.session.messages]
        self.input.remember([message.content for message in messages if message.role is Role.USER])
        self.show_state()
        self.chats.chat_shown()
        self.comparisons.chat_shown()
        self.writing.load_history()
        self.drafts.chat_shown()

    def show_messages(self) -> None:
        """Show the messages, or the welcome if there are none, with the notices of the load."""
        entries = entries_from_branch(self.session.messages, self._result_paths, self.session.unstored.ids)
        if is_empty := not entries:
            advice = "" if self.models is None else self.models.advice
            last = self.chats.last.title if self.chats.last and self.chats.can_continue_last else ""
            entries = [welcome_entry(self.session.engine.model, self._models_folder, advice, last)]
        self.transcript.show([*entries, *self.turn.notices])
        self.versions.show_counts()
        if is_empty and not self.turn.notices:
            self.transcript.scroll_home(animate=False)  # a welcome is read from its beginning

    @property
    def keys_not_offered(self) -> frozenset[str]:
        """The names of keys that are answered by a sentence alone, so that no line offers them."""
        ends_thinking = self.session.engine.capabilities.ends_thinking
        return frozenset() if ends_thinking else frozenset({"answer_now"})

    def show_state(self) -> None:
        """Update the title, the status bar and the keys."""
        session, status_bar = self.session, self.widgets.status_bar
        replies = (m.meta for m in reversed(session.messages) if m.message.role is Role.ASSISTANT)
        meta = next(replies, None)
        versions = self.versions.chosen
        status_bar.status = replace(  # what is downloaded and compiled stays
            status_bar.status,
            mode=session.mode,
            mode_is_fixed=fixed_mode(session.engine.model) is not None,
            model=session.engine.model,
            usage=self.turn.usage or (meta.usage if meta else None),
            timings=meta.timings if meta else None,
            versions=(versions.shown_index + 1, versions.count),
            n_tools=self.tools.count,
            counts_exactly=session.engine.capabilities.exact_counts,
        )
        self.widgets.title_bar.title = session.chat.title if session.chat else t("ui.new_chat")
        self.widgets.title_bar.note = self.options.note
        self.input.set_class(session.mode is ThinkingMode.NO_THINK, "-no-think")
        self.refresh_bindings()
        self.signals.update()

    def write_signal(self, sequence: str) -> None:
        """Write a sequence to the terminal that draws nothing."""
        if isinstance(self.app, SteadyApp):
            self.app.write_sequence(sequence)

    def show_chat_list(self) -> None:
        """Update the list of stored chats."""
        self.chats.show_list()

    async def free_engine(self) -> None:
        """End the generation of a title, before a turn needs the engine."""
        await self.titles.cancel()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Notify the user of the failure of a worker."""
        notify_worker_failure(self, event)

    async def turn_ended(self) -> None:
        """Show what a turn changed, and go on with what waited for its end."""
        with notify_errors(self, "task.versions"):
            await self.versions.reread()
            self.show_state()
        self.signals.turn_ended()
        self.chats.show_list()
        self.turns.ask_policy()
        if not self._is_shutting_down:
            self.queue.turn_ended(is_complete=self.turns.is_complete)
        self.titles.schedule()

    # messages of the widgets

    @on(ChatInput.Submitted)
    def send(self, message: ChatInput.Submitted) -> None:
        """Start a turn, or queue the message; switch the mode if only a mode tag was typed."""
        text = message.text
        if is_only_mode_tag(text) and (tag := typed_mode(text)):
            self.options.set_mode(tag)
        elif self.is_answering and self.messages.is_editing:
            self.notify(t("ui.notice.busy"))
            return
        elif self.is_answering or self.queue.contents:
            if not self.queue.add(text):
                return
            self.queue.send_next()
        else:
            self.messages.ask(text)
        self.input.clear_sent(text)

    @on(TextArea.Changed)
    def text_changed(self) -> None:
        """Note a change of the typed text."""
        self.drafts.input_changed()
        self.messages.input_changed()

    @on(ChatInput.AttachmentsChanged)
    def attachments_changed(self) -> None:
        """Note a change of the attachments, and show them."""
        self.drafts.input_changed()
        self.writing.show_attachments()

    @on(ChatInput.CommandEntered)
    async def run_command(self, message: ChatInput.CommandEntered) -> None:
        """Run a command by its name, or notify why it can't run."""
        await self.writing.run_command(message.name)

    @on(ChatInput.QueuedRequested)
    def edit_last_queued(self) -> None:
        """Take the last queued message back into the empty input."""
        self.queue.take_back(-1)

    @on(QueuedLine.TakenBack)
    def edit_queued(self, message: QueuedLine.TakenBack) -> None:
        """Take a queued message back into the input."""
        self.queue.take_back(message.number)

    @on(QueuedLine.Removed)
    def remove_queued(self, message: QueuedLine.Removed) -> None:
        """Remove a queued message."""
        self.queue.remove(message.number)

    @on(ChatInput.CompletionRequested)
    def complete(self, message: ChatInput.CompletionRequested) -> None:
        """Show the completions of the word at the cursor."""
        self.writing.complete(message.trigger)

    @on(ChatInput.FileChosen)
    def attach_file(self, message: ChatInput.FileChosen) -> None:
        """Attach a file, a web page, or a resource of a server."""
        self.writing.attach(message.path)

    @on(AttachmentLine.Removed)
    def detach(self, message: AttachmentLine.Removed) -> None:
        """Remove an attachment."""
        self.writing.detach(message.attachment)

    @on(MarkedTranscript.Marked)
    def mark_moved(self) -> None:
        """Let the keys act on the newly marked message."""
        self.messages.mark_moved()

    @on(DescendantFocus)
    def focus_moved(self, event: DescendantFocus) -> None:
        """Remove the mark when another widget than the transcript gets the focus."""
        self.messages.focus_moved(event.widget)

    @on(ChatList.Chosen)
    def resume_from_sidebar(self, message: ChatList.Chosen) -> None:
        """Go on with a chat of the sidebar."""
        self.chats.choose_in_sidebar(message.choice)

    @on(ChatList.Deleted)
    def sidebar_chat_deleted(self, message: ChatList.Deleted) -> None:
        """Leave the open chat if it was deleted in the sidebar."""
        self.chats.leave_from_sidebar(message.chat_id)

    @on(ChatList.Renamed)
    async def sidebar_chat_renamed(self) -> None:
        """Show another title of the open chat."""
        await self.chats.reread_title()

    @on(ChatList.Closed)
    def close_sidebar(self) -> None:
        """Close the sidebar and return to the input."""
        self.chats.close_sidebar()

    # actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        possible = self._is_possible(action, parameters)
        name = str(parameters[0]) if action == "message" else action
        return None if possible and self.is_answering and name in BLOCKED_WHILE_ANSWERING else possible

    def _is_possible(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Return whether an action makes sense now, but for the answer that may be being written."""
        match action:
            case "stop":
                return self.turn.is_busy or self.is_answering
            case "answer_now":
                return self.turn.phase is TurnPhase.THINKING
            case "continue_reply":
                return self.session.can_continue and not self.is_answering
            case "make_call":
                return self.session.lacks_call and not self.is_answering
            case "tools":
                return self.tools.can_choose
            case "continue_last":
                return self.chats.can_continue_last
            case "start_servers":
                return self.session.has_outside_tools
            case "models":
                return self.models is not None and not self.is_answering
            case "editor":
                return not self.is_answering and (self.parent is None or not self.app.is_web)
            case "empty_input":
                return self.input.can_empty
            case "select_input":
                return bool(self.input.text)
            case "retry" | "export" | "mark" | "formulas" | "chat_files":
                return bool(self.session.messages)
            case "fold" | "fold_all":
                return any(view.has_thinking for view in self.transcript.transcript_layout.message_views)
            case "version":
                return self.versions.other(int(str(parameters[0]))) is not None
            case "compare":
                return self.comparisons.can_compare and (not parameters or self.marked is not None)
            case "message" if parameters[0] == "files":
                return names_files(self.marked)
            case "message":
                return self.messages.can(str(parameters[0]))
            case "leave":
                return self.messages.can_leave
            case "undo_deletion":
                return self.messages.can_undo_deletion
            case "hit":
                return self.chats.is_among_hits
            case "page_up" | "page_down":
                return not self.sidebar.has_focus_within
            case _:
                return True

    def action_toggle_mode(self) -> None:
        """Switch thinking on or off for the following turns."""
        self.options.set_mode(self.session.mode.other)

    def action_chat_options(self) -> None:
        """Open the options of the chat."""
        self.options.open_dialog()

    def action_stop(self) -> None:
        """Stop the engine; the text that arrived is kept."""
        self.turns.stop()

    async def action_answer_now(self) -> None:
        """End the thinking, so that the answer follows."""
        await self.turns.answer_now()

    def action_retry(self) -> None:
        """Answer the marked message again, or the latest one if none is marked."""
        self.messages.retry()

    def action_continue_reply(self) -> None:
        """Continue the reply that was stopped."""
        self.turns.continue_reply()

    def action_make_call(self) -> None:
        """Have the latest answer call a tool."""
        self.turns.make_call()

    def action_tools(self, part: str = "") -> None:
        """Choose the tools of the chat, or list the MCP servers."""
        self.tools.open_servers() if part == "servers" else self.tools.open_list()

    def action_continue_last(self) -> None:
        """Go on with the chat that was written to last."""
        self.chats.continue_last()

    def action_start_servers(self) -> None:
        """Start the MCP servers of the chat."""
        self.turns.start_servers()

    def action_models(self) -> None:
        """Open the model picker, then switch to the chosen model."""
        if self.models is not None:
            self.models.open_picker()

    def action_version(self, step: int) -> None:
        """Show another version of the marked message, or else of the latest one with several."""
        self.versions.switch(step)

    def action_mark(self, step: int) -> None:
        """Mark the message before or after the marked one."""
        self.transcript.mark_beside(step)

    def action_compare(self, question: str = "") -> None:
        """Have several models answer the marked question, or the latest one."""
        self.comparisons.open()

    def action_message(self, action: str) -> None:
        """Run one of the actions on the marked message."""
        match action:
            case "files":
                self.files.open_list()
            case "fork" if (stored := self.messages.marked) is not None:
                self.chats.fork(stored)
            case _:
                self.messages.act(action)

    def action_chat_files(self) -> None:
        """List the files that tools have written in this chat."""
        self.files.open_list()

    def action_leave(self) -> None:
        """Remove the mark; if there is none, end the editing of a question."""
        self.messages.leave()

    def action_undo_deletion(self) -> None:
        """Restore the message that was deleted last."""
        self.messages.undo_deletion()

    def action_copy_answer(self) -> None:
        """Copy the marked message, or the latest answer if none is marked."""
        self.messages.copy_answer()

    def action_new_chat(self) -> None:
        """Begin a new chat."""
        self.chats.begin_new()

    def action_chats(self) -> None:
        """Open the list of stored chats and go on with the chosen one."""
        self.chats.open_list()

    def action_hit(self, step: int) -> None:
        """Go to the next or the previous message with a search hit."""
        self.chats.go_to_hit(step)

    def action_sidebar(self) -> None:
        """Open and focus the sidebar, or close it while it has the focus."""
        self.chats.open_or_close_sidebar()

    def action_export(self) -> None:
        """Export the chat as Markdown to the folder of exports."""
        self.chats.export()

    def action_empty_input(self) -> None:
        """Empty the input, or bring back what was emptied last."""
        self.input.empty_or_bring_back()
        self.input.focus()

    def action_select_input(self) -> None:
        """Select the whole text of the input."""
        self.input.focus()
        self.input.select_all()

    def action_editor(self) -> None:
        """Edit the text of the input in the user's own editor."""
        edit_in_editor(self, self.input)
