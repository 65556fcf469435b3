"""A SIGINT whose exception was swallowed is noticed at the next check."""

from __future__ import annotations

import os
import signal
import threading
import weakref

import pytest

from mediaml.engine.interruption import noticed_interrupts


class _Thing:
    """Something with a finalizer."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_lost_in_a_finalizer_is_noticed() -> None:
    with noticed_interrupts() as check:
        check()
        thing = _Thing()
        weakref.finalize(thing, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            del thing  # swallowed here or raised, as the interpreter likes
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    seen = []

    def elsewhere() -> None:
        with noticed_interrupts() as check:
            check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
