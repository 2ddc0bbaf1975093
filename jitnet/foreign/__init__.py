"""The profile of anybody's Numba function: how long, on which threads, why, and what to change. Nothing here prints."""
