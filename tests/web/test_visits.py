"""The memory of the server and of the real app, visit after visit."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.web.test_in_chromium import serving
from tests.web.test_server import Browser

pytestmark = pytest.mark.full

N_VISITS, N_FIRST_VISITS = 50, 10
MAX_GROWTH_BYTES = 8 * 1024**2
QUESTION = "What is 12 + 30?"


async def test_50_visits_take_no_more_memory_than_the_first_ones(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (process, link),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        browser = Browser(session, link)
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"sk anything")  # the cursor is on the first letter
        await page.type(QUESTION)
        await page.until_shown(QUESTION.encode())
        await page.type("\r")
        await page.until_shown(b"tok/s")
        await page.socket.close()
        server = psutil.Process(process.pid)
        (app,) = server.children()
        sizes: list[tuple[int, int]] = []
        for _ in range(N_VISITS):
            for name in ("", "files/page.js", "files/textual.js", "files/mono.ttf"):
                assert (await browser.get(name))[0] == 200
            page = await browser.page()
            await page.until_shown(QUESTION.encode())
            await page.socket.close()
            sizes.append((server.memory_info().rss, app.memory_info().rss))
        assert len(server.children()) == 1
        print([[round(size / 1024**2, 1) for size in pair] for pair in (sizes[0], sizes[9], sizes[-1])])
        for before, after in zip(sizes[N_FIRST_VISITS - 1], sizes[-1], strict=True):
            assert after < before + MAX_GROWTH_BYTES
