"""The models of the Qwen3 family, with the machines that they suit and the files that exist of them."""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

from qwen3_chat.chat import ThinkingSupport
from qwen3_chat.models.catalog.model_data import ModelData, load_model_data
from qwen3_chat.models.catalog.published_files import REPOSITORIES, ModelFile
from qwen3_chat.models.catalog.quants import (
    BASE_TENSOR_TYPES,
    REFERENCE_QUANT,
    file_bytes,
    scaled_weights,
    weights,
)
from qwen3_chat.models.gguf_names import VISION_ARCHITECTURES
from qwen3_chat.models.shape import Shape
from qwen3_chat.models.weights import Weights

HYBRID_N_CTX, HYBRID_ANSWER_TOKENS = 32_768, 8_192
_2507_N_CTX = 262_144
YARN_N_CTX = 131_072
"""The context of the larger hybrid models with YaRN, factor 4 over 32,768; short texts suffer from it."""

MAX_MODEL_NAME_CHARACTERS = 200
"""The part of a model's name that is looked at."""

STANDARD_QUANTS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
"""The quants that every model but the smallest is offered in, by rising quality."""


class MachineClass(StrEnum):
    """The kind of machine that a model is made for; the value is part of a text's key."""

    PHONE = "phone"
    LAPTOP = "laptop"
    WORKSTATION = "workstation"
    SERVER = "server"


class FamilyModel(Struct, frozen=True):
    """A model as the family names it, such as `8B`; `repositories` are tried in this order.

    `reference_weights` are those of a file whose header was read; they give the proportions of other quants.
    """

    name: str
    shape: Shape
    good_for: MachineClass
    repositories: tuple[str, ...]
    thinking: ThinkingSupport = ThinkingSupport.SWITCHABLE
    n_ctx_train: int = HYBRID_N_CTX + HYBRID_ANSWER_TOKENS
    n_ctx_yarn: int | None = YARN_N_CTX
    is_split: bool = False
    reference_weights: Weights | None = None

    @property
    def title(self) -> str:
        """The full name, `Qwen3-8B`."""
        return self.name if self.name.lower().startswith("qwen") else f"Qwen3-{self.name}"

    @property
    def reads_text_only(self) -> bool:
        """True if the model could see pictures as well, which this program does not give it."""
        return self.shape.architecture in VISION_ARCHITECTURES

    @property
    def default_quant(self) -> str:
        """The lowest quant that is recommended: small models suffer too much below 8 bits."""
        return "Q8_0" if self.shape.parameters < 3e9 else "Q4_K_M"

    @property
    def quants(self) -> tuple[str, ...]:
        """The quants that files exist of, by rising size."""
        known = {file.quant for file in self.files}
        return tuple(sorted(known | (set() if self.files else set(STANDARD_QUANTS)), key=self.size_bytes))

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The single files whose names are known, official ones first, then those of predicted size.

        A split model has none: the listing of `repositories` gives its parts.
        """
        listed = tuple(
            file for source in REPOSITORIES if source.repo in self.repositories for file in source.files
        )
        if self.is_split or not self.repositories:
            return ()
        missing = [quant for quant in STANDARD_QUANTS if quant not in {file.quant for file in listed}]
        return listed + tuple(self._predicted_file(quant) for quant in missing)

    def preferred_file(self, quant: str) -> ModelFile | None:
        """Return the preferred file of a quant, or None where none is known."""
        return next(iter(self.files_of(quant)), None)

    def files_of(self, quant: str) -> tuple[ModelFile, ...]:
        """Return all files of a quant, the preferred one first."""
        return tuple(file for file in self.files if file.quant.upper() == quant.upper())

    def size_bytes(self, quant: str) -> int:
        """Return the size of a quant's file as published, else as predicted."""
        for source in REPOSITORIES:
            if source.repo in self.repositories:
                for name, size_bytes, _ in source.published:
                    if name == quant:
                        return size_bytes
        return file_bytes(self.shape, quant)

    def weights(self, quant: str) -> Weights:
        """Return the bytes of the tensors in a quant, estimated where its mix of types is not known."""
        if quant in BASE_TENSOR_TYPES and self.shape.has_known_tensors:
            return weights(self.shape, quant)
        return self.estimated_weights(self.size_bytes(quant))

    def estimated_weights(self, size_bytes: int) -> Weights:
        """Estimate the bytes of the tensors of a file by its size."""
        if self.reference_weights:
            return self.reference_weights.scaled_to(size_bytes)
        return scaled_weights(self.shape, REFERENCE_QUANT, size_bytes)

    def _predicted_file(self, quant: str) -> ModelFile:
        repo = next(repo for repo in self.repositories if repo.startswith("unsloth/"))
        name = f"{self.title}-{quant}.gguf"
        return ModelFile(repo, None, name, quant, self.size_bytes(quant), size_is_exact=False)


def _model(
    name: str,
    shape: Shape,
    good_for: MachineClass,
    thinking: ThinkingSupport = ThinkingSupport.SWITCHABLE,
    n_ctx_yarn: int | None = YARN_N_CTX,
) -> FamilyModel:
    is_2507 = thinking is not ThinkingSupport.SWITCHABLE
    official = () if is_2507 else (f"Qwen/Qwen3-{name}-GGUF",)
    return FamilyModel(
        name,
        shape,
        good_for,
        (*official, f"unsloth/Qwen3-{name}-GGUF", f"bartowski/Qwen_Qwen3-{name}-GGUF"),
        thinking,
        _2507_N_CTX if is_2507 else HYBRID_N_CTX + HYBRID_ANSWER_TOKENS,
        None if is_2507 else n_ctx_yarn,
        is_split=name.startswith("235B"),
    )


def _later_model(data: ModelData) -> FamilyModel:
    return FamilyModel(
        data.name,
        data.shape.to_shape(),
        MachineClass(data.good_for),
        data.repositories,
        data.thinking,
        data.n_ctx,
        n_ctx_yarn=None,
        is_split=data.is_split,
    )


_0_6B = Shape(28, 1024, 3072, 16, 8, is_tied=True)
_1_7B = Shape(28, 2048, 6144, 16, 8, is_tied=True)
_4B = Shape(36, 2560, 9728, 32, 8, is_tied=True)
_8B = Shape(36, 4096, 12288, 32, 8)
_14B = Shape(40, 5120, 17408, 40, 8)
_32B = Shape(64, 5120, 25600, 64, 8)
_30B_A3B = Shape(48, 2048, 6144, 32, 4, n_experts=128, n_experts_used=8, n_expert_ff=768)
_235B_A22B = Shape(94, 4096, 12288, 64, 4, n_experts=128, n_experts_used=8, n_expert_ff=1536)

FAMILY = (
    _model("0.6B", _0_6B, MachineClass.PHONE, n_ctx_yarn=None),
    _model("1.7B", _1_7B, MachineClass.PHONE, n_ctx_yarn=None),
    _model("4B", _4B, MachineClass.LAPTOP),
    _model("8B", _8B, MachineClass.LAPTOP),
    _model("14B", _14B, MachineClass.WORKSTATION),
    _model("32B", _32B, MachineClass.WORKSTATION),
    _model("30B-A3B", _30B_A3B, MachineClass.WORKSTATION),
    _model("235B-A22B", _235B_A22B, MachineClass.SERVER),
    _model("4B-Instruct-2507", _4B, MachineClass.LAPTOP, ThinkingSupport.NEVER),
    _model("4B-Thinking-2507", _4B, MachineClass.LAPTOP, ThinkingSupport.ALWAYS),
    _model("30B-A3B-Instruct-2507", _30B_A3B, MachineClass.WORKSTATION, ThinkingSupport.NEVER),
    _model("30B-A3B-Thinking-2507", _30B_A3B, MachineClass.WORKSTATION, ThinkingSupport.ALWAYS),
    _model("235B-A22B-Instruct-2507", _235B_A22B, MachineClass.SERVER, ThinkingSupport.NEVER),
    _model("235B-A22B-Thinking-2507", _235B_A22B, MachineClass.SERVER, ThinkingSupport.ALWAYS),
    *map(_later_model, load_model_data().models),
)
"""Hybrid models from small to large, those of July 2025, whose thinking is fixed, those of `models.toml`."""


def derived_model(
    name: str,
    shape: Shape,
    n_ctx_train: int,
    reference_weights: Weights | None = None,
    thinking: ThinkingSupport = ThinkingSupport.SWITCHABLE,
) -> FamilyModel:
    """Return a model that is derived from the family, such as a fine-tuned one, or a later one."""
    closest = min(FAMILY, key=lambda model: abs(model.shape.parameters - shape.parameters))
    return FamilyModel(
        name,
        shape,
        closest.good_for,
        (),
        thinking,
        n_ctx_train,
        n_ctx_yarn=None,
        reference_weights=reference_weights,
    )


_FIXED_THINKING = re.compile(
    r"(?P<mode>instruct|thinking)[-_ ]25\d\d"
    r" | (?<![a-z])(next|vl)[-_ ]\d.*?[-_ ](?P<later>instruct|thinking)\b",
    re.IGNORECASE | re.VERBOSE,
)
_CODER = re.compile(r"qwen3[-_ ]coder|\bcoder[-_ ]30b", re.IGNORECASE)


def thinking_support(name: str) -> ThinkingSupport | None:
    """Return the support that a model's name implies, also of derived ones; None where it implies nothing."""
    if match := _FIXED_THINKING.search(name[:MAX_MODEL_NAME_CHARACTERS]):
        mode = match["mode"] or match["later"]
        return ThinkingSupport.NEVER if mode.lower() == "instruct" else ThinkingSupport.ALWAYS
    return ThinkingSupport.NEVER if _CODER.search(name[:MAX_MODEL_NAME_CHARACTERS]) else None


def find_family_model(name: str) -> FamilyModel | None:
    """Find a model by its name in any case, with or without `Qwen3-`, with hyphens, underscores or spaces."""
    normalised_name = re.sub(r"^(qwen[/-])?(qwen3-)?", "", name.lower().replace(" ", "-").replace("_", "-"))
    return next((model for model in FAMILY if model.name.lower() == normalised_name), None)
