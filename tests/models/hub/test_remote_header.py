from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen3_chat.errors import HubError, ModelError
from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.fit import Fit
from qwen3_chat.models.gguf import read_file, read_header
from qwen3_chat.models.hub import HubFile, PullTarget
from qwen3_chat.models.hub.remote_header import fetch_header
from qwen3_chat.models.hub.sources import Hub, HuggingFace, ModelScope
from qwen3_chat.models.picker.repository_variants import assess_variants, fetch_metadata
from tests.models.fit.hollow_gguf import write
from tests.models.fit.machines import cpu
from tests.models.hub.conftest import FAST_RETRIES
from tests.models.hub.fake_hub import Cut, FakeHub, IgnoredRange, LoginPage, Status, sha256
from tests.models.hub.pull_program import PullProgram

REPOSITORY = "someone/Qwen3-4B-tuned-GGUF"
NAME = "Qwen3-4B-tuned-Q4_K_M.gguf"
TOKENS = 151_936
WEIGHTS_BYTES = 3 << 20
"""The bytes of weights that the hub pretends to have; they must not be fetched."""


def with_vocabulary(hollow: bytes) -> bytes:
    """Insert a vocabulary of the real size before the other metadata, and remove the weights."""
    version, tensors, entries = struct.unpack_from("<IQQ", hollow, 4)
    token = struct.pack("<Q", 11) + b"eleven char"
    added = b""
    for key in (b"tokenizer.ggml.tokens", b"tokenizer.ggml.merges"):
        added += struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 8, TOKENS) + token * TOKENS
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries + 2) + added + hollow[24:]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    known = find_family_model("4B")
    assert known is not None
    hollow = write(tmp_path_factory.mktemp("hollow") / NAME, known.shape, "Q4_K_M")
    with hollow.open("rb") as source:
        begin = read_header(source, NAME).weights_start_bytes
        source.seek(0)
        return with_vocabulary(source.read(begin)) + bytes(WEIGHTS_BYTES)


@pytest.fixture
def fake(model_file: bytes) -> Iterator[FakeHub]:
    with FakeHub({REPOSITORY: {NAME: model_file, "README.md": b"hello"}}) as hub:
        hub.pieces_fail = True
        yield hub


@pytest.fixture
def file(model_file: bytes) -> HubFile:
    return HubFile(REPOSITORY, NAME, len(model_file), sha256(model_file))


async def test_a_header_takes_few_requests_and_few_bytes(fake: FakeHub, hub: Hub, file: HubFile) -> None:
    header = await fetch_header(file, (hub,), FAST_RETRIES)
    assert (header.architecture, header.n_layers, header.n_ctx_train) == ("qwen3", 36, 40960)
    assert len(fake.downloads) <= 8
    assert fake.sent_bytes <= 7_000_000
    assert fake.sent_bytes - header.weights_start_bytes <= 1 << 20


async def test_the_fit_is_known_before_the_download(fake: FakeHub, hub: Hub, file: HubFile) -> None:
    wanted = PullTarget("4B-tuned", "Q4_K_M", (file,))
    model = await fetch_metadata(wanted, (hub,), FAST_RETRIES)
    assert model is not None
    (offer,) = assess_variants(model, (wanted,), cpu(16), None)
    assert (offer.assessment.fit, offer.key) == (Fit.GOOD, ("4B-tuned", "Q4_K_M"))


@pytest.mark.parametrize("fault", [IgnoredRange()])
async def test_a_source_that_ignores_ranges_still_tells_the_header(
    fake: FakeHub, hub: Hub, file: HubFile, fault: IgnoredRange
) -> None:
    fake.faults.append(fault)
    assert (await fetch_header(file, (hub,), FAST_RETRIES)).n_layers == 36


@pytest.mark.parametrize("fault", [Cut(10_000), Status(403), Status(404), Status(503), LoginPage()])
async def test_the_next_source_is_asked_where_one_fails(
    fake: FakeHub, hub: Hub, file: HubFile, fault: Cut | Status | LoginPage
) -> None:
    fake.faults.append(fault)
    if isinstance(fault, LoginPage):  # a network that wants a login sends it every time
        fake.faults.extend([fault] * 9)
        with pytest.raises((HubError, ModelError)):
            await fetch_header(file, (hub,), FAST_RETRIES)
    else:
        assert (await fetch_header(file, (hub, hub), FAST_RETRIES)).n_layers == 36


async def test_no_source_is_one_sentence(fake: FakeHub, file: HubFile) -> None:
    fake.faults += [Status(404), Status(404)]
    hubs = (HuggingFace(fake.endpoint), ModelScope(fake.endpoint))
    with pytest.raises(HubError, match="could not be fetched"):
        await fetch_header(file, hubs, FAST_RETRIES)


def test_a_repository_is_listed_with_what_fits(fake: FakeHub, tmp_path: Path) -> None:
    outcome = PullProgram(tmp_path, fake, fake).run("models", REPOSITORY, "--ram", "16GiB", "--vram", "0")
    assert outcome.status == 0
    assert "✓ Q4_K_M" in outcome.stdout
    assert f"qwen3-chat pull {REPOSITORY}:Q4_K_M" in outcome.stdout


@pytest.mark.parametrize(
    ("name", "said"), [("Qwen3.5-35B-A3B", ""), ("Next-80B-A3B-Thinking", "always thinks")]
)
def test_a_repository_of_a_later_model_is_listed_too(name: str, said: str, tmp_path: Path) -> None:
    known = find_family_model(name)
    assert known
    hollow = write(tmp_path / "hollow.gguf", known.shape, "Q4_K_M")
    with hollow.open("rb") as source:
        data = source.read(read_file(hollow).weights_start_bytes) + bytes(WEIGHTS_BYTES)
    with FakeHub({f"someone/{name}-GGUF": {f"{known.title}-MXFP4_MOE.gguf": data}}) as hub:
        arguments = ("models", f"someone/{name}-GGUF", "--ram", "16GiB", "--vram", "0")
        outcome = PullProgram(tmp_path, hub, hub).run(*arguments)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert "✓ MXFP4_MOE" in outcome.stdout
    assert said in outcome.stdout


@pytest.mark.full
def test_the_header_with_the_real_vocabulary_is_read_from_the_disk(qwen3_vocabulary: Path) -> None:
    assert read_file(qwen3_vocabulary).architecture == "qwen3"
