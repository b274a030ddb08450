"""The names that the pinned llama.cpp gives to architectures and quants in GGUF files.

The list of architectures is that of `LLM_ARCH_NAMES` in llama.cpp's src/llama-arch.cpp, without what holds no
conversation: encoders, embeddings, diffusion, speech, drafts of other models.
"""

from __future__ import annotations

QWEN3_ARCHITECTURES = frozenset(
    "qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe".split()  # noqa: SIM905 - a table of names
)
"""Qwen3 and what came of it: Qwen3-Next, Qwen3-VL, Qwen3.5 and Qwen3.6."""

VISION_ARCHITECTURES = frozenset({"qwen2vl", "qwen3vl", "qwen3vlmoe"})
"""Models that see pictures; this program gives them text only."""

CHAT_ARCHITECTURES = QWEN3_ARCHITECTURES | frozenset(
    """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bitnet bloom chameleon
    chatglm codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr
    deepseek32 deepseek4 dots1 dots3note ernie4_5 ernie4_5-moe exaone exaone-moe exaone4 falcon falcon-h1
    gemma gemma2 gemma3 gemma3n gemma4 glm-dsa glm4 glm4moe glm5-next gpt-oss gpt2 gptneox granite
    granite_swa granitehybrid granitemoe graniteswitch grok grovemoe hrm_text hunyuan-dense hunyuan-moe
    hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 jamba kimi-k3 kimi-linear laguna lfm2 lfm2moe llama llama4
    maincoder mamba mamba2 maple mellum mimo2 minicpm minicpm3 minimax-01 minimax-m2 minimax-m3 mistral3
    mistral4 mpt muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe olmo olmo2 olmoe openelm orion
    paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2 qwen2moe qwen2vl qwen4exp
    refact rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2
    step35 talkie xverse
    """.split()  # noqa: SIM905 - a table of names
)
"""Every architecture that can hold a conversation."""

QUANT_PATTERN = r"(?:UD-)?(?:[IT]?Q\d\w*|(?:MX|NV)FP4\w*|BF16|FP?16|FP?32)"
"""The pattern of a quant's name in any case, such as `Q4_K_M`, `UD-Q4_K_XL`, `TQ1_0` or `MXFP4_MOE`."""
