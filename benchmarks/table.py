"""The benchmarks' table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A work: what it took here, what it takes a peer, what it cannot take less than.

    Attributes:
        work: What was done.
        ours: Median here, in ``unit``.
        peer_name: What a user would write instead; empty where there is nothing to compare with.
        peer: Median of the peer.
        limit: What arithmetic alone would take at the best rate of this machine.
        unit: Unit of the three.
        remark: What else was found, such as how many points differ.
    """

    work: str
    ours: float
    peer_name: str = ""
    peer: float | None = None
    limit: float | None = None
    unit: str = "s"
    remark: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times as much the peer took."""
        return None if self.peer is None else self.peer / self.ours

    @property
    def distance(self) -> float | None:
        """How many times the limit was taken."""
        return None if self.limit is None else self.ours / self.limit

    def cells(self) -> list[str]:
        """Returns the texts of the line, in the order of the table's header."""
        times = [self._quantity(self.peer), _factor(self.ratio)]
        limits = [self._quantity(self.limit), _factor(self.distance)]
        return [self.work, self._quantity(self.ours), self.peer_name, *times, *limits, self.remark]

    def _quantity(self, value: float | None) -> str:
        return "" if value is None else f"{value:.3g} {self.unit}"


_HEADER = ("work", "ours", "peer", "peer took", "ratio", "limit", "ours / limit", "remark")


def line(cells: Sequence[str]) -> str:
    """Writes one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def header() -> list[str]:
    """Returns the first two lines of the table."""
    return [line(_HEADER), line(["---"] * len(_HEADER))]


def markdown(document: Mapping[str, Any]) -> str:
    """Writes the table of a JSON copy, under its date, machine and command."""
    about = ", ".join(document[name] for name in ("command", "date", "machine", "versions"))
    lines = [line(Row(**row).cells()) for row in document["rows"]]
    return "\n".join([about, "", *header(), *lines])


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
