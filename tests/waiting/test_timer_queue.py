"""The timer queue: items in the order of their times."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager

from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.waiting._decision import NEVER
from asyncpoll.waiting.scheduler._timer_queue import TimerQueue


@define(eq=False)
class Item:
    """Something that may be due."""

    name: int
    due: float = NEVER


def due_by(queue: TimerQueue[Item], now: float) -> list[int]:
    """Return the names of all that is due, in the order in which it comes."""
    return [item.name for item in queue.pop_due(now, 1000)]


@contextmanager
def cheaply(queue: TimerQueue[Item], items: list[Item]) -> Generator[None]:
    """See that what is done costs few entries beyond those of the items."""
    for item in items:
        queue.put(item, 600.5)
    tracemalloc.start()
    yield
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20_000


def test_what_is_due_comes_in_order() -> None:
    """Items come by due time, never before it, whether their second has begun or lies ahead."""
    queue: TimerQueue[Item] = TimerQueue()
    for name, due in enumerate([5.5, 0.2, 5.1, 900.0, 0.1, 5.9]):
        queue.put(Item(name), due)
    assert due_by(queue, 0.05) == []
    assert due_by(queue, 0.2) == [4, 1]
    assert due_by(queue, 5.5) == [2, 0]
    assert due_by(queue, 1000.0) == [5, 3]
    assert queue.next_due() == NEVER


def test_of_equal_due_times_the_first_to_come_is_first() -> None:
    """Of equal due times the one that was put first is first, in the second that has begun and in those ahead."""
    queue: TimerQueue[Item] = TimerQueue()
    queue.pop_due(7.0, 1)
    queue.put(Item(-1), 7.0)
    assert due_by(queue, 7.0) == [-1]
    for name in range(5):
        queue.put(Item(name), 7.5)
        queue.put(Item(name + 10), 9.5)
    assert due_by(queue, 10.0) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_an_item_is_due_once() -> None:
    """Moved to and fro, even back to where it was, an item comes once, at the time it was put to last."""
    queue: TimerQueue[Item] = TimerQueue()
    item = Item(1)
    for due in (3.5, 8.5, 3.5, 3.5):
        queue.put(item, due)
    assert due_by(queue, 3.4) == []
    for due in (3.6, 3.8, 3.6):
        queue.put(item, due)
    assert due_by(queue, 100.0) == [1]
    assert item.due == NEVER


def test_an_item_can_be_taken_off() -> None:
    """An item that is removed, or put to never, does not come; removing an absent item does nothing."""
    queue: TimerQueue[Item] = TimerQueue()
    near, far, off = Item(1), Item(2), Item(3)
    queue.put(near, 0.5)
    queue.pop_due(0.1, 1)
    queue.put(far, 50.0)
    queue.remove(near)
    queue.put(far, NEVER)
    queue.remove(off)
    assert (near.due, far.due, off.due) == (NEVER, NEVER, NEVER)
    assert due_by(queue, 100.0) == []


def test_it_says_when_to_look_again() -> None:
    """That is the first due time, or before it."""
    queue: TimerQueue[Item] = TimerQueue()
    assert queue.next_due() == NEVER
    first, second = Item(1), Item(2)
    queue.put(first, 5.25)
    queue.put(second, 5.75)
    assert queue.next_due() <= 5.25
    assert due_by(queue, 5.0) == []
    assert queue.next_due() == 5.25
    queue.remove(first)
    assert queue.next_due() == 5.75
    queue.put(first, 5.5)
    assert queue.next_due() == 5.5


def test_what_keeps_moving_does_not_pile_up() -> None:
    """A deadline far ahead that is noted and removed at every poll leaves a bounded number of entries."""
    queue: TimerQueue[Item] = TimerQueue()
    items = [Item(name) for name in range(20)]
    with cheaply(queue, items):
        for round_ in range(500):
            for due in (600.5, 700.5):
                for item in items:
                    queue.put(item, due)
            for item in items[round_ % 2 :: 2]:
                queue.remove(item)
    assert sorted(due_by(queue, 1000.0)) == [item.name for item in items[0::2]]


def test_what_leaves_and_comes_back_does_not_pile_up() -> None:
    """An item that returns to its time again and again is there once."""
    queue: TimerQueue[Item] = TimerQueue()
    items = [Item(name) for name in range(20)]
    with cheaply(queue, items):
        for item in items * 2000:
            queue.put(item, 600.5)
    assert sorted(due_by(queue, 1000.0)) == list(range(20))


@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.floats(0, 6), st.integers(0, 6)), st.booleans())))
def test_it_agrees_with_a_plain_list(steps: list[tuple[int, float | None, bool]]) -> None:
    """Whatever is put, moved, removed and popped, it gives what sorting all due times would give."""
    queue: TimerQueue[Item] = TimerQueue()
    items = [Item(name) for name in range(5)]
    model: dict[int, float] = {}
    now = 0.0
    for name, due, pops in steps:
        if due is None:
            queue.remove(items[name])
            model.pop(name, None)
        else:
            queue.put(items[name], due)
            model[name] = due
        if pops:
            now += 0.7
            expected = sorted(time for time in model.values() if time <= now)
            assert queue.next_due() <= min(model.values(), default=NEVER)
            assert [model.pop(gone) for gone in due_by(queue, now)] == expected
    assert {item.name: item.due for item in items if item.due < NEVER} == model
