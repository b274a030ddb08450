"""The services of the input: commands and files by name, attachments with their tokens."""

from __future__ import annotations

from asyncio import to_thread
from pathlib import Path

from textual import getters, on, work
from textual.actions import parse
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
from qwen3_chat.ui.widgets.attachment_bar import AttachmentBar, AttachmentLine, AttachmentTokens
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.completion_list import CompletionList


class InputActions(ConversationScreen):
    """Answers what the input asks for."""

    attachment_bar = getters.query_one(AttachmentBar)
    completions = getters.query_one(CompletionList)

    _files: list[str] | None = None
    """The files that can be attached, listed anew with each `@`."""

    def on_mount(self) -> None:
        """Begin without counted attachments."""
        self._token_counts: dict[Attachment, AttachmentTokens] = {}

    def show_chat(self) -> None:
        """Have the history go on to the other chats behind what was asked in this one."""
        super().show_chat()
        self._load_history()

    @work(group="recall", exclusive=True)
    async def _load_history(self) -> None:
        with notify_errors(self):
            self.input.remember_older(await self.store.latest_questions())

    # commands

    @property
    def commands(self) -> list[PaletteCommand]:
        """The palette's actions by the names that `[keys]` has for them, and the tags of Qwen3."""
        tags = [PaletteCommand(mode.value, t(f"ui.tip.tag.{mode}"), mode) for mode in ThinkingMode]
        return [*(PaletteCommand(one.id or "", t(one.tooltip)) for one in (*CHAT_KEYS, *APP_KEYS)), *tags]

    @on(ChatInput.CommandEntered)
    async def run_command(self, message: ChatInput.CommandEntered) -> None:
        """Do what was asked for by name, or say why not."""
        binding = next((one for one in (*CHAT_KEYS, *APP_KEYS) if one.id == message.name), None)
        if binding is None:
            self.notify(t("ui.command.unknown", name=message.name), severity="warning")
            return
        if not self._is_possible(binding):
            self.notify(t("ui.command.not_now", name=message.name), severity="warning")
            return
        self.input.clear()
        await self.app.run_action(binding.action, self.app if binding in APP_KEYS else self)

    def _is_possible(self, binding: Binding) -> bool:
        _, name, parameters = parse(binding.action)
        return bool((self.app if binding in APP_KEYS else self).check_action(name, parameters))

    # completions

    @on(ChatInput.CompletionRequested)
    def complete(self, message: ChatInput.CompletionRequested) -> None:
        """Offer what completes the word at the cursor."""
        match message.trigger:
            case CompletionTrigger(kind=CompletionKind.COMMAND, typed=typed) as trigger:
                found = matching_commands(typed, self.commands)
                self.completions.offer(
                    trigger, [(f"/{command.name}", command.description) for command in found]
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
        if (wanted := self.input.completion_trigger) is not None and wanted.kind is trigger.kind:
            self._offer_files(wanted)

    def _offer_files(self, trigger: CompletionTrigger) -> None:
        found = matching_files(trigger.typed, self._files or ())
        self.completions.offer(trigger, [(path, "") for path in found])

    # attachments

    @on(ChatInput.FileChosen)
    @work(group="attach")
    async def attach_file(self, message: ChatInput.FileChosen) -> None:
        """Read a file and attach it, or say why it can't be."""
        with notify_errors(self):
            self.input.attach(await to_thread(read_attachment, Path(message.path)))

    @on(AttachmentLine.Removed)
    def detach(self, message: AttachmentLine.Removed) -> None:
        """Take an attachment away."""
        self.input.detach(message.attachment)
        self.input.focus()

    @on(ChatInput.AttachmentsChanged)
    def show_attachments(self) -> None:
        """Show what is attached; count what was not counted."""
        attached = self.input.attachments
        self._token_counts = {one: count for one, count in self._token_counts.items() if one in attached}
        self._show_token_counts()
        self._count_tokens()

    def _show_token_counts(self) -> None:
        model = self.session.engine.model
        self.attachment_bar.show(self.input.attachments, self._token_counts, model.n_ctx if model else 0)

    def tick(self) -> None:
        """Count what was attached before a model was there to count."""
        super().tick()
        if any(one not in self._token_counts for one in self.input.attachments):
            self._count_tokens()

    @work(group="count", exclusive=True)
    async def _count_tokens(self) -> None:
        engine = self.session.engine
        for attachment in self.input.attachments:
            if engine.model is None or attachment in self._token_counts:
                continue
            try:
                measure = await engine.count_tokens(_request(fence_attachment(attachment)))
            except EngineError:
                return  # the turn itself tells what is wrong
            self._token_counts[attachment] = AttachmentTokens(measure.per_message[0], measure.exact)
            self._show_token_counts()


def _request(text: str) -> ChatRequest:
    mode = ThinkingMode.NO_THINK
    return ChatRequest((ChatMessage(Role.USER, text),), mode, sampling_for(mode, is_demo=False), seed=0)
