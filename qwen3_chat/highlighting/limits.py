"""The limits of colouring code; what exceeds them stays plain."""

from __future__ import annotations

CPU_LIMIT_S = 1.0
"""The processor time for one block; a harmless one of the largest size takes a third of it."""

WALL_LIMIT_S = 15.0
"""The time after which a process that works on a request is killed, even if it had no processor meanwhile."""

START_LIMIT_S = 60.0
"""The time after which a process that is not ready yet is killed; on an idle machine it takes 0.3 s."""

MAX_ATTEMPTS = 2
"""The processes that work on a request, unless the first one used up its processor time."""

MAX_MEMORY_BYTES = 1 << 29
"""The address space of the process; it takes 40 MB of it for itself."""

MAX_CHARACTERS = 100_000
"""The characters of a block that are coloured."""

REQUEST_CHARACTERS = 20_000
"""The characters after which the rows of a request end."""

MAX_SPANS_PER_MESSAGE = 4_000
"""The styled parts, and rows, of one reply, so that the interface reads it in about a millisecond."""

MAX_BLOCKS = 32
"""The blocks whose rows are still being written that the process remembers."""

MAX_FAILED_BLOCKS = 3
"""The blocks of one language that may exceed a limit; after that, all of that language stay plain."""

MAX_FAILED_STARTS = 3
"""The attempts in a row to start a process, all of which fail; after that, all code stays plain."""

MAX_WAITING_BLOCKS = 64
"""The blocks that wait for their colours; of more, those drawn last are enough."""

MAX_STORED_BLOCKS = 1_000
"""The blocks whose colours are stored."""

MAX_STORED_SPANS = 100_000
"""The styled parts, and rows, whose colours are stored: some 10 MB."""
