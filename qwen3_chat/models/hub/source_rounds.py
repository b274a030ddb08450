"""Questions to several sources, asked again after failures that pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.blocking_calls import OutcomeT
from qwen3_chat.models.hub.download_errors import SourceFailedError, SourceRefusedError
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.sources import Hub
from qwen3_chat.texts.formatting import join_sentences

_PASSING_CODES = (
    ErrorCode.SOURCE_RATE_LIMITED,
    ErrorCode.SOURCE_RATE_LIMITED_FOR_TIME,
    ErrorCode.SOURCE_FAILED,
    ErrorCode.SOURCE_LINK_REFUSED,
    ErrorCode.SOURCE_DISCONNECTED,
)
"""The failures after which a source answers soon; one that can't be reached has taken its time already."""


class RoundFailedError(Exception):
    """A round in which no source answered, with the failure of each."""

    def __init__(self, failures: Mapping[Hub, HubError]) -> None:
        super().__init__()
        self.failures = failures


async def ask_in_rounds(
    ask: Callable[[Sequence[Hub]], Awaitable[OutcomeT]],
    hubs: Sequence[Hub],
    name: str,
    retry_policy: RetryPolicy,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> OutcomeT:
    """Ask the sources for `name`; those whose failure passes are asked again, as late as they wish.

    `ask` raises RoundFailedError where none answers.

    Raises:
        HubError: no source answered.
    """
    failures: dict[Hub, HubError] = {}
    for attempt in range(1, retry_policy.max_listing_attempts + 1):
        try:
            return await ask(hubs)
        except RoundFailedError as error:
            failures |= error.failures
            waits_s = {
                hub: max(failure.wait_s or 0, retry_policy.wait_s(attempt - 1))
                for hub, failure in error.failures.items()
                if isinstance(failure, SourceFailedError) and failure.code in _PASSING_CODES
            }
        hubs = [hub for hub, wait_s in waits_s.items() if wait_s <= retry_policy.max_wait_s]
        if not hubs or attempt == retry_policy.max_listing_attempts:
            break
        await sleep(max(waits_s[hub] for hub in hubs))
    raise no_source_error(name, list(failures.values()))


def no_source_error(name: str, failures: Sequence[HubError]) -> HubError:
    """Return the error for what no source delivers; it is a refusal where another attempt won't help."""
    if not failures:
        return HubError(ErrorCode.HUB_OFFLINE)
    if len(failures) == 1:
        return failures[0]
    reasons = join_sentences(failures)
    if all(isinstance(failure, SourceRefusedError) for failure in failures):
        return SourceRefusedError(ErrorCode.DOWNLOAD_FAILED, name=name, reasons=reasons)
    return HubError(ErrorCode.DOWNLOAD_FAILED, name=name, reasons=reasons)
