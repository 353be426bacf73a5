"""TensorBoard's writer where it cannot write."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LAST_MOMENTS = 1.0  # seconds


@contextmanager
def quiet_event_writer() -> Iterator[None]:
    """Prints no traceback of an exception that a thread keeps to raise it again where one writes.

    TensorBoard's writer is such a thread: a full disk ends it, and the next event that is logged
    raises what ended it, which is one line.
    """
    print_traceback = threading.excepthook

    def leave_to_the_next_write(args: threading.ExceptHookArgs) -> None:
        if _kept_exception(args.thread) is not args.exc_value:
            print_traceback(args)

    threading.excepthook = leave_to_the_next_write
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if _kept_exception(thread) is not None:
                thread.join(_LAST_MOMENTS)
        threading.excepthook = print_traceback


def _kept_exception(thread: threading.Thread | None) -> BaseException | None:
    return getattr(thread, "exception", None)
