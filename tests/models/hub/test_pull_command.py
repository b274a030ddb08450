from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen3_chat.cli.pull_command import ANY_SOURCE, pull_model
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.fit.offers import offered_quants
from tests.conftest import WAIT_LIMIT_S
from tests.models.hub.conftest import NAME, PAYLOAD, REPOSITORY
from tests.models.hub.fake_hub import Cut, FakeHub, FlippedBit, Stall, Status, sha256
from tests.models.hub.pull_program import PullProgram, wait_for_end
from tests.models.hub.split_gguf import split

DEMO = "demo/Qwen3-0.6B-GGUF"


@pytest.fixture
def fake(demo_gguf: Path) -> Iterator[FakeHub]:
    repositories = {REPOSITORY: {NAME: PAYLOAD}, DEMO: {"Qwen3-0.6B-Q8_0.gguf": demo_gguf.read_bytes()}}
    with FakeHub(repositories) as hub:
        yield hub


@pytest.fixture
def command(fake: FakeHub, tmp_path: Path) -> PullProgram:
    return PullProgram(tmp_path, fake, fake)


def test_a_pulled_model_can_be_asked(command: PullProgram) -> None:
    pulled = command.run("pull", f"{DEMO}:Q8_0")
    assert (pulled.status, "qwen3-chat --model 0.6B:Q8_0" in pulled.stdout) == (0, True)
    assert "127.0.0.1" in pulled.stderr
    answer = command.run("ask", "--model", "0.6B:Q8_0", "--seed", "1", "--max-tokens", "8", "1 + 1?")
    assert answer.status == 0


@pytest.mark.parametrize(
    "source",
    ["auto", pytest.param("hf", marks=pytest.mark.full), pytest.param("modelscope", marks=pytest.mark.full)],
)
def test_json_tells_the_progress_line_by_line(command: PullProgram, source: str) -> None:
    outcome = command.run("pull", f"{REPOSITORY}:{NAME}", "--source", source, "--json")
    assert outcome.status == 0
    *progress, last = outcome.lines
    assert {line["type"] for line in progress} == {"source_asked", "download_progressed"}
    assert progress[-1]["done_bytes"] == progress[-1]["total_bytes"] == len(PAYLOAD)
    assert last == {
        "type": "model_pulled",
        "model": "0.6B",
        "quant": "Q8_0",
        "path": str(command.models / REPOSITORY / NAME),
        "size_bytes": len(PAYLOAD),
    }


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["9B"], 2, "There is no Qwen3 model"),
        pytest.param([f"{REPOSITORY}:Q2_K"], 2, "it has Q8_0", marks=pytest.mark.full),
        pytest.param(["8B", "--source", "ftp"], 2, "There is no source", marks=pytest.mark.full),
        (["no/such:Q8_0"], 1, "there is no repository no/such"),
    ],
)
def test_a_pull_that_cannot_be_says_so_in_one_sentence(
    command: PullProgram, arguments: list[str], status: int, said: str
) -> None:
    outcome = command.run("pull", *arguments)
    assert (outcome.status, outcome.stdout) == (status, "")
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_a_file_that_is_there_needs_no_download(
    demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "models" / "Qwen3-8B-Q4_K_M.gguf"
    file.parent.mkdir()
    file.write_bytes(demo_gguf.read_bytes())
    for name in (str(file), "~/models/Qwen3-8B-Q4_K_M.gguf"):
        with pytest.raises(UsageError, match=r"--gguf .*Qwen3-8B-Q4_K_M\.gguf") as raised:
            pull_model(name, ANY_SOURCE, as_json=False)
        assert raised.value.code is ErrorCode.DOWNLOAD_NAMES_FILE


def test_a_failure_is_the_last_json_line(command: PullProgram, fake: FakeHub) -> None:
    fake.faults.append(Status(401, {"X-Error-Code": "GatedRepo"}))
    outcome = command.run("pull", f"{REPOSITORY}:{NAME}", "--source", "hf", "--json")
    assert outcome.status == 1
    assert outcome.lines[-1]["type"] == "pull_failed"
    assert outcome.lines[-1]["message"] == outcome.stderr.strip()
    assert outcome.lines[-1]["error_code"] == "repository_gated"
    assert "HF_TOKEN" in outcome.stderr


def test_two_processes_fetch_a_file_once(command: PullProgram, fake: FakeHub) -> None:
    fake.faults.extend([Stall(1 << 20)] * 4)  # more than one: a slow machine may take a while for the second
    first = command.start("pull", f"{REPOSITORY}:{NAME}")
    fake.stalled.wait()
    second = command.start("pull", f"{REPOSITORY}:{NAME}")
    assert second.stderr is not None
    assert any("waiting for it" in line for line in second.stderr)
    fake.faults.clear()
    first.send_signal(signal.SIGINT)
    stopped, done = wait_for_end(first), wait_for_end(second)
    assert (stopped.status, done.status) == (130, 0)
    assert "What arrived is kept" in stopped.stderr
    assert (command.models / REPOSITORY / NAME).read_bytes() == PAYLOAD
    assert fake.sent_bytes <= len(PAYLOAD) + (1 << 20)


def test_a_full_disk_breaks_nothing(command: PullProgram, fake: FakeHub) -> None:
    full = command.run("pull", f"{REPOSITORY}:{NAME}", limit_kib=2000)
    assert (full.status, "The disk is full" in full.stderr) == (1, True)
    folder = command.models / REPOSITORY
    assert not (folder / NAME).exists()
    (part,) = folder.glob("*.part")
    assert PAYLOAD.startswith(part.read_bytes())
    assert command.run("pull", f"{REPOSITORY}:{NAME}").status == 0
    assert (folder / NAME).read_bytes() == PAYLOAD
    assert fake.sent_bytes <= len(PAYLOAD) + (4 << 20)


def hugging_face_cache(home: Path, data: bytes) -> Path:
    """Write a file in the layout of huggingface_hub."""
    folder = home / ".cache" / "huggingface" / "hub" / "models--unsloth--Qwen3-0.6B-GGUF"
    blob, snapshot = folder / "blobs" / sha256(data), folder / "snapshots" / ("c" * 40) / NAME
    blob.parent.mkdir(parents=True)
    blob.write_bytes(data)
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(Path("../../blobs") / blob.name)
    return blob


def test_a_file_in_the_hugging_face_cache_is_used_without_a_byte_fetched(
    command: PullProgram, fake: FakeHub
) -> None:
    blob = hugging_face_cache(command.home, PAYLOAD)
    outcome = command.run("pull", f"{REPOSITORY}:{NAME}")
    assert (outcome.status, fake.downloads) == (0, [])
    assert f"Used where it is: {blob}" in outcome.stderr
    removed = command.run("rm", "0.6B:Q8_0")
    assert (removed.status, blob.exists()) == (0, True)
    assert str(blob) in removed.stdout


def test_a_removed_model_is_gone_with_its_folders(command: PullProgram, fake: FakeHub) -> None:
    command.run("pull", f"{REPOSITORY}:{NAME}")
    removed = command.run("rm", "0.6B")
    assert (removed.status, removed.stderr) == (0, "")
    assert NAME in removed.stdout
    assert list(command.models.iterdir()) == []
    again = command.run("rm", "0.6B")
    assert (again.status, again.stderr) == (1, "0.6B is not installed.\n")


@pytest.mark.full
def test_what_a_broken_off_download_left_can_be_removed(command: PullProgram, fake: FakeHub) -> None:
    fake.faults.extend([Cut(1 << 20), Status(404), Status(404)])
    assert command.run("pull", f"{REPOSITORY}:{NAME}", "--source", "hf").status == 1
    assert command.run("rm", "0.6B:Q8_0").status == 0
    assert list(command.models.iterdir()) == []


@pytest.mark.skipif(shutil.which("script") is None, reason="needs script(1) for a terminal")
@pytest.mark.skipif(sys.platform != "linux", reason="script(1) takes other options elsewhere")
def test_a_terminal_gets_a_bar(command: PullProgram, fake: FakeHub) -> None:
    fake.faults.append(FlippedBit())
    pull = [sys.executable, "-m", "qwen3_chat", "pull", f"{REPOSITORY}:{NAME}"]
    shown = subprocess.run(
        ["script", "-qec", shlex.join(pull), "/dev/null"],
        env={**command.environment, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )
    assert shown.returncode == 0
    assert "━" in shown.stdout
    assert "0.6B Q8_0 is ready" in shown.stdout


def can_mount() -> bool:
    """Return whether this user may mount a file system."""
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def test_a_small_file_system_is_said_before_a_byte_is_fetched(command: PullProgram, fake: FakeHub) -> None:
    if not can_mount():
        pytest.skip("needs unshare(1), and leave to mount a tmpfs")
    command.models.mkdir(parents=True)
    mount = f'mount -t tmpfs -o size=2m none "{command.models}" && exec "$@"'
    own_mounts, program = ["unshare", "--map-root-user", "--mount"], [sys.executable, "-m", "qwen3_chat"]
    outcome = subprocess.run(
        [*own_mounts, "sh", "-c", mount, "sh", *program, "pull", f"{REPOSITORY}:{NAME}"],
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )
    assert (outcome.returncode, fake.downloads) == (1, [])
    assert "Not enough disk space" in outcome.stderr


def test_a_model_in_a_folder_that_the_user_names_is_used(command: PullProgram, demo_gguf: Path) -> None:
    folder = command.home / "gguf"
    settings = command.home / "app" / "config" / "config.toml"
    for parent in (folder, settings.parent):
        parent.mkdir(parents=True)
    shutil.copy(demo_gguf, folder / "Qwen3-1.7B-Q8_0.gguf")
    settings.write_text(f'model_folders = ["{folder}"]\n')
    outcome = command.run("ask", "--model", "1.7B", "--max-tokens", "4", "--json", "1 + 1?")
    assert outcome.status == 0
    assert outcome.stderr.startswith("Reached the token limit")
    refused = command.run("rm", "1.7B")
    assert (refused.status, str(folder) in refused.stderr) == (1, True)


@pytest.mark.full
def test_a_split_model_is_resumed_in_its_middle_part_and_talks(tmp_path: Path, demo_gguf: Path) -> None:
    parts = {
        f"Q8_0/Qwen3-30B-A3B-Q8_0-0000{number}-of-00003.gguf": part
        for number, part in enumerate(split(demo_gguf.read_bytes(), 3), start=1)
    }
    with FakeHub({"a/Qwen3-30B-A3B-GGUF": parts}) as fake:
        command = PullProgram(tmp_path, fake)
        the_rest_of_the_first = Cut(1 << 30)
        fake.faults.extend([Cut(100), the_rest_of_the_first, Cut(100_000), Status(404)])
        first = command.run("pull", "a/Qwen3-30B-A3B-GGUF:Q8_0", "--source", "hf")
        assert (first.status, "has no Qwen3-30B-A3B-Q8_0-00002" in first.stderr) == (1, True)
        assert command.run("pull", "a/Qwen3-30B-A3B-GGUF:Q8_0", "--source", "hf").status == 0
        assert fake.sent_bytes == sum(len(part) for part in parts.values())
    answer = command.run("ask", "--model", "30B-A3B:Q8_0", "--no-think", "--max-tokens", "4", "1 + 1?")
    assert (answer.status, answer.stdout.strip() != "") == (0, True)


def test_a_name_without_a_quant_gets_the_one_that_suits_this_machine(tmp_path: Path) -> None:
    model = find_family_model("0.6B")
    assert model is not None
    files = {
        f"Qwen3-0.6B-{quant}.gguf": PAYLOAD for quant in offered_quants(model)
    }  # by its speed at this moment
    with FakeHub(
        dict.fromkeys(model.repositories, files)
    ) as fake:  # both: a source that is down is waited for
        command = PullProgram(tmp_path, fake, fake)
        pulled = command.run("pull", "0.6B")
    chosen = re.match(r"(\S+) is the quant of 0.6B that suits this machine best", pulled.stderr)
    assert chosen is not None
    assert pulled.status == 0
    assert [path.name for path in command.models.rglob("*.gguf")] == [f"Qwen3-0.6B-{chosen[1]}.gguf"]
