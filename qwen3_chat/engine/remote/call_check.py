"""The check whether a server reads the calls of tools out of its model's replies, by having it make one."""

from __future__ import annotations

import asyncio
from typing import Final

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.remote.remote_engine import RemoteEngine
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES
from qwen3_chat.engine.remote.server_probe import RemoteSettings, ServerState
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.texts import t

CALL_CHECK_LIMIT_S: Final = 20.0
"""The longest time that the check takes; a server that is slower is not judged."""

_MAX_TOKENS: Final = 120
_QUESTION: Final = "What is 6 * 7? Call the calculator."
_TOOL: Final = ToolSpec(
    '{"type": "function", "function": {"name": "calculator", "description": "Compute an expression.", '
    '"parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, '
    '"required": ["expression"]}}}'
)
_REFUSALS: Final = ("tool-call-parser", "auto-tool-choice", "--jinja")
"""Words by which a server tells that it refuses tools for want of an option."""


async def find_missing_parser(settings: RemoteSettings, state: ServerState) -> str:
    """Return a sentence that names the option with which a server would read calls; empty if it reads them.

    It is empty as well where no option is known for the kind of server, where its model makes no call, and
    where the answer takes too long: nothing is said that was not seen.
    """
    features = next((f for f in SERVER_FEATURES.values() if f.label == state.label), None)
    if state.failure or features is None or not features.call_parser:
        return ""
    notices = list[Notice]()

    def note(event: EngineEvent) -> None:
        if isinstance(event, Notice) and event.key == "remote.calls_in_text":
            notices.append(event)

    request = ChatRequest(
        (ChatMessage(Role.USER, _QUESTION, mode_tag=ThinkingMode.NO_THINK),),
        ThinkingMode.NO_THINK,
        SamplingParams(0.0, 1.0, 1),
        seed=1,
        tools=(_TOOL,),
        max_tokens=_MAX_TOKENS,
    )
    engine = RemoteEngine(settings)
    try:
        async with asyncio.timeout(CALL_CHECK_LIMIT_S):
            await engine.generate(request, note)
    except TimeoutError:
        return ""
    except EngineError as error:
        if any(refusal in str(error) for refusal in _REFUSALS):
            return t("remote.calls_refused", server=state.label, option=features.call_parser)
        return ""
    finally:
        await engine.close()
    return t(notices[0].key, **notices[0].values) if notices else ""
