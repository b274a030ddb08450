"""`qwen3-chat web`, from the command line to a page, without a browser."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.cli.web_command import model_arguments
from qwen3_chat.texts import t
from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program
from tests.pty_terminal import READY, app_environment, drawn_text
from tests.web.chromium import wait_for_text

CTRL_Q = "\x11"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script for a browser")
async def test_the_browser_gets_a_private_file_and_the_server_ends_with_the_app(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(
        '#!/bin/sh\nfile="${1#file://}"\n'
        f'(echo "$@"; ls -l "$file"; cat "$file") > {opened}.part\nmv {opened}.part {opened}\n'
    )
    script.chmod(0o755)
    environment = app_environment(tmp_path / "home", BROWSER=f"{script} %s &")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "qwen3_chat", "web", "--demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), WAIT_LIMIT_S)
    link = (await asyncio.wait_for(process.stdout.readline(), WAIT_LIMIT_S)).decode().strip()
    arguments, mode, content = (await wait_for_text(opened)).split("\n", 2)
    file = Path(arguments.removeprefix("file://"))
    assert (link in content, link in arguments, mode[:10]) == (True, False, "-rw-------")

    page, key = link.split("/enter?key=")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        assert (await session.get(link)).status == 200
        assert key not in await (await session.get(f"{page}/")).text()
        assert not await asyncio.to_thread(file.exists)
        origin = "/".join(page.split("/")[:3])
        socket = await session.ws_connect(f"{page}/socket?width=80&height=24", headers={"Origin": origin})
        output, ended = b"", None
        async with asyncio.timeout(WAIT_LIMIT_S):
            while READY not in drawn_text(output):
                frame = await socket.receive()
                output += frame.data if frame.type is aiohttp.WSMsgType.BINARY else b""
            await socket.send_str(json.dumps(["stdin", CTRL_Q]))
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT and json.loads(frame.data)[0] == "ended":
                    ended = json.loads(frame.data)[1]
        assert ended == [t("web.ended"), False]
    _, errors = await asyncio.wait_for(process.communicate(), WAIT_LIMIT_S)
    assert (process.returncode, errors) == (0, b"")


def test_a_mistake_is_told_before_anything_is_served(program: Program) -> None:
    for arguments, part in (
        (("--demo", "--model", "4B"), ""),
        (("--tools", "weather"), "There is no tool weather."),
    ):
        done = program.run("web", "--no-open", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert part in done.stderr
        assert done.stderr.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(program: Program, tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'aiohttp' else found(name, *more)\n"
        "from qwen3_chat.cli import run; sys.exit(run(['web']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=program.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "pip install" in done.stderr) == (2, True)


def test_the_app_gets_every_option_of_its_model() -> None:
    choice = ModelChoice(gguf=Path("a b.gguf"), ctx=4096, threads=2, lora=("one.gguf:0.5", "two.gguf"))
    assert list(model_arguments(choice)) == [
        "--gguf=a b.gguf",
        "--ctx=4096",
        "--threads=2",
        "--lora=one.gguf:0.5",
        "--lora=two.gguf",
    ]
    assert list(model_arguments(ModelChoice())) == []
    assert list(model_arguments(ModelChoice(demo=True))) == ["--demo"]
