"""A count that grows with time, remembered now and then: a curve of bounded length, however long it takes."""

from __future__ import annotations

MOST_POINTS = 256
FIRST_INTERVAL_S = 0.1


class Progress:
    """The curve; `points` are (seconds, count), ascending."""

    def __init__(self) -> None:
        self._interval_s = FIRST_INTERVAL_S
        self.points: list[tuple[float, int]] = []

    def add(self, seconds: float, n: int) -> None:
        """Remember how many there are now, unless that was done a moment ago."""
        if self.points and seconds < self.points[-1][0] + self._interval_s:
            return
        self.points.append((seconds, n))
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]
            self._interval_s *= 2
