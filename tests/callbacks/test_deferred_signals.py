import os
import signal
import threading

import pytest

from regularizer_collection.callbacks.deferred_signals import DeferredSignals


@pytest.fixture
def answered():
    """What a handler of SIGUSR1 and SIGUSR2 was called with."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    calls = []
    for number in numbers:
        signal.signal(number, lambda number, frame: calls.append(number))
    yield calls
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


def test_a_signal_waits_until_it_is_answered(answered):
    with DeferredSignals([signal.SIGUSR1]) as signals:
        send(signal.SIGUSR1)
        assert (answered, signals.noted) == ([], {signal.SIGUSR1})
        send(signal.SIGUSR2)  # which is not put off
        assert answered == [signal.SIGUSR2]
        signals.answer(signal.SIGUSR1)
        assert answered == [signal.SIGUSR2, signal.SIGUSR1]
        assert not signals.noted
    assert len(answered) == 2


def test_a_signal_that_came_elsewhere_is_answered_too(answered):
    with DeferredSignals([signal.SIGUSR1]) as signals:
        signals.answer(signal.SIGUSR1)
    assert answered == [signal.SIGUSR1]


def test_what_was_not_taken_is_handed_on(answered):
    with DeferredSignals([signal.SIGUSR1, signal.SIGUSR2]) as signals:
        send(signal.SIGUSR1)
        assert signals.take() == {signal.SIGUSR1}
        send(signal.SIGUSR2)
    assert answered == [signal.SIGUSR2]
    send(signal.SIGUSR1)
    assert answered == [signal.SIGUSR2, signal.SIGUSR1]


def test_an_error_ends_all_and_answers_nothing(answered):
    def fail():
        with DeferredSignals([signal.SIGUSR1]):
            send(signal.SIGUSR1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert answered == []


def test_one_within_another_takes_over_and_hands_back(answered):
    with DeferredSignals([signal.SIGUSR1, signal.SIGUSR2]) as outer:
        send(signal.SIGUSR1)
        with DeferredSignals([signal.SIGUSR1, signal.SIGUSR2]) as inner:
            assert (inner.take(), outer.noted) == ({signal.SIGUSR1}, set())
            send(signal.SIGUSR2)
            assert (inner.noted, outer.noted) == ({signal.SIGUSR2}, set())
        assert outer.noted == {signal.SIGUSR2}
        assert answered == []
    assert answered == [signal.SIGUSR2]


def test_a_second_ctrl_c_is_answered_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with DeferredSignals([signal.SIGINT]) as signals:
            send(signal.SIGINT)
            assert signals.take() == {signal.SIGINT}
            send(signal.SIGINT)  # the first has been taken, so that this one waits again
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
            signals.take()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_is_answered_at_once_within_another_too():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with DeferredSignals([signal.SIGINT]), DeferredSignals([signal.SIGINT]) as inner:
            send(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
            inner.take()
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_within_another_leaves_it_what_is_not_its_own(answered):
    with DeferredSignals([signal.SIGUSR1, signal.SIGUSR2]) as outer:
        send(signal.SIGUSR1)
        with DeferredSignals([signal.SIGUSR2]) as inner:
            assert (inner.noted, outer.noted) == (set(), {signal.SIGUSR1})
            send(signal.SIGUSR2)
            inner.answer(signal.SIGUSR2)
            assert answered == [signal.SIGUSR2]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_signal_that_python_does_not_handle_stays_so(handler):
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with DeferredSignals([signal.SIGUSR1]):
            assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_thread_which_takes_no_signals_leaves_them_alone(answered):
    handlers = []

    def look():
        with DeferredSignals([signal.SIGUSR1]):
            handlers.append(signal.getsignal(signal.SIGUSR1))

    before = signal.getsignal(signal.SIGUSR1)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [before]
