"""The names of quants as llama.cpp and the publishers of GGUF files write them."""

from __future__ import annotations

QUANT_PATTERN = r"(?:UD-)?(?:[IT]?Q\d\w*|(?:MX|NV)FP4\w*|BF16|FP?16|FP?32)"
"""The pattern of a quant's name in any case, such as `Q4_K_M`, `UD-Q4_K_XL`, `TQ1_0` or `MXFP4_MOE`."""
