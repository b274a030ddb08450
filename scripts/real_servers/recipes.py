"""The recipes of the real servers: what each is installed from, and how it is started."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from environment import ROOT
from unpacked_wheels import NEWEST_LLAMA_CPP

KEY = "a-key-of-the-trials"
"""The key that a server wants where it can want one."""
N_CTX = 4096
SMALL_N_CTX = 1024
"""A context so small that a server without a limit reads what is too long for the model in seconds."""
PINS = Path(__file__).parent
LLAMA_SERVER = ROOT / "build" / "llama-server"


@dataclass(frozen=True, slots=True)
class ServedFiles:
    """A model in both of its forms: a GGUF file and a Hugging Face folder."""

    gguf: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Start:
    """What a server is started with; `upstream` is the address of the server behind it."""

    programs: Path
    model: ServedFiles
    port: int
    n_ctx: int
    work: Path
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A server: its version, its command, whether it wants a key, and the name it serves the model under.

    `behind` names the recipe of the server that answers for this one. `is_mute_in_thought`: the model that
    never stops may lack the end of thinking as well, because the server's own switch turns thinking off.
    """

    name: str
    label: str
    command: Callable[[Start], Sequence[str | Path]]
    wants_key: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    ready_s: float = 120
    behind: str = ""
    is_mute_in_thought: bool = False
    n_ctx_to_tell: int | None = None
    """The context that the user would name with `--ctx`, for a server that tells none and has no limit."""
    left_out: Sequence[str] = ()
    """Packages that are taken away again: they need a PyTorch with CUDA, and nothing here needs them."""
    distribution: str = ""
    """The name under which the package must be found, where it is another one than that it is sold under."""

    @property
    def pins(self) -> Path | None:
        """The file with the pinned versions; None for a server that the checkout holds already."""
        path = PINS / f"{self.name}.txt"
        return path if path.is_file() else None

    @property
    def version(self) -> str:
        """The pinned version of the server itself."""
        if self.name == "llama-server":
            return _llama_cpp_version()
        if self.pins is None:
            return NEWEST_LLAMA_CPP.requirement.partition("==")[2]
        lines = self.pins.read_text("utf-8").splitlines()
        found = next(line for line in lines if line.startswith(self.name))
        return found.partition("==")[2]


def _llama_cpp_version() -> str:
    """Return the version of the package whose llama.cpp `build/llama-server` was compiled from."""
    stamp = ROOT / "build" / "llama.cpp.txt"
    first = stamp.read_text("utf-8").splitlines()[0] if stamp.is_file() else ""
    return f"llama.cpp of {first.replace('==', ' ')}".strip()


def _llama_server(start: Start) -> Sequence[str | Path]:
    options = ("-c", str(start.n_ctx), "-t", "2", "-np", "1", "--jinja", "--slots", "--no-webui")
    return (LLAMA_SERVER, "--port", str(start.port), "-m", start.model.gguf, "--api-key", KEY, *options)


def _xllamacpp(start: Start) -> Sequence[str | Path]:
    program = ROOT / "scripts" / "unpacked_wheels.py"
    return (sys.executable, program, start.model.gguf, str(start.port), str(start.n_ctx), KEY)


def _mlx_lm(start: Start) -> Sequence[str | Path]:
    options = ("--host", "127.0.0.1", "--port", str(start.port), "--max-tokens", str(start.n_ctx))
    return (start.programs / "mlx_lm.server", "--model", start.model.folder, *options)


def _litellm(start: Start) -> Sequence[str | Path]:
    path = start.work / f"litellm-{start.port}.json"
    parameters = {"model": "openai/demo", "api_base": f"{start.upstream}/v1", "api_key": KEY}
    config = {
        "model_list": [
            {
                "model_name": "Qwen3-demo",
                "litellm_params": parameters,
                "model_info": {"max_input_tokens": start.n_ctx},
            }
        ],
        "general_settings": {"master_key": KEY},
    }
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    options = ("--host", "127.0.0.1", "--port", str(start.port), "--telemetry", "False")
    return (start.programs / "litellm", "--config", path, *options)


def _transformers(start: Start) -> Sequence[str | Path]:
    options = ("--device", "cpu", "--host", "127.0.0.1", "--port", str(start.port))
    return (start.programs / "transformers", "serve", start.model.folder, *options)


def _vllm(start: Start) -> Sequence[str | Path]:
    parsers = ("--reasoning-parser", "qwen3", "--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    limits = ("--max-model-len", str(start.n_ctx), "--max-num-seqs", "4", "--max-num-batched-tokens", "8192")
    options = ("--host", "127.0.0.1", "--port", str(start.port), "--enforce-eager", "--dtype", "float32")
    name = ("--served-model-name", "Qwen3-demo", "--api-key", KEY, "--enable-prompt-tokens-details")
    return (start.programs / "vllm", "serve", start.model.folder, *name, *parsers, *limits, *options)


RECIPES = (
    Recipe("llama-server", "llama-server", _llama_server, wants_key=True, is_mute_in_thought=True),
    Recipe("xllamacpp", "llama.cpp's newest server", _xllamacpp, wants_key=True, is_mute_in_thought=True),
    Recipe("mlx-lm", "mlx-lm", _mlx_lm, n_ctx_to_tell=SMALL_N_CTX),
    Recipe("litellm", "LiteLLM before llama-server", _litellm, wants_key=True, behind="llama-server"),
    Recipe(
        "transformers",
        "transformers serve",
        _transformers,
        environ={"OMP_NUM_THREADS": "1"},  # two servers share the processors
        ready_s=300,
        n_ctx_to_tell=SMALL_N_CTX,
    ),
    Recipe(
        "vllm",
        "vLLM on a processor",
        _vllm,
        wants_key=True,
        environ={
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
        ready_s=600,
        left_out=("torchvision", "torchaudio", "torchcodec"),
        distribution="vllm",
    ),
)
"""The servers in the order in which they are tried, the quickest ones first."""
