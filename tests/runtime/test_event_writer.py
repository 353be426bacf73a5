import threading
import time

import pytest
from torch.utils.tensorboard import SummaryWriter

from regularizer_collection.runtime.event_writer import quiet_event_writer
from tests.conftest import fill


@pytest.fixture
def printed(monkeypatch):
    """The exceptions of threads whose traceback would be printed."""
    printed = []
    monkeypatch.setattr(threading, "excepthook", lambda args: printed.append(args.exc_value))
    return printed


def test_a_full_disk_is_raised_where_one_writes_and_not_printed(printed, small_disk):
    writer = SummaryWriter(small_disk)
    fill(small_disk)

    def log():
        writer.add_text("more than", "is left of a page " * 1000)
        writer.flush()

    with quiet_event_writer(), pytest.raises(OSError, match="No space left on device"):
        log()
    assert printed == []


def test_the_exception_of_another_thread_is_printed(printed):
    error = ValueError()

    def fail():
        raise error

    with quiet_event_writer():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert printed == [error]


class FailsSlowly(threading.Thread):
    def run(self):
        self.exception = OSError()
        time.sleep(0.1)
        raise self.exception


def test_a_thread_that_is_about_to_fail_is_waited_for(printed):
    with quiet_event_writer():
        thread = FailsSlowly()
        thread.start()
        time.sleep(0.05)
    thread.join()
    assert printed == []
