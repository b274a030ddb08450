"""A process that measures how fast the processor reads memory; the number of cores is its argument.

Each core compares two equal blocks that are too large for the caches, which reads both and writes nothing, as
llama.cpp reads weights. The C library does it without Python's lock. One line of JSON has the result.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Final

BLOCK_BYTES: Final = 32 << 20
"""The size of a block, of which every core reads two; together they are larger than a processor's caches."""
MIN_BLOCKS_BYTES, MAX_BLOCKS_BYTES = 256 << 20, 2 << 30
ROUND_S, ROUNDS = 0.12, 3
"""The processor time of a round in seconds; the fastest counts, for other programs only slow it down."""
_NICE = 5  # the interface goes first


def measure(n_cores: int, round_s: float = ROUND_S, block_bytes: int | None = None) -> float:
    """Return the bytes per second that so many cores read together.

    Raises:
        MemoryError: there is no room for the blocks.
    """
    n_threads = max(1, min(n_cores, MAX_BLOCKS_BYTES // (2 * BLOCK_BYTES)))
    size = block_bytes or max(BLOCK_BYTES, MIN_BLOCKS_BYTES // (2 * n_threads))
    library = ctypes.CDLL("msvcrt" if os.name == "nt" else None)
    compare = library.memcmp
    compare.argtypes, compare.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int
    # Written once, else the system maps one page of zeros again and again.
    blocks = [(_filled(size), _filled(size)) for _ in range(n_threads)]
    return max(_round(compare, blocks, size, round_s) for _ in range(ROUNDS))


def _filled(size: int) -> ctypes.Array[ctypes.c_char]:
    block = ctypes.create_string_buffer(size)
    ctypes.memset(block, 1, size)
    return block


Blocks = list[tuple["ctypes.Array[ctypes.c_char]", "ctypes.Array[ctypes.c_char]"]]


def _round(compare: ctypes._NamedFuncPointer, blocks: Blocks, size: int, round_s: float) -> float:
    ready = threading.Barrier(len(blocks))
    rates = [0.0] * len(blocks)

    def read(index: int) -> None:
        one, other = blocks[index]
        ready.wait()
        begin_s, n_reads = time.thread_time(), 0  # waiting for a core that others use does not count
        while (elapsed_s := time.thread_time() - begin_s) < round_s or not n_reads:
            compare(one, other, size)
            n_reads += 1
        rates[index] = n_reads * 2 * size / max(elapsed_s, 1e-9)

    threads = [threading.Thread(target=read, args=(index,)) for index in range(len(blocks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def main() -> None:
    """Measure with as many cores as the first argument says, and print the result."""
    with suppress(AttributeError, OSError):  # no such call on Windows
        os.nice(_NICE)
    print(json.dumps({"bytes_per_s": measure(int(sys.argv[1]))}))


if __name__ == "__main__":
    main()
