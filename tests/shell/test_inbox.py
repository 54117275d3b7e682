"""The one queue: in order, bounded, and a Stop is never lost."""

import threading

from stoker.core.messages import Stop, Tick
from stoker.inbox import LIMIT, Inbox, monotonic


def test_events_come_out_in_the_order_in_which_they_came_in() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(5):
        inbox.put(number)

    assert [inbox.get() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_deadline_that_has_passed_is_no_wait_and_no_error() -> None:
    inbox: Inbox[int] = Inbox()

    assert inbox.get(until=monotonic() - 1000) is None


def test_a_flood_is_dropped_and_counted_but_a_stop_gets_through() -> None:
    inbox: Inbox[Tick | Stop] = Inbox()
    for _ in range(LIMIT + 7):
        inbox.put(Tick())
    inbox.put(Stop("SIGTERM"))

    assert inbox.dropped == 7
    assert inbox.get() == Stop("SIGTERM"), "and it overtakes the others"


def test_what_a_thread_puts_while_the_loop_waits_wakes_it() -> None:
    inbox: Inbox[str] = Inbox()
    threading.Timer(0.05, inbox.put, ("late",)).start()

    assert inbox.get(until=monotonic() + 30) == "late"


def test_a_clock_that_was_right_once_is_not_doubted_when_the_network_goes() -> None:
    says = [False, True, False]
    inbox: Inbox[str] = Inbox(clock_trusted=False, ask=lambda: says.pop(0), ask_again=0.0)

    assert [inbox.now().synchronised for _ in range(5)] == [False, True, True, True, True]


def test_the_system_is_not_asked_with_each_event_whether_its_clock_is_right() -> None:
    says = [False, True]
    inbox: Inbox[str] = Inbox(clock_trusted=False, ask=lambda: says.pop(0), ask_again=3600.0)

    assert [inbox.now().synchronised for _ in range(100)] == [False] * 100
