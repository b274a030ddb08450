"""The resolution of a model's reference to the files that it means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError, UsageError
from qwen3_chat.models.catalog import FAMILY, ModelFile, ModelReference, find_family_model
from qwen3_chat.models.gguf_file_name import (
    find_quant,
    find_unsuitable_kind,
    parse_gguf_file_name,
    split_part_names,
)
from qwen3_chat.models.hub.download_errors import SourceFailedError, SourceRefusedError
from qwen3_chat.models.hub.hub_file import HubFile, checked_repository
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.source_rounds import RoundFailedError, ask_in_rounds
from qwen3_chat.models.hub.sources import Hub, RemoteFile, Source
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import t


@dataclass(frozen=True, slots=True)
class PullTarget:
    """A model to be downloaded: one file, or the parts of a split one in order."""

    model: str
    quant: str
    files: tuple[HubFile, ...]
    other_repositories: tuple[str, ...] = ()
    """The repositories of other publishers, to be tried in turn where no source has these files."""

    @property
    def size_bytes(self) -> int:
        """The bytes of all parts."""
        return sum(file.size_bytes for file in self.files)


async def resolve_target(
    reference: ModelReference, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> PullTarget:
    """Find the files that a reference means.

    A file whose checksum the catalogue knows needs no network; any other is looked up at the sources.

    Raises:
        UsageError: there is no such model, repository, file or quant.
        HubError: no source could be asked.
    """
    name, selector = reference.name, reference.selector or ""
    if reference.is_repository:
        return await _from_revision(
            checked_repository(name), selector, reference.revision, hubs, retry_policy
        )
    model = find_family_model(name)
    if model is None:
        raise UsageError(
            ErrorCode.DOWNLOAD_NAME_UNKNOWN, name=name, known=", ".join(model.name for model in FAMILY)
        )
    quant = find_quant(selector, model.quants) or selector or model.default_quant
    known = model.preferred_file(quant)
    first = (known.repo,) if known is not None else ()
    repositories = dict.fromkeys((*first, *model.repositories))
    if known is not None and known.sha256 is not None:
        files = (_hub_file(known, known.sha256),)
        return PullTarget(model.name, known.quant, files, tuple(repositories)[1:])
    problems: list[UsageError | SourceRefusedError] = []
    for repository in repositories:
        revision = known.revision if known is not None and known.repo == repository else None
        try:
            return await _from_listing(repository, quant, revision, hubs, retry_policy)
        except (UsageError, SourceRefusedError) as error:
            problems.append(error)
    # a missing quant is a more precise error than a missing repository
    raise min(problems, key=lambda problem: not isinstance(problem, UsageError))


async def resolve_other_publisher(
    target: PullTarget, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> PullTarget | None:
    """Find a model at the next publisher that has it; None where no other does.

    Raises:
        HubError: no source could be asked.
    """
    for number, repository in enumerate(target.other_repositories, start=1):
        try:
            found = await _from_listing(repository, target.quant, None, hubs, retry_policy)
        except (UsageError, SourceRefusedError):
            continue
        return replace(found, model=target.model, other_repositories=target.other_repositories[number:])
    return None


async def resolve_repository(
    repository: str, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> tuple[PullTarget, ...]:
    """Find the models of a repository, one for each quant.

    Raises:
        UsageError: the name is not one of a repository, or a part is missing.
        HubError: no source could be asked.
    """
    listing = await _listing(checked_repository(repository), None, hubs, retry_policy)
    files = _gguf_files(listing)
    if files:
        _refuse_unsuitable(next(iter(_by_quant(files).values()), min(files.items())[1]).path, repository)
    return tuple(
        _target_from_listing(repository, _with_parts(file, files), None)
        for file in _by_quant(files).values()
        if file.sha256
    )


async def _from_revision(
    repository: str, selector: str, revision: str | None, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> PullTarget:
    """Find the files of a repository in the revision that the user named; only Hugging Face keeps commits."""
    keepers = [hub for hub in hubs if hub.source is Source.HF] if revision else []
    return await _from_listing(repository, selector, revision, keepers or hubs, retry_policy)


async def _from_listing(
    repository: str, selector: str, revision: str | None, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> PullTarget:
    files = _select_files(await _listing(repository, revision, hubs, retry_policy), selector, repository)
    return _target_from_listing(repository, files, revision)


def _target_from_listing(repository: str, files: tuple[RemoteFile, ...], revision: str | None) -> PullTarget:
    first = parse_gguf_file_name(PurePosixPath(files[0].path).name)
    title = repository.partition("/")[2].removesuffix("-GGUF")
    return PullTarget(
        first.model if first else title,
        first.quant if first else "",
        tuple(HubFile(repository, file.path, file.size_bytes, file.sha256 or "", revision) for file in files),
    )


async def _listing(
    repository: str, revision: str | None, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> tuple[RemoteFile, ...]:
    """List a repository; where a source stays silent for a while, ask the next one as well."""

    async def ask(hubs: Sequence[Hub]) -> tuple[RemoteFile, ...]:
        failures: dict[Hub, HubError] = {}
        waiting = list(hubs)
        asked: dict[asyncio.Task[tuple[RemoteFile, ...]], Hub] = {}
        try:
            while waiting or asked:
                if waiting:
                    hub = waiting.pop(0)
                    asked[asyncio.create_task(hub.list_files(repository, revision, retry_policy))] = hub
                limit_s = retry_policy.next_source_after_s if waiting else None
                done, _ = await asyncio.wait(asked, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    hub = asked.pop(task)
                    try:
                        return task.result()
                    except (SourceFailedError, SourceRefusedError) as error:
                        failures[hub] = error
        finally:
            for task in asked:
                task.cancel()
        raise RoundFailedError(failures)

    return await ask_in_rounds(ask, hubs, repository, retry_policy)


def _select_files(listing: Iterable[RemoteFile], selector: str, repository: str) -> tuple[RemoteFile, ...]:
    """Select a file by its path, name or quant, with all parts of a split one.

    Raises:
        UsageError: there is no such file, or a part is missing.
    """
    files = _gguf_files(listing)
    for path in sorted(files):
        if selector.lower() in (path.lower(), PurePosixPath(path).name.lower()):
            _refuse_unsuitable(path, repository)
            return _with_parts(files[path], files)
    quants = _by_quant(files)
    if files and not quants:
        _refuse_unsuitable(min(files), repository)
    if not selector and len(quants) == 1:
        return _with_parts(next(iter(quants.values())), files)
    if (quant := find_quant(selector, quants)) is not None:
        return _with_parts(quants[quant], files)
    in_folder = _by_quant({path: file for path, file in files.items() if path.startswith(f"{selector}/")})
    if len(in_folder) == 1:
        return _with_parts(next(iter(in_folder.values())), files)
    known = ", ".join(quants) or "–"
    if not selector:
        raise UsageError(ErrorCode.REPOSITORY_FILE_AMBIGUOUS, repository=repository, known=known)
    raise UsageError(ErrorCode.QUANT_NOT_FOUND, wanted=selector, repository=repository, known=known)


def _refuse_unsuitable(path: str, repository: str) -> None:
    """Refuse a file that can't chat.

    Raises:
        UsageError: it is one.
    """
    name = PurePosixPath(path).name
    if kind := find_unsuitable_kind(name, repository):
        raise UsageError(ErrorCode.MODEL_CANNOT_CHAT, name=name, kind=t(f"library.kind.{kind.value}"))


def _gguf_files(listing: Iterable[RemoteFile]) -> dict[str, RemoteFile]:
    return {file.path: file for file in listing if file.path.lower().endswith(".gguf")}


def _by_quant(files: dict[str, RemoteFile]) -> dict[str, RemoteFile]:
    """Return the file of each quant, the first part of a split one."""
    quants: dict[str, RemoteFile] = {}
    for path in sorted(files):
        name = parse_gguf_file_name(PurePosixPath(path).name)
        if name is not None and name.part == 1 and not find_unsuitable_kind(path):
            quants.setdefault(name.quant, files[path])
    return quants


def _with_parts(file: RemoteFile, files: dict[str, RemoteFile]) -> tuple[RemoteFile, ...]:
    path = PurePosixPath(file.path)
    paths = [str(path.with_name(name)) for name in split_part_names(path.name)]
    if missing := [path for path in paths if path not in files]:
        raise UsageError(ErrorCode.MODEL_PART_MISSING, name=missing[0])
    return tuple(files[path] for path in paths)


def _hub_file(file: ModelFile, sha256: str) -> HubFile:
    return HubFile(file.repo, file.filename, file.size_bytes, sha256, file.revision)
