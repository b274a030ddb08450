from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError, Qwen3ChatError, UsageError
from qwen3_chat.models.catalog import ModelReference, find_family_model
from qwen3_chat.models.gguf_file_name import GgufFileName, parse_gguf_file_name, split_part_names
from qwen3_chat.models.hub import sources
from qwen3_chat.models.hub.download_errors import SourceFailedError
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
from qwen3_chat.models.hub.source_rounds import RoundFailedError, ask_in_rounds
from qwen3_chat.models.hub.sources import Hub, HuggingFace, ModelScope, Source, hubs_from
from qwen3_chat.models.hub.target_resolution import PullTarget, resolve_target
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import Language, set_language
from tests.models.hub.conftest import FAST_RETRIES, hub_at
from tests.models.hub.fake_hub import FakeHub, Status, sha256

SPLIT = {f"Q8_0/Qwen3-235B-A22B-Q8_0-0000{number}-of-00003.gguf": bytes([number]) for number in (1, 2, 3)}
REPOSITORIES = {
    "unsloth/Qwen3-8B-GGUF": {
        "Qwen3-8B-Q4_K_M.gguf": b"q4",
        "Qwen3-8B-UD-Q4_K_XL.gguf": b"ud",
        "mmproj-Q8_0.gguf": b"no model",
        "README.md": b"#",
    },
    "Qwen/Qwen3-8B-GGUF": {"Qwen3-8B-Q6_K.gguf": b"q6"},
    "unsloth/Qwen3-4B-GGUF": {"Qwen3-4B-Q5_0.gguf": b"q5"},
    "unsloth/Qwen3-235B-A22B-GGUF": SPLIT,
    "Qwen/Qwen3-Embedding-0.6B-GGUF": {"Qwen3-Embedding-0.6B-Q8_0.gguf": b"e"},
    "Qwen/Qwen3-Reranker-GGUF": {"model-Q8_0.gguf": b"r"},
    "broken/split": {path: data for path, data in SPLIT.items() if "00002-of" not in path},
    "evil/paths": {"../../../Qwen3-8B-Q4_K_M.gguf": b"x"},
}


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub(REPOSITORIES) as hub:
        yield hub


async def resolve(text: str, *hubs: Hub) -> PullTarget:
    return await resolve_target(ModelReference.parse(text), hubs, FAST_RETRIES)


@pytest.mark.parametrize("text", ["8B", "qwen3-8b:q4_k_m", "8B:Q4_K_M"])
async def test_what_the_catalogue_knows_needs_no_network(text: str) -> None:
    target = await resolve(text)
    (file,) = target.files
    model = find_family_model("8B")
    assert model is not None
    published = model.preferred_file("Q4_K_M")
    assert published is not None
    assert (file.repository, file.sha256, file.revision) == (
        "Qwen/Qwen3-8B-GGUF",
        published.sha256,
        published.revision,
    )
    assert (target.model, target.quant, target.size_bytes) == ("8B", "Q4_K_M", published.size_bytes)


@pytest.mark.parametrize(
    ("text", "repository", "model", "quant", "paths"),
    [
        ("8B:Q6_K", "Qwen/Qwen3-8B-GGUF", "8B", "Q6_K", ["Qwen3-8B-Q6_K.gguf"]),
        ("8B:UD-Q4_K_XL", "unsloth/Qwen3-8B-GGUF", "8B", "UD-Q4_K_XL", ["Qwen3-8B-UD-Q4_K_XL.gguf"]),
        ("235B-A22B:Q8_0", "unsloth/Qwen3-235B-A22B-GGUF", "235B-A22B", "Q8_0", list(SPLIT)),
        ("unsloth/Qwen3-8B-GGUF:q4_k_m", "unsloth/Qwen3-8B-GGUF", "8B", "Q4_K_M", ["Qwen3-8B-Q4_K_M.gguf"]),
        ("hf.co/unsloth/Qwen3-8B-GGUF:Q4", "unsloth/Qwen3-8B-GGUF", "8B", "Q4_K_M", ["Qwen3-8B-Q4_K_M.gguf"]),
        ("Qwen/Qwen3-8B-GGUF", "Qwen/Qwen3-8B-GGUF", "8B", "Q6_K", ["Qwen3-8B-Q6_K.gguf"]),
        ("8B:q6", "Qwen/Qwen3-8B-GGUF", "8B", "Q6_K", ["Qwen3-8B-Q6_K.gguf"]),
        ("qwen3:8b-q6_K", "Qwen/Qwen3-8B-GGUF", "8B", "Q6_K", ["Qwen3-8B-Q6_K.gguf"]),
        ("4B:Q5_0", "unsloth/Qwen3-4B-GGUF", "4B", "Q5_0", ["Qwen3-4B-Q5_0.gguf"]),
        (
            "https://huggingface.co/unsloth/Qwen3-8B-GGUF/resolve/main/Qwen3-8B-Q4_K_M.gguf?download=true",
            "unsloth/Qwen3-8B-GGUF",
            "8B",
            "Q4_K_M",
            ["Qwen3-8B-Q4_K_M.gguf"],
        ),
        (
            "https://modelscope.cn/models/unsloth/Qwen3-235B-A22B-GGUF/files/tree/master/Q8_0",
            "unsloth/Qwen3-235B-A22B-GGUF",
            "235B-A22B",
            "Q8_0",
            list(SPLIT),
        ),
        (
            "https://huggingface.co/unsloth/Qwen3-235B-A22B-GGUF/tree/main/Q8_0",
            "unsloth/Qwen3-235B-A22B-GGUF",
            "235B-A22B",
            "Q8_0",
            list(SPLIT),
        ),
        (
            "unsloth/Qwen3-8B-GGUF:Qwen3-8B-UD-Q4_K_XL.gguf",
            "unsloth/Qwen3-8B-GGUF",
            "8B",
            "UD-Q4_K_XL",
            ["Qwen3-8B-UD-Q4_K_XL.gguf"],
        ),
        (
            "unsloth/Qwen3-235B-A22B-GGUF:Qwen3-235B-A22B-Q8_0-00002-of-00003.gguf",
            "unsloth/Qwen3-235B-A22B-GGUF",
            "235B-A22B",
            "Q8_0",
            list(SPLIT),
        ),
    ],
)
async def test_the_rest_is_looked_up_at_a_source(
    fake: FakeHub, source: Source, text: str, repository: str, model: str, quant: str, paths: list[str]
) -> None:
    target = await resolve(text, hub_at(fake.endpoint, source))
    assert (target.model, target.quant) == (model, quant)
    assert [(file.repository, file.path) for file in target.files] == [(repository, path) for path in paths]
    assert [file.sha256 for file in target.files] == [
        sha256(REPOSITORIES[repository][path]) for path in paths
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("9B", ErrorCode.DOWNLOAD_NAME_UNKNOWN),
        ("unsloth/Qwen3-8B-GGUF", ErrorCode.REPOSITORY_FILE_AMBIGUOUS),
        ("unsloth/Qwen3-8B-GGUF:Q2_K", ErrorCode.QUANT_NOT_FOUND),
        ("unsloth/Qwen3-8B-GGUF:README.md", ErrorCode.QUANT_NOT_FOUND),
        ("Qwen/Qwen3-Embedding-0.6B-GGUF:Q8_0", ErrorCode.MODEL_CANNOT_CHAT),
        ("Qwen/Qwen3-Embedding-0.6B-GGUF", ErrorCode.MODEL_CANNOT_CHAT),
        ("Qwen/Qwen3-Reranker-GGUF:model-Q8_0.gguf", ErrorCode.MODEL_CANNOT_CHAT),
        ("unsloth/Qwen3-8B-GGUF:mmproj-Q8_0.gguf", ErrorCode.MODEL_CANNOT_CHAT),
        ("8B:Q1_Z", ErrorCode.QUANT_NOT_FOUND),
        ("broken/split:Q8_0", ErrorCode.MODEL_PART_MISSING),
        ("a/../b:Q8_0", ErrorCode.REPOSITORY_NAME_INVALID),
        ("a/b/c:Q8_0", ErrorCode.REPOSITORY_NAME_INVALID),
        ("/etc:Q8_0", ErrorCode.REPOSITORY_NAME_INVALID),
    ],
)
async def test_what_there_is_not_is_a_wrong_request(
    fake: FakeHub, source: Source, text: str, code: ErrorCode
) -> None:
    with pytest.raises(UsageError) as raised:
        await resolve(text, hub_at(fake.endpoint, source))
    assert raised.value.code == code


async def test_the_quants_there_are_get_named(fake: FakeHub, source: Source) -> None:
    with pytest.raises(UsageError, match="Q4_K_M, UD-Q4_K_XL"):
        await resolve("unsloth/Qwen3-8B-GGUF", hub_at(fake.endpoint, source))


async def test_a_model_that_no_source_has_is_said() -> None:
    with (
        FakeHub({}) as empty,
        pytest.raises(HubError, match="there is no repository Qwen/Qwen3-235B"),
    ):
        await resolve("235B-A22B:Q8_0", HuggingFace(empty.endpoint))


async def test_a_missing_repository_is_said(fake: FakeHub, source: Source) -> None:
    with pytest.raises(HubError, match="there is no repository no/such"):
        await resolve("no/such:Q8_0", hub_at(fake.endpoint, source))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status(401, {"X-Error-Code": "GatedRepo"}), "Accept its terms"),
        (Status(403), "does not exist or is private"),
        (Status(418), "status 418"),
    ],
    ids=str,
)
async def test_a_refused_listing_is_said(fake: FakeHub, source: Source, status: Status, said: str) -> None:
    fake.listing_status = status
    with pytest.raises(HubError, match=said):
        await resolve("unsloth/Qwen3-8B-GGUF:Q4_K_M", hub_at(fake.endpoint, source))


@pytest.mark.parametrize(
    "faults",
    [
        [Status(500)],
        [Status(503), Status(502)],
        [Status(400)],
        [Status(429, {"Retry-After": "0"})],
        [Status(429, {"RateLimit": '"api";r=0;t=0'}), Status(500)],
    ],
    ids=str,
)
async def test_a_listing_that_fails_once_is_asked_for_again(
    fake: FakeHub, source: Source, faults: list[Status]
) -> None:
    fake.listing_faults.extend(faults)
    target = await resolve("unsloth/Qwen3-8B-GGUF:Q4_K_M", hub_at(fake.endpoint, source))
    assert (target.quant, len(fake.listings)) == ("Q4_K_M", len(faults) + 1)


@pytest.mark.parametrize(
    ("status", "n_listings"), [(Status(500), 3), (Status(404), 1), (Status(429, {"Retry-After": "4000"}), 1)]
)
async def test_a_listing_that_keeps_failing_is_given_up(
    fake: FakeHub, source: Source, status: Status, n_listings: int
) -> None:
    fake.listing_status = status
    with pytest.raises(HubError):
        await resolve("unsloth/Qwen3-8B-GGUF:Q4_K_M", hub_at(fake.endpoint, source))
    assert len(fake.listings) == n_listings


async def test_a_listing_waits_as_long_as_its_source_asks() -> None:
    hub = HuggingFace("http://127.0.0.1:9")
    pauses_s: list[float] = []

    async def ask(hubs: Sequence[Hub]) -> str:
        if not pauses_s:
            raise RoundFailedError({hub: SourceFailedError(ErrorCode.SOURCE_RATE_LIMITED, 2.5, host="h")})
        return "a listing"

    async def note(pause_s: float) -> None:
        pauses_s.append(pause_s)

    assert await ask_in_rounds(ask, [hub], "o/r", DEFAULT_RETRY_POLICY, note) == "a listing"
    assert pauses_s == [2.5]


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES", " on "])
async def test_offline_is_obeyed_by_every_source(fake: FakeHub, variable: str, value: str) -> None:
    environ = {variable: value, "HF_ENDPOINT": fake.endpoint, "MODELSCOPE_ENDPOINT": fake.endpoint}
    for source in (None, *Source):
        with pytest.raises(HubError) as raised:
            await resolve("unsloth/Qwen3-8B-GGUF:Q4_K_M", *hubs_from(environ, source))
        assert raised.value.code is ErrorCode.HUB_OFFLINE
    assert fake.requests == []


@pytest.mark.parametrize("value", ["", "0", "false", "off"])
def test_offline_can_be_switched_off(value: str) -> None:
    assert len(hubs_from({"HF_HUB_OFFLINE": value})) == 2


async def test_the_other_source_is_asked_where_one_has_no_list(fake: FakeHub) -> None:
    with FakeHub({}) as empty:
        target = await resolve(
            "unsloth/Qwen3-8B-GGUF:Q4_K_M", HuggingFace(empty.endpoint), ModelScope(fake.endpoint)
        )
    assert target.quant == "Q4_K_M"


async def test_a_source_that_is_silent_does_not_keep_the_other_from_being_asked(fake: FakeHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hubs = (HuggingFace(endpoint), ModelScope(fake.endpoint))
        retry_policy = replace(FAST_RETRIES, next_source_after_s=0.01)
        reference = ModelReference.parse("unsloth/Qwen3-8B-GGUF:Q4_K_M")
        target = await resolve_target(reference, hubs, retry_policy)
    assert target.quant == "Q4_K_M"


async def test_a_source_that_nobody_answers_at_is_asked_once(source: Source) -> None:
    with pytest.raises(HubError, match=r"127\.0\.0\.1:9 can't be reached"):
        await resolve("unsloth/Qwen3-8B-GGUF:Q4_K_M", hub_at("http://127.0.0.1:9", source))


async def test_a_path_that_leaves_its_folder_is_refused(fake: FakeHub, source: Source) -> None:
    with pytest.raises(HubError, match="not safe to write"):
        await resolve("evil/paths:Q4_K_M", hub_at(fake.endpoint, source))


@pytest.mark.parametrize(
    "path", ["", "/x.gguf", "../x.gguf", "a/../../x.gguf", "a\\..\\x.gguf", "C:x.gguf", "a\nb.gguf"]
)
def test_a_file_outside_is_none(path: str) -> None:
    with pytest.raises(HubError):
        HubFile("a/b", path, 1, "0" * 64)


@pytest.mark.parametrize("checksum", ["", "abc", "Z" * 64])
def test_a_file_without_checksum_is_not_fetched(checksum: str) -> None:
    with pytest.raises(HubError, match="checksum"):
        HubFile("a/b", "x.gguf", 1, checksum)


@pytest.mark.parametrize(
    ("environ", "addresses"),
    [
        ({}, ("https://huggingface.co", "https://modelscope.cn")),
        ({"HF_ENDPOINT": "https://mirror.example/"}, ("https://mirror.example", "https://modelscope.cn")),
        (
            {"MODELSCOPE_ENDPOINT": "www.modelscope.ai"},
            ("https://huggingface.co", "https://www.modelscope.ai"),
        ),
    ],
)
def test_endpoints_move_the_sources(environ: dict[str, str], addresses: tuple[str, str]) -> None:
    file = HubFile("a/b", "x.gguf", 1, "0" * 64)
    hubs = hubs_from(environ)
    assert [hub.source for hub in hubs] == [Source.HF, Source.MODELSCOPE]
    for hub, address in zip(hubs, addresses, strict=True):
        assert hub.file_url(file).startswith(f"{address}/")


def test_who_reads_chinese_is_sent_to_modelscope_first_unless_a_mirror_is_named() -> None:
    set_language(Language.ZH)
    try:
        assert [hub.source for hub in hubs_from({})] == [Source.MODELSCOPE, Source.HF]
        assert [hub.source for hub in hubs_from({"HF_ENDPOINT": "https://mirror.example"})] == [
            Source.HF,
            Source.MODELSCOPE,
        ]
    finally:
        set_language(Language.EN)


@pytest.mark.parametrize(
    ("environ", "link", "first"),
    [
        ({"TZ": "Asia/Shanghai"}, None, Source.MODELSCOPE),
        ({"TZ": ":Asia/Urumqi"}, None, Source.MODELSCOPE),
        ({"TZ": "Europe/Berlin"}, "/usr/share/zoneinfo/Asia/Shanghai", Source.HF),
        ({}, "/usr/share/zoneinfo/Asia/Shanghai", Source.MODELSCOPE),
        ({}, "/usr/share/zoneinfo/Etc/UTC", Source.HF),
        ({}, None, Source.HF),
        ({"TZ": "Asia/Shanghai", "HF_ENDPOINT": "https://mirror.example"}, None, Source.HF),
    ],
)
def test_who_has_the_time_of_china_is_sent_to_modelscope_first(
    environ: dict[str, str], link: str | None, first: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "localtime"
    monkeypatch.setattr(sources, "_LOCAL_TIME", place)
    if link is not None:
        place.symlink_to(link)
    assert hubs_from(environ)[0].source is first


def test_one_source_can_be_chosen() -> None:
    assert [hub.source for hub in hubs_from({}, Source.MODELSCOPE)] == [Source.MODELSCOPE]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", GgufFileName("8B", "Q4_K_M")),
        ("unsloth_Qwen3-8B-GGUF_Qwen3-8B-Q4_K_M.gguf", GgufFileName("8B", "Q4_K_M")),
        ("qwen3-8b-q4_k_m.gguf", GgufFileName("8b", "Q4_K_M")),
        ("Qwen_Qwen3-8B-IQ4_XS.gguf", GgufFileName("8B", "IQ4_XS")),
        ("Qwen3-8B.Q4_K_M.gguf", GgufFileName("8B", "Q4_K_M")),
        ("Qwen3-4B-Instruct-2507-UD-Q4_K_XL.gguf", GgufFileName("4B-Instruct-2507", "UD-Q4_K_XL")),
        ("Qwen3-30B-A3B-BF16-00001-of-00002.gguf", GgufFileName("30B-A3B", "BF16", 1, 2)),
        ("demo-Q8_0.gguf", GgufFileName("demo", "Q8_0")),
        ("Qwen3-30B-A3B-UD-TQ1_0.gguf", GgufFileName("30B-A3B", "UD-TQ1_0")),
        ("Qwen3-Next-80B-A3B-Instruct-MXFP4_MOE.gguf", GgufFileName("Next-80B-A3B-Instruct", "MXFP4_MOE")),
        ("Qwen3.5-35B-A3B-NVFP4.gguf", GgufFileName("Qwen3.5-35B-A3B", "NVFP4")),
        ("Qwen3-8B-UD-IQ2_M.gguf", GgufFileName("8B", "UD-IQ2_M")),
        ("Qwen3-8B-Q2_K_L.gguf", GgufFileName("8B", "Q2_K_L")),
        ("Qwen3-8B.i1-Q4_K_S.gguf", GgufFileName("8B.i1", "Q4_K_S")),
        ("Qwen3-8B-abliterated_q4_k_m.gguf", GgufFileName("8B-abliterated", "Q4_K_M")),
        ("Qwen3-8B_UD-Q4_K_XL.gguf", GgufFileName("8B", "UD-Q4_K_XL")),
        ("Qwen3-8B.gguf", None),
        ("Qwen3-8B-Q4_K_M.safetensors", None),
    ],
)
def test_a_name_tells_model_and_quant(name: str, read: GgufFileName | None) -> None:
    assert parse_gguf_file_name(name) == read


def test_a_part_tells_all_parts() -> None:
    assert split_part_names("x-Q8_0-00002-of-00002.gguf") == (
        "x-Q8_0-00001-of-00002.gguf",
        "x-Q8_0-00002-of-00002.gguf",
    )
    assert split_part_names("x-Q8_0.gguf") == ("x-Q8_0.gguf",)


def test_every_error_of_a_hub_is_for_the_user() -> None:
    assert issubclass(HubError, Qwen3ChatError)


async def test_a_source_that_cannot_be_reached_does_not_write_onto_the_screen(
    fake: FakeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    await resolve(
        "unsloth/Qwen3-8B-GGUF:Q4_K_M", HuggingFace("http://127.0.0.1:9"), ModelScope(fake.endpoint)
    )
    assert capfd.readouterr() == ("", "")
