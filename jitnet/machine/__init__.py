"""The machine that loops run on: registers and caches, threads, its clock.

host.py        which machine this is, its number of threads, and setting the threads of regions
blocks.py      the sizes of tiles and blocks, one table
tile.py        a tile of sums in registers
words.py       bits of a word, found and masked
barrier.py     parts of one parallel region wait for each other
denormals.py   numbers below 1e-38 become zero inside compiled code
clock.py       the time, read inside compiled code
"""

import jitnet.compiler  # noqa: F401  (sets what Numba reads, before anything here imports it)
