"""The retry policy of requests and downloads: timeouts, waits, attempts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The timeouts and waits; `max_attempts` counts rounds over all sources in which no byte arrived.

    `report_interval_s` is the shortest time between two reports of bytes that arrived over one connection.
    A download waits `max_server_wait_s` where a source asks for it: Hugging Face counts requests in windows
    of five minutes. A listing waits `max_wait_s`. A source crawls that delivers less than `crawl_bytes_per_s`
    for `crawl_window_s`.

    More connections to a source are tried for `connection_trial_s` where the rest takes `min_trial_left_s` or
    longer, and kept where they are `min_connection_gain` times as fast.
    """

    report_interval_s: float = 0.05
    connect_timeout_s: float = 10
    stall_timeout_s: float = 30
    listing_timeout_s: float = 20
    next_source_after_s: float = 3
    max_attempts: int = 6
    max_listing_attempts: int = 3
    first_wait_s: float = 0.5
    max_wait_s: float = 60
    max_server_wait_s: float = 900
    lock_poll_interval_s: float = 0.5
    crawl_bytes_per_s: float = 64 << 10
    crawl_window_s: float = 20
    max_connections: int = 8
    connection_trial_s: float = 4
    min_connection_gain: float = 1.2
    min_trial_left_s: float = 20

    def wait_s(self, attempt: int) -> float:
        """Return the pause after a fruitless round, twice as long each time."""
        return min(self.first_wait_s * 2.0**attempt, self.max_wait_s)


DEFAULT_RETRY_POLICY = RetryPolicy()
