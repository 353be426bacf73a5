"""Signals that wait until all processes of a run can answer them."""

import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any


class DeferredSignals:
    """Notes signals, and answers them when it is told to.

    A handler runs wherever its process is. One that communicates, as Lightning's does at SIGTERM,
    or that ends this process alone, meets the others amid a communication of their own, which then
    fails or waits for good. A second Ctrl-C is answered at once.

    Args:
        numbers: The signals; those that have no handler in Python are left alone.

    Attributes:
        noted: Signals that came and were neither answered nor taken.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers = sorted(numbers)
        self.noted: set[int] = set()
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> "DeferredSignals":
        """Puts off what comes from now on, and takes over what is put off already."""
        if threading.current_thread() is threading.main_thread():  # which alone takes signals
            for number in self.numbers:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._note)
                    outer = getattr(handler, "__self__", None)
                    if isinstance(outer, DeferredSignals):
                        self.noted |= outer.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Gives the signals back to who had them, with what came unless an error ends all."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for number in self.take() if kind is None else ():
            self.answer(number)

    def take(self) -> set[int]:
        """Returns what came, and forgets it."""
        taken, self.noted = self.noted, set()
        return taken

    def answer(self, number: int) -> None:
        """Does what the signal would have done."""
        self.noted.discard(number)
        if handler := self._handlers.get(number):
            handler(number, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self.noted:
            self._handlers[number](number, frame)
        self.noted.add(number)
