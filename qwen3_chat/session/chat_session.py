"""The session of one chat with an engine: its branch of messages, the turn in progress."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Lock
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, Timings, ToolCall, Usage
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.engine import Engine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError, StoreError
from qwen3_chat.events import EngineEvent, EngineFailed, Notice, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.session.chat_configuration import ChatConfiguration
from qwen3_chat.session.context_fitter import ContextFitter
from qwen3_chat.session.repetition import RepetitionDetector
from qwen3_chat.session.reply_draft import ReplyDraft
from qwen3_chat.session.sent_messages import sent_messages, with_sampled_ids
from qwen3_chat.session.thinking_mode import decide_model_mode, fixed_mode
from qwen3_chat.session.turn_events import (
    QuestionWaits,
    ReplyNotStored,
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEventSink,
    StepFinished,
    ThinkingRepeats,
    ToolCallFinished,
    ToolCallStarted,
    UserStored,
)
from qwen3_chat.session.turn_options import TurnOptions
from qwen3_chat.session.uninterrupted import Result, finish_even_if_cancelled
from qwen3_chat.session.unstored_replies import UnstoredReplies
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import NO_CHAT_OPTIONS, CallRecord, ChatOptions, MessageMeta, StoredMessage
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.tool import ToolRegistry
from qwen3_chat.tools.tool_runner import CallOutcome, ToolRunner, cut_for_context, not_finished, out_of_steps
from qwen3_chat.tools.tool_source import SOURCE_PREFIX

_CONTINUABLE = (StopReason.CANCELLED, StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL, StopReason.ERROR)
"""The reasons that end a reply before its own end, so that it can be continued."""

STORE_ATTEMPTS = 10
"""The number of attempts to store a question while another program holds the database."""
STORE_PAUSE_S = 1.0
"""The time between two attempts; each waits for the lock itself, for some seconds."""


class ChatSession(ChatConfiguration):
    """The session of one chat: its engine, its branch of messages, the turn that runs.

    The chat is stored with its first message.
    """

    def __init__(
        self,
        engine: Engine,
        store: ChatStore,
        draw_seed: Callable[[], int],
        clock: Callable[[], float],
        system: str = "",
        options: TurnOptions | None = None,
        toolbox: Toolbox | None = None,
        chat_options: ChatOptions = NO_CHAT_OPTIONS,
    ) -> None:
        """Make a session; new chats begin with `system` and `chat_options`."""
        super().__init__(store, system, chat_options)
        self.engine = engine
        self.options = options or TurnOptions()
        self.messages: tuple[StoredMessage, ...] = ()
        self.unstored = UnstoredReplies(store)
        self.tool_runner = ToolRunner()
        self._toolbox = toolbox or Toolbox()
        self._draw_seed = draw_seed
        self._clock = clock
        self._load_s = 0.0

    @property
    def history(self) -> tuple[ChatMessage, ...]:
        """The messages that the model knows so far, the system prompt first."""
        return self.system_messages + tuple(stored.message for stored in self.messages)

    @property
    def system_messages(self) -> tuple[ChatMessage, ...]:
        """The system prompt as a message; empty where there is none."""
        return (ChatMessage(Role.SYSTEM, self.system),) if self.system else ()

    @property
    def mode(self) -> ThinkingMode:
        """The mode of the next turn unless a tag is typed."""
        return decide_model_mode(self.engine.model, "", self.mode_override, self.history).mode

    def sampling_preset(self, mode: ThinkingMode) -> SamplingParams:
        """Return the sampling parameters of a mode before any option changes them."""
        from qwen3_chat.models.catalog import DEMO_SAMPLING, preset_for

        model = self.engine.model
        if model is None:
            return preset_for("", "").sampling(mode)
        return (
            DEMO_SAMPLING[mode]
            if model.is_demo
            else preset_for(model.architecture, model.name).sampling(mode)
        )

    def start_new(self) -> None:
        """Leave the chat; the next message starts a new one."""
        self.engine.leave_chat()
        self.messages = ()
        self._reset_configuration()

    async def resume(self, chat_id: int) -> None:
        """Resume a stored chat.

        Raises:
            StoreError: there is no such chat.
        """
        async with self._chat_lock:
            chat = await self._store.chat(chat_id)
            messages = await self._store.branch(chat_id)
            self.engine.leave_chat()
            self.chat, self.mode_override = chat, chat.mode_override
            self.messages = self.unstored.laid_over(messages)

    # A session's fields are written here alone; tests/project/test_session_fields.py sees to that.

    def set_options(self, options: TurnOptions) -> None:
        """Set the generation options for the turns to come; those of the chat take precedence."""
        self.options = options

    def set_tool_runner(self, runner: ToolRunner) -> None:
        """Have the calls of the turns to come decided about and run by another runner."""
        self.tool_runner = runner

    @property
    def tools(self) -> ToolRegistry:
        """The tools that this chat offers to the model."""
        return self._toolbox.registry(self.tool_names, self.chat_id)

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools and servers that this chat offers, whether there are such tools or not."""
        return self.options.overridden_by(self.chat_options).tools or ()

    @property
    def has_outside_tools(self) -> bool:
        """True if this chat has tools of servers."""
        return any(name.startswith(SOURCE_PREFIX) for name in self.tool_names)

    async def warm_up_tools(self) -> None:
        """Begin what the chat's tools will need; no server is started for it."""
        await self._toolbox.warm_up(self.tool_names)

    async def prepare_tools(self, on_event: SessionEventSink) -> None:
        """Make the chat's tools ready: start their servers, as far as the user allows them."""
        with _reported_stop(on_event, ErrorCode.TURN_CANCELLED):
            await self._toolbox.prepare(self.tool_names, on_event)

    def beside(self, engine: Engine) -> ChatSession:
        """Return a session with another engine in the same chat, at the same branch, without tools."""
        options = replace(self.options, tools=(), context_policy=ContextPolicy.DROP)
        other = ChatSession(engine, self._store, self._draw_seed, self._clock, self.system, options)
        other._adopt(self)
        return other

    def _adopt(self, source: ChatSession) -> None:
        """Go on where another session of the same chat is."""
        self.chat, self.messages = source.chat, source.messages

    def show_branch(self, messages: tuple[StoredMessage, ...]) -> None:
        """Go on from another branch of the chat, or from an earlier message of this one."""
        self.messages = self.unstored.laid_over(messages)

    async def store_unstored(self) -> tuple[StoredMessage, ...]:
        """Try again to store the replies that could not be stored; return those that are stored now."""
        done = await self.unstored.store()
        stored_by_id = {stored.id: stored for stored in done}
        self.messages = tuple(stored_by_id.get(stored.id, stored) for stored in self.messages)
        return done

    async def store_persistently(
        self, attempts: int = STORE_ATTEMPTS, pause_s: float = STORE_PAUSE_S
    ) -> StoreError | None:
        """Try to store the rest a number of times, before the user leaves; return why it failed, or None."""
        for attempt in range(attempts):
            await asyncio.sleep(pause_s if attempt else 0)
            await self.store_unstored()
            if not self.unstored:
                return None
        return self.unstored.error

    async def replace_engine(self, engine: Engine) -> None:
        """Use another engine, once the one in use has freed its memory; no turn may run."""
        await self.engine.close()
        self.engine = engine

    async def show_version(self, message_id: int) -> None:
        """Switch to another version of a message, at the end of its newest branch."""
        assert self.chat is not None
        head_id = await self._store.newest_leaf(self.chat.id, message_id)
        await self._store.set_head(self.chat.id, head_id)
        self.show_branch(await self._store.branch(self.chat.id, head_id))

    async def send(self, text: str, on_event: SessionEventSink) -> None:
        """Store the user's message, then generate the reply.

        A turn ends early if its task is cancelled; what arrived until then is stored. While another program
        holds the database, storing the message is tried again.
        """

        async def store_question() -> ThinkingMode:
            await self._complete_calls(on_event)
            decision = decide_model_mode(self.engine.model, text, self.mode_override, self.history)
            await self._store_chat(decision.mode_override)
            message = ChatMessage(Role.USER, text, mode_tag=decision.tag_to_append)
            stored = await self._add(message, MessageMeta())
            await self.reread_chat()
            on_event(UserStored(stored))
            return decision.mode

        with _reported_stop(on_event, ErrorCode.TURN_CANCELLED):
            await self.store_unstored()
            mode = await self._when_free(store_question, on_event)
        if await self.prepare(on_event):
            await self._answer(mode, on_event)

    async def _when_free(
        self, work: Callable[[], Coroutine[None, None, Result]], on_event: SessionEventSink
    ) -> Result:
        """Do a work on the store, again while another program holds it; between attempts, a stop ends it."""
        for _ in range(STORE_ATTEMPTS - 1):
            try:
                return await finish_even_if_cancelled(work())
            except StoreError as error:
                if error.code is not ErrorCode.CHAT_DATABASE_BUSY:
                    raise
                on_event(QuestionWaits.from_error(error))
                await asyncio.sleep(STORE_PAUSE_S)
        return await finish_even_if_cancelled(work())

    async def prepare(self, on_event: SessionEventSink) -> bool:
        """Load the model unless it is loaded; return False if that failed, with `EngineFailed` as last event.

        The timings of the next reply include the time it took.
        """
        start_s = self._clock()

        def on_load_event(event: EngineEvent) -> None:
            self._load_s = self._clock() - start_s
            on_event(event)

        try:
            with _reported_stop(on_event, ErrorCode.LOAD_CANCELLED):
                await self.engine.load(on_load_event)
                await self.warm_up_tools()
        except EngineError as error:
            on_event(EngineFailed.from_error(error))
            return False
        return True

    async def regenerate(
        self,
        on_event: SessionEventSink,
        message_id: int | None = None,
        policy: ContextPolicy | None = None,
        mode: ThinkingMode | None = None,
        *,
        must_call: bool = False,
    ) -> None:
        """Answer a user message again, the latest one up to the given message; earlier answers stay versions.

        If the mode (argument `mode`, else the chat's override) needs another tag than the stored message
        carries, a copy with the new tag is stored as another version of it.
        """
        question_index = self._question_index(message_id)
        if question_index is None or not await self.prepare(on_event):
            return
        question = self.messages[question_index]
        before = self.messages[:question_index]
        history = self.system_messages + tuple(stored.message for stored in before)
        decision = decide_model_mode(
            self.engine.model, question.message.content, mode or self.mode_override, history
        )

        async def rewind() -> None:
            whole, self.messages = self.messages, (*before, question)
            if decision.tag_to_append is not question.message.mode_tag:
                self.messages = before
                copy = replace(question.message, mode_tag=decision.tag_to_append)
                try:
                    await self._add(copy, question.meta)
                except StoreError:
                    self.messages = whole
                    raise
            on_event(Rewound(self.messages))

        with _reported_stop(on_event, ErrorCode.TURN_CANCELLED):
            await self.store_unstored()
            await finish_even_if_cancelled(rewind())
        await self._answer(decision.mode, on_event, policy=policy, must_call=must_call)

    @property
    def can_continue(self) -> bool:
        """True if the latest message is a stopped reply that the engine can continue."""
        reason = self.messages[-1].stop_reason if self.messages else None
        return reason in _CONTINUABLE and self.engine.capabilities.continues_prefix

    async def continue_reply(self, on_event: SessionEventSink, policy: ContextPolicy | None = None) -> None:
        """Continue the latest reply from where it was stopped; do nothing if it was not stopped."""
        if self.can_continue and await self.prepare(on_event):
            stopped = self.messages[-1]
            await self._answer(stopped.meta.mode or self.mode, on_event, stopped, policy)

    @property
    def lacks_call(self) -> bool:
        """True if the chat has tools, and its latest message is a reply that calls none."""
        latest = self.messages[-1].message if self.messages else None
        return (
            bool(self.tool_names)
            and latest is not None
            and latest.role is Role.ASSISTANT
            and not latest.tool_calls
        )

    async def make_call(self, on_event: SessionEventSink, policy: ContextPolicy | None = None) -> None:
        """Have the latest reply go on with the call that it lacks, or be answered again with one.

        Do nothing if it lacks none, or if the engine can't be made to call a tool.
        """
        if not (self.lacks_call and self.engine.capabilities.requires_calls):
            return
        if not self.engine.capabilities.continues_with_call:
            await self.regenerate(on_event, policy=policy, must_call=True)
        elif await self.prepare(on_event):
            latest = self.messages[-1]
            await self._answer(latest.meta.mode or self.mode, on_event, latest, policy, must_call=True)

    def _question_index(self, message_id: int | None) -> int | None:
        """Return the index of the latest user message up to that message of the branch; None without one."""
        ids = [stored.id for stored in self.messages]
        end = ids.index(message_id) + 1 if message_id in ids else len(ids)
        questions = [i for i, m in enumerate(self.messages[:end]) if m.message.role is Role.USER]
        return questions[-1] if questions else None

    async def _add(self, message: ChatMessage, meta: MessageMeta) -> StoredMessage:
        assert self.chat is not None
        parent = self.messages[-1].id if self.messages else None
        stored = await self._store.add_message(self.chat.id, parent, message, meta)
        self.messages += (stored,)
        return stored

    async def _answer(
        self,
        mode: ThinkingMode,
        on_event: SessionEventSink,
        continued: StoredMessage | None = None,
        policy: ContextPolicy | None = None,
        *,
        must_call: bool = False,
    ) -> None:
        """Generate a reply, run its calls, and so on until a reply has none or the steps are used up.

        With `must_call`, the first reply has to call a tool.
        """
        await self.prepare_tools(on_event)
        for step in range(1, self.options.max_steps + 1):
            await self._reply(mode, on_event, continued, policy, must_call=must_call)
            continued, must_call = None, False
            calls = self._calls_to_run()
            if not calls:
                return
            is_last = step == self.options.max_steps
            await self._run_calls(calls, on_event, is_last=is_last)
            on_event(StepFinished(step))
            if is_last:
                on_event(Notice("session.step_limit", {"count": step}))

    def _calls_to_run(self) -> tuple[ToolCall, ...]:
        """Return the calls of the latest message, if it is a reply that came to its end."""
        latest = self.messages[-1] if self.messages else None
        if latest is None or not self.tools or latest.stop_reason is not StopReason.TOOL_CALLS:
            return ()
        return latest.message.tool_calls

    async def _run_calls(
        self, calls: tuple[ToolCall, ...], on_event: SessionEventSink, *, is_last: bool
    ) -> None:
        """Run calls and store their results in order, also those of calls that were stopped.

        A result is stored and shown as soon as those before it are.
        """
        outcomes, n_stored, storing = dict[int, CallOutcome](), 0, Lock()

        async def store_ready() -> None:
            nonlocal n_stored
            async with storing:
                while (outcome := outcomes.get(n_stored)) is not None:
                    await self._store_results([outcome], on_event, n_stored)
                    n_stored += 1

        async def keep(index: int, outcome: CallOutcome) -> None:
            outcomes[index] = outcome
            await finish_even_if_cancelled(store_ready())

        try:
            if is_last:
                outcomes |= {index: out_of_steps(call) for index, call in enumerate(calls)}
            else:
                await self.tool_runner.run(
                    calls,
                    self.tools,
                    lambda call: on_event(ToolCallStarted(call)),
                    keep,
                    self.chat_id,
                    lambda error: on_event(Notice(error.code.text_key, error.plain_values)),
                    on_event,
                )
        finally:
            for index, call in enumerate(calls):
                outcomes.setdefault(index, not_finished(call))
            await finish_even_if_cancelled(store_ready())

    async def _store_results(
        self, outcomes: Sequence[CallOutcome], on_event: SessionEventSink, first: int = 0
    ) -> None:
        assert self.chat is not None
        model = self.engine.model
        for index, whole in enumerate(outcomes, first):
            outcome = cut_for_context(whole, model.n_ctx) if model is not None else whole
            tool = self.tools.get(outcome.call.name)
            record = _call_record(index, outcome, tool.name if tool else outcome.call.name)
            if outcome.whole_text:
                record = replace(
                    record, whole=await self._store.save_result(self.chat.id, outcome.whole_text)
                )
            stored = await self._add(ChatMessage(Role.TOOL, outcome.text), MessageMeta(call=record))
            on_event(ToolCallFinished(stored))

    async def _complete_calls(self, on_event: SessionEventSink) -> None:
        """Store results for calls that have none because the app ended, so that each call has one."""
        for results, stored in enumerate(reversed(self.messages)):
            if stored.message.role is not Role.TOOL:
                left = stored.message.tool_calls[results:]
                await self._store_results([not_finished(call) for call in left], on_event, results)
                return

    async def _reply(
        self,
        mode: ThinkingMode,
        on_event: SessionEventSink,
        continued: StoredMessage | None = None,
        policy: ContextPolicy | None = None,
        *,
        must_call: bool = False,
    ) -> None:
        """Fit the chat into the context, then generate a reply or the rest of `continued`, and store it."""
        load_s, self._load_s = self._load_s, 0.0
        mode = fixed_mode(self.engine.model) or mode  # known only now where the model had yet to be loaded
        branch = self.messages[:-1] if continued else self.messages
        full_request = replace(self._request(mode, branch, continued), must_call=must_call)
        fitter = ContextFitter(self.engine, full_request, branch, policy or self.options.context_policy)
        try:
            request = await fitter.fit(on_event)
        except EngineError as error:
            on_event(EngineFailed.from_error(error))
            return
        except CancelledError:
            code = ErrorCode.SUMMARY_CANCELLED if fitter.is_summarising else ErrorCode.TURN_CANCELLED
            on_event(EngineFailed.from_error(Cancelled(code)))
            raise
        if request is not None:
            await self._generate(request, fitter.reply_meta(request), on_event, continued, load_s)

    async def _generate(
        self,
        request: ChatRequest,
        meta: MessageMeta,
        on_event: SessionEventSink,
        continued: StoredMessage | None,
        load_s: float,
    ) -> None:
        """Generate a reply and store what arrived, however it ends."""
        draft: ReplyDraft | None = None
        repetition = RepetitionDetector()

        async def begin() -> ReplyDraft:
            nonlocal draft
            if continued is None:
                message = await self._add(ChatMessage(Role.ASSISTANT, ""), meta)
            else:
                await self.store_unstored()  # an end that is stored later would end the continued reply
                if continued.id in self.unstored.ids and (error := self.unstored.error):
                    raise error
                await self._store.reopen_message(continued.id)
                message = replace(continued, meta=meta)
            draft = ReplyDraft(self._store, message, continued, self.tools.names)
            on_event(ReplyStarted(message, request.mode, continues=continued is not None))
            return draft

        def on_reply_event(event: EngineEvent) -> None:
            assert draft is not None
            if isinstance(event, TurnFinished):
                event = msgspec.structs.replace(event, timings=replace(event.timings, load_s=load_s))
            draft.feed(event)
            on_event(event)
            if repetition.feed(event):
                on_event(ThinkingRepeats())

        try:
            begun = await finish_even_if_cancelled(begin())
            try:
                await self.engine.generate(request, on_reply_event)
            except EngineError as error:
                on_reply_event(EngineFailed.from_error(error))
            except CancelledError:
                if not begun.has_ended:
                    on_reply_event(
                        TurnFinished(StopReason.CANCELLED, request.mode, Usage(), Timings(), request.seed)
                    )
                raise
        finally:
            if draft is not None:
                await finish_even_if_cancelled(self._finish(draft, on_event))

    async def _finish(self, draft: ReplyDraft, on_event: SessionEventSink) -> None:
        reply = draft.outcome()
        self.messages = (*self.messages[:-1], reply)
        try:
            stored = await draft.finish()
        except StoreError as error:
            self.unstored.keep(reply, error)
            on_event(ReplyNotStored.from_error(error, reply))
            return
        self.unstored.forget(stored.id)
        self.messages = (*self.messages[:-1], stored)
        on_event(ReplyStored(stored))

    def _request(
        self, mode: ThinkingMode, branch: tuple[StoredMessage, ...], continued: StoredMessage | None
    ) -> ChatRequest:
        model = self.engine.model
        options = self.options.overridden_by(self.chat_options)
        return ChatRequest(
            messages=self.system_messages + sent_messages(branch, model),
            mode=mode,
            sampling=options.sampling_from(self.sampling_preset(mode)),
            seed=self._draw_seed() if options.seed is None else options.seed,
            tools=self.tools.specs,
            max_tokens=options.max_tokens,
            thinking_budget=options.thinking_budget,
            prefix=with_sampled_ids(continued, model) if continued else None,
            chat_id=self.chat_id,
            answer_schema=options.answer_schema,
        )


@contextmanager
def _reported_stop(on_event: SessionEventSink, code: ErrorCode) -> Iterator[None]:
    """Push the event that a turn ended before its reply began, if it is stopped in this context."""
    try:
        yield
    except CancelledError:
        on_event(EngineFailed.from_error(Cancelled(code)))
        raise


def _call_record(index: int, outcome: CallOutcome, name: str) -> CallRecord:
    call = outcome.call
    return CallRecord(
        index,
        name,
        call.arguments,
        outcome.decision.value,
        outcome.is_error,
        call.is_repaired,
        outcome.elapsed_s,
    )
