"""The actions of the input: commands, completions, and attachments with their token counts."""

from __future__ import annotations

from asyncio import to_thread
from pathlib import Path

from textual import getters, on, work
from textual.binding import Binding

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.documents.attachments import Attachment, fence_attachment
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.errors import EngineError
from qwen3_chat.models.catalog import sampling_for
from qwen3_chat.request import ChatRequest
from qwen3_chat.texts import t
from qwen3_chat.ui.attachable_files import list_attachable_files
from qwen3_chat.ui.completion import (
    CompletionKind,
    CompletionTrigger,
    PaletteCommand,
    matching_commands,
    matching_files,
)
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen
from qwen3_chat.ui.textual_compat import parse_action
from qwen3_chat.ui.widgets.attachment_bar import AttachmentBar, AttachmentLine, AttachmentTokens
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.completion_list import CompletionList


class InputActions(ConversationScreen):
    """Commands, completions and attachments for the input."""

    attachment_bar = getters.query_one(AttachmentBar)
    completions = getters.query_one(CompletionList)

    _files: list[str] | None = None
    """The files that can be attached, listed again with each `@`."""

    def on_mount(self) -> None:
        """Begin with no attachment counted."""
        self._token_counts: dict[Attachment, AttachmentTokens] = {}

    def show_chat(self) -> None:
        """Show the session's chat, and load the questions of other chats into the input's history."""
        super().show_chat()
        self._load_history()

    @work(group="history", exclusive=True)
    async def _load_history(self) -> None:
        with notify_errors(self):
            self.input.remember_older(await self.store.latest_questions())

    # commands

    @property
    def commands(self) -> list[PaletteCommand]:
        """The palette's actions by their names in `[keys]`, then Qwen3's tags of the thinking modes."""
        tags = [PaletteCommand(mode.value, t(f"ui.tip.tag.{mode}"), mode) for mode in ThinkingMode]
        return [
            *(PaletteCommand(key.id or "", t(key.tooltip)) for key in (*CHAT_KEYS, *APP_KEYS)),
            *tags,
        ]

    @on(ChatInput.CommandEntered)
    async def run_command(self, message: ChatInput.CommandEntered) -> None:
        """Run a command by its name, or notify why it can't run."""
        binding = next((key for key in (*CHAT_KEYS, *APP_KEYS) if key.id == message.name), None)
        if binding is None:
            self.notify(t("ui.command.unknown", name=message.name), severity="warning")
            return
        if not self._is_possible(binding):
            self.notify(t("ui.command.not_now", name=message.name), severity="warning")
            return
        self.input.clear()
        await self.app.run_action(binding.action, self.app if binding in APP_KEYS else self)

    def _is_possible(self, binding: Binding) -> bool:
        _, name, parameters = parse_action(binding.action)
        return bool((self.app if binding in APP_KEYS else self).check_action(name, parameters))

    # completions

    @on(ChatInput.CompletionRequested)
    def complete(self, message: ChatInput.CompletionRequested) -> None:
        """Show the completions of the word at the cursor."""
        match message.trigger:
            case CompletionTrigger(kind=CompletionKind.COMMAND, typed=typed) as trigger:
                matches = matching_commands(typed, self.commands)
                self.completions.show_choices(
                    trigger, [(f"/{command.name}", command.description) for command in matches]
                )
            case CompletionTrigger(kind=CompletionKind.FILE) as trigger:
                if not trigger.typed or self._files is None:
                    self._list_files(trigger)
                else:
                    self._offer_files(trigger)
            case None:
                self.completions.close()

    @work(group="files", exclusive=True)
    async def _list_files(self, trigger: CompletionTrigger) -> None:
        self._files = await to_thread(list_attachable_files, Path.cwd())
        if (current := self.input.completion_trigger) is not None and current.kind is trigger.kind:
            self._offer_files(current)

    def _offer_files(self, trigger: CompletionTrigger) -> None:
        matches = matching_files(trigger.typed, self._files or ())
        self.completions.show_choices(trigger, [(path, "") for path in matches])

    # attachments

    @on(ChatInput.FileChosen)
    @work(group="attach")
    async def attach_file(self, message: ChatInput.FileChosen) -> None:
        """Read a file and attach it, or notify why it can't be attached."""
        with notify_errors(self):
            self.input.attach(await to_thread(read_attachment, Path(message.path)))

    @on(AttachmentLine.Removed)
    def detach(self, message: AttachmentLine.Removed) -> None:
        """Remove an attachment."""
        self.input.detach(message.attachment)
        self.input.focus()

    @on(ChatInput.AttachmentsChanged)
    def show_attachments(self) -> None:
        """Show the attachments, and count the tokens of new ones."""
        attached = self.input.attachments
        self._token_counts = {key: count for key, count in self._token_counts.items() if key in attached}
        self._show_token_counts()
        self._count_tokens()

    def _show_token_counts(self) -> None:
        model = self.session.engine.model
        self.attachment_bar.show(self.input.attachments, self._token_counts, model.n_ctx if model else 0)

    def tick(self) -> None:
        """Count the tokens of what was attached before a model was ready."""
        super().tick()
        if any(attachment not in self._token_counts for attachment in self.input.attachments):
            self._count_tokens()

    @work(group="count", exclusive=True)
    async def _count_tokens(self) -> None:
        engine = self.session.engine
        for attachment in self.input.attachments:
            if engine.model is None or attachment in self._token_counts:
                continue
            try:
                counts = await engine.count_tokens(_request(fence_attachment(attachment)))
            except EngineError:
                return  # the turn itself reports what is wrong
            self._token_counts[attachment] = AttachmentTokens(counts.per_message[0], counts.exact)
            self._show_token_counts()


def _request(text: str) -> ChatRequest:
    """Return a request with one message, of which only the tokens are counted."""
    mode = ThinkingMode.NO_THINK
    return ChatRequest((ChatMessage(Role.USER, text),), mode, sampling_for(mode, is_demo=False), seed=0)
