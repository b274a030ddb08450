"""`ask --batch` on a server: eight questions at once, and none asked again that has an answer."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

from qwen3_chat.cli.question_worker import SERVER_SLOTS
from qwen3_chat.record_copies import replace
from qwen3_chat.servers import ServerKind
from tests.e2e.conftest import Program
from tests.remote.imitations import ANSWERED, Imitation
from tests.remote.wire_server import Reply, Request, running

N_QUESTIONS = 5 * SERVER_SLOTS


class RoundServer:
    """A server that holds questions until its slots are taken, and then answers them, for some rounds."""

    def __init__(self, rounds: int) -> None:
        self._imitation = Imitation(ServerKind.VLLM)
        self.rounds = rounds
        self.full = asyncio.Event()
        self.asked: Counter[str] = Counter()
        self.most_held = 0
        self._held: list[asyncio.Event] = []

    def __call__(self, request: Request) -> Reply:
        reply = self._imitation(request)
        if request.path != "/v1/chat/completions":
            return reply
        messages = request.json["messages"]
        assert isinstance(messages, list)
        self.asked[str(messages[-1]["content"]).partition(" /")[0]] += 1
        held = asyncio.Event()
        self._held.append(held)
        self.most_held = max(self.most_held, len(self._held))
        if len(self._held) == SERVER_SLOTS:
            self._answer_round()
        return replace(reply, pieces=[held, *reply.pieces])

    def _answer_round(self) -> None:
        if not self.rounds:
            self.full.set()
            return
        self.rounds -= 1
        for held in self._held:
            held.set()
        self._held = []

    def go_on(self, rounds: int) -> None:
        """Forget the questions whose client has left, and answer more rounds."""
        self.rounds, self._held = rounds, []


async def start(program: Program, url: str, folder: Path) -> asyncio.subprocess.Process:
    files = ("--batch", str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl"))
    command = (*program.command, "ask", "--endpoint", url, "--no-think", *files)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, env=program.environment, stderr=pipe)


async def test_eight_are_asked_at_once_and_an_interrupted_batch_asks_no_answered_one_again(
    program: Program, tmp_path: Path
) -> None:
    lines = (json.dumps({"id": number, "prompt": f"Question {number}"}) for number in range(N_QUESTIONS))
    (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    server = RoundServer(rounds=2)
    async with running(server) as wire:
        interrupted = await start(program, wire.url, tmp_path)
        await server.full.wait()
        interrupted.send_signal(signal.SIGINT)
        await interrupted.communicate()
        assert interrupted.returncode == 130
        answered = [
            json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
        ]
        assert len(answered) == 2 * SERVER_SLOTS
        under_way = {f"Question {number}" for number in range(3 * SERVER_SLOTS)} - {
            f"Question {number}" for number in answered
        }
        server.go_on(rounds=3)
        resumed = await start(program, wire.url, tmp_path)
        _, errors = await resumed.communicate()
    assert (resumed.returncode, server.most_held) == (0, SERVER_SLOTS)
    assert errors.decode().splitlines()[-1].startswith(f"Answered: {N_QUESTIONS - 16} · failed: 0")
    assert {question for question, times in server.asked.items() if times == 2} == under_way
    assert server.asked.total() == N_QUESTIONS + SERVER_SLOTS
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert sorted(row["id"] for row in rows) == list(range(N_QUESTIONS))
    assert all(row["answer"].strip() == ANSWERED for row in rows)
