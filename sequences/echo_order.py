"""Which echo of which shot reads which line.

The lines are ranked and cut into as many segments as the train has echoes, of equal size to within one line: each echo reads one
segment, each shot one line of every segment, so a lost shot costs every segment alike.

    linear       ranked by ky; the segment that holds ky = 0 goes to the echo of the echo time, the others follow in order and
                 wrap around the end of the train
    low-high     ranked by |ky|; the centre goes to the first echo
    asymmetric   ranked by |ky|; the centre goes to the echo of the echo time, then outwards in turn to the echoes after and
                 before it

Within a segment the lines are dealt to the shots in the order of ky ("monotone": neighbours in time read neighbouring combs, so
eddy currents change slowly), or with combs that follow each other in time far apart ("interleaved": motion spreads out).
Averages that read distinct lines share one pattern: comb by comb in turn, so each average alone is balanced too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError
from knerve.sequences.feasibility import default_gap
from knerve.sequences.sampling import LinePattern, variable_density
from knerve.sequences.sections import Dealing, EchoOrder, Sections
from knerve.sequences.timing import scan_time

Index = NDArray[np.int64]
NOT_READ = -1
GOLDEN_SECTION = 0.6180339887498949


@dataclass(frozen=True)
class EchoPlan:
    """The lines of a scan in the order in which they are read; the same for all slices.

    Attributes:
        lines: (average, shot, echo) index of the line, ky = 0 at n_full // 2; -1 where an echo reads nothing.
        pattern: the lines read, by all averages together.
        echo_spacing_s: from echo to echo.
        echo_time_s: asked for.
        half_scan: acquired extent along ky over the symmetric one.
    """

    lines: Index
    pattern: LinePattern
    echo_spacing_s: float
    echo_time_s: float
    half_scan: float = 1.0

    @property
    def n_full(self) -> int:
        """Lines of the whole grid."""
        return len(self.pattern.sampled)

    @property
    def echo_of_line(self) -> Index:
        """(ky) index of the echo that reads each line, -1 where it is not read."""
        echo = np.full(self.n_full, NOT_READ, dtype=np.int64)
        places = np.nonzero(self.lines != NOT_READ)
        echo[self.lines[places]] = places[2]
        return echo

    @property
    def counts(self) -> Index:
        """(ky) how often each line is read."""
        return np.bincount(self.lines[self.lines != NOT_READ], minlength=self.n_full)

    @property
    def centre_echo(self) -> int:
        """Index of the echo that reads ky = 0."""
        return int(self.echo_of_line[self.n_full // 2])

    @property
    def effective_echo_time_s(self) -> float:
        """Time of the echo that reads ky = 0."""
        return (self.centre_echo + 1) * self.echo_spacing_s


def plan_echoes(protocol: Sections, *, stream: int = 0) -> EchoPlan:
    """Draw the pattern of a protocol and give its lines to echoes and shots.

    Args:
        protocol: a protocol that can be played.
        stream: tells the patterns of slices or packages apart that are not to be the same.
    """
    time, train, under = scan_time(protocol), protocol.echo_train, protocol.undersampling
    pattern = variable_density(
        time.n_lines_full,
        time.n_lines,
        n_calibration=under.calibration_lines,
        density_power=under.density_power,
        largest_gap=default_gap(under.acceleration) if under.largest_gap is None else under.largest_gap,
        n_covered=time.n_lines_covered,
        n_candidates=under.candidates,
        seed=under.seed,
        stream=stream,
    )
    averages = protocol.schedule.averages
    distinct = averages if under.averages_as == "distinct lines" else 1
    table = order_lines(
        pattern.lines,
        centre_line=time.n_lines_full // 2,
        n_echoes=train.echo_train_length,
        n_shots=distinct * time.n_shots,
        centre_echo=train.centre_echo,
        order=train.order,
    )
    lines = _in_time(table, distinct, train.dealing)
    return EchoPlan(
        lines=np.repeat(lines, averages // distinct, axis=0),
        pattern=pattern,
        echo_spacing_s=train.echo_spacing_s,
        echo_time_s=train.echo_time_s,
        half_scan=under.half_scan,
    )


def order_lines(
    lines: Index, *, centre_line: int, n_echoes: int, n_shots: int, centre_echo: int, order: EchoOrder = "linear"
) -> Index:
    """Give lines to the echoes of a number of shots.

    Args:
        lines: indices of the lines, ascending; `centre_line` is one of them.
        centre_line: the line of ky = 0.
        n_echoes: echoes of a train.
        n_shots: trains.
        centre_echo: index of the echo that is to read the centre line.
        order: "linear", "low-high" or "asymmetric".

    Returns:
        (comb, echo) line indices, -1 where an echo reads nothing; comb k holds the k-th line of every segment.

    Raises:
        ProtocolError: more lines than echoes, no centre line, or a centre echo that the order cannot give.
    """
    _check_order(lines, centre_line, n_echoes, n_shots, centre_echo, order)
    ranked = lines if order == "linear" else lines[np.lexsort((lines, np.abs(lines - centre_line)))]
    sizes = _segment_sizes(len(lines), n_echoes, int(np.flatnonzero(ranked == centre_line)[0]))
    segments = [np.sort(segment) for segment in np.split(ranked, np.cumsum(sizes)[:-1])]
    echoes = _echo_of_segment(segments, centre_line, n_echoes, centre_echo, order)
    table = np.full((n_shots, n_echoes), NOT_READ, dtype=np.int64)
    held = np.zeros(n_shots, dtype=np.int64)
    for segment, echo in zip(segments, echoes, strict=True):
        combs = np.sort(np.argsort(held, kind="stable")[: len(segment)])  # the combs that hold fewest lines
        table[combs, echo] = segment
        held[combs] += 1
    return table


def _echo_of_segment(
    segments: list[Index], centre_line: int, n_echoes: int, centre_echo: int, order: EchoOrder
) -> list[int]:
    if order == "low-high":
        return list(range(n_echoes))
    if order == "asymmetric":
        return sorted(range(n_echoes), key=lambda echo: (abs(echo - centre_echo), echo < centre_echo))
    central = next(index for index, segment in enumerate(segments) if centre_line in segment)
    return [(index - central + centre_echo) % n_echoes for index in range(n_echoes)]


def _segment_sizes(n_lines: int, n_echoes: int, centre_rank: int) -> Index:
    """Sizes that differ by one line at most; the larger segments lie around the centre."""
    small, n_larger = divmod(n_lines, n_echoes)
    sizes = np.full(n_echoes, small, dtype=np.int64)
    distance = np.abs((np.arange(n_echoes) + 0.5) * n_lines / n_echoes - centre_rank)
    sizes[np.argsort(distance, kind="stable")[:n_larger]] += 1
    return sizes


def _in_time(table: Index, n_averages: int, dealing: Dealing) -> Index:
    """Combs (comb, echo) in the order of time, (average, shot, echo)."""
    n_combs, n_echoes = table.shape
    lines = table.reshape(n_combs // n_averages, n_averages, n_echoes).transpose(1, 0, 2)
    if dealing == "interleaved":
        golden = np.arange(lines.shape[1]) * GOLDEN_SECTION % 1.0  # neighbours lie at least 0.38 apart on the circle
        ranks = np.argsort(np.argsort(golden))
        lines = lines[:, ranks]
    return np.ascontiguousarray(lines)


def _check_order(
    lines: Index, centre_line: int, n_echoes: int, n_shots: int, centre_echo: int, order: EchoOrder
) -> None:
    if len(lines) > n_echoes * n_shots:
        raise ProtocolError(
            f"{len(lines)} lines do not fit into {n_shots} shots of {n_echoes} echoes. "
            f"Nearest valid number of shots: {-(-len(lines) // n_echoes)}."
        )
    if centre_line not in lines:
        raise ProtocolError(
            f"Line {centre_line}, ky = 0, is not among the lines; no echo would set the contrast. Add it."
        )
    last = 0 if order == "low-high" else n_echoes - 1
    if not 0 <= centre_echo <= last:
        raise ProtocolError(
            f"Echo {centre_echo} is to read ky = 0; the {order} order of {n_echoes} echoes allows 0 to {last}. "
            f"Nearest valid value: {min(max(centre_echo, 0), last)}."
        )
