"""An array that grows at its end, for values that arrive in blocks and whose number is not known before."""

import numpy as np

__all__ = ["Growing"]


class Growing:
    """Values so far. Its memory is moved as one piece, so that many columns that grow side by side leave no holes."""

    def __init__(self, dtype: str):
        self._room = np.empty(0, dtype)
        self.n = 0

    def append(self, values: np.ndarray) -> None:
        """Append an array (n,)."""
        end = self.n + len(values)
        if end > len(self._room):
            self._room.resize(max(end, len(self._room) * 5 // 4), refcheck=False)
        self._room[self.n : end] = values
        self.n = end

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, at: int) -> int:
        """The value at a place, as a Python int."""
        if not 0 <= at < self.n:
            raise IndexError(at)
        return int(self._room[at])

    def finish(self) -> np.ndarray:
        """Return the values as an array, and leave this one empty."""
        self._room.resize(self.n, refcheck=False)
        values, self._room, self.n = self._room, np.empty(0, self._room.dtype), 0
        return values
