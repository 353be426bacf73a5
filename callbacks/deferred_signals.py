"""Signals that wait until all processes of a run can answer them."""

import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Self

ENDING: set[int] = {signal.SIGINT, signal.SIGTERM}
_Handler = Callable[[int, FrameType | None], Any]


class DeferredSignals:
    """Notes signals, and answers them when it is told to.

    A handler runs wherever its process is. One that communicates, as Lightning's does at SIGTERM,
    or that ends this process alone, meets the others amid a communication of their own, which then
    fails or waits for good. A second Ctrl-C, before the first was taken, is answered at once.

    Args:
        numbers: The signals; those that have no handler in Python are left alone.

    Attributes:
        noted: Signals that came and were neither answered nor taken.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers = sorted(numbers)
        self.noted: set[int] = set()
        self._handlers: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        """Puts off what comes from now on, and takes over what another one has put off."""
        if threading.current_thread() is threading.main_thread():  # which alone takes signals
            for number in self.numbers:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._note)
                    outer = _outer(handler)
                    if outer is not None and number in outer.noted:
                        outer.noted.discard(number)
                        self.noted.add(number)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Gives the signals back to who had them, with what came unless an error ends all."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for number in self.take() if kind is None else ():
            self._handlers[number](number, None)

    def take(self) -> set[int]:
        """Returns what came, and forgets it."""
        taken, self.noted = self.noted, set()
        return taken

    def answer(self, number: int) -> None:
        """Does what the signal would have done."""
        self.noted.discard(number)
        if number in self._handlers:
            self._answering(number)(number, None)

    def _answering(self, number: int) -> _Handler:
        """Returns the handler that puts nothing off."""
        handler = self._handlers[number]
        outer = _outer(handler)
        return handler if outer is None else outer._answering(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self.noted:
            self._answering(number)(number, frame)
        self.noted.add(number)


def _outer(handler: object) -> DeferredSignals | None:
    """Returns the one around this one, where signals were put off before."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, DeferredSignals) else None


def signals_of_all(strategy: object) -> set[int]:
    """Returns the signals that processes answer together: Slurm's, too, where it runs them.

    At Slurm's signal a run is saved and queued again.

    Args:
        strategy: The trainer's strategy.
    """
    environment = getattr(strategy, "cluster_environment", None)
    requeue = getattr(environment, "requeue_signal", None)
    return ENDING if requeue is None else ENDING | {requeue}
