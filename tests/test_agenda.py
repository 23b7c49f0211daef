"""What is due when."""

from __future__ import annotations

import random

from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.waiting.scheduler.agenda import NEVER, Agenda


@define(eq=False)
class Item:
    """Something that may be due."""

    name: int
    due: float = NEVER


def due_by(agenda: Agenda[Item], now: float) -> list[int]:
    """Return the names of all that is due, in the order in which it comes."""
    names: list[int] = []
    while (item := agenda.pop(now)) is not None:
        names.append(item.name)
    return names


def entries(agenda: Agenda[Item]) -> int:
    """Return how many entries an agenda keeps."""
    return len(agenda._near) + sum(map(len, agenda._far.values()))


def test_what_is_due_comes_in_order() -> None:
    """Items come by due time, never before it, whether their second has begun or lies ahead."""
    agenda: Agenda[Item] = Agenda()
    for name, due in enumerate([5.5, 0.2, 5.1, 900.0, 0.1, 5.9]):
        agenda.put(Item(name), due)
    assert due_by(agenda, 0.05) == []
    assert due_by(agenda, 0.2) == [4, 1]
    assert due_by(agenda, 5.5) == [2, 0]
    assert due_by(agenda, 1000.0) == [5, 3]
    assert agenda.next_due() == NEVER


def test_what_is_due_at_the_same_time_comes_first_come_first_served() -> None:
    """Of equal due times the one that was put first is first, in the second that has begun and in those ahead."""
    agenda: Agenda[Item] = Agenda()
    agenda.pop(7.0)
    agenda.put(Item(-1), 7.0)
    assert due_by(agenda, 7.0) == [-1]
    for name in range(5):
        agenda.put(Item(name), 7.5)
        agenda.put(Item(name + 10), 9.5)
    assert due_by(agenda, 10.0) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_an_item_is_due_once() -> None:
    """Moved to and fro, even back to where it was, an item comes once, at the time it was put to last."""
    agenda: Agenda[Item] = Agenda()
    item = Item(1)
    for due in (3.5, 8.5, 3.5, 3.5):
        agenda.put(item, due)
    assert agenda.pop(3.4) is None
    for due in (3.6, 3.8, 3.6):
        agenda.put(item, due)
    assert due_by(agenda, 100.0) == [1]
    assert item.due == NEVER


def test_an_item_can_be_taken_off() -> None:
    """What is removed, or put to never, does not come; removing what is not on does nothing."""
    agenda: Agenda[Item] = Agenda()
    near, far, off = Item(1), Item(2), Item(3)
    agenda.put(near, 0.5)
    agenda.pop(0.1)
    agenda.put(far, 50.0)
    agenda.remove(near)
    agenda.put(far, NEVER)
    agenda.remove(off)
    assert (near.due, far.due, off.due) == (NEVER, NEVER, NEVER)
    assert due_by(agenda, 100.0) == []


def test_it_says_when_to_look_again() -> None:
    """That is the first due time once its second has begun, and before that the beginning of its second."""
    agenda: Agenda[Item] = Agenda()
    assert agenda.next_due() == NEVER
    first, second = Item(1), Item(2)
    agenda.put(first, 5.25)
    agenda.put(second, 5.75)
    assert agenda.next_due() == 5
    assert agenda.pop(5.0) is None
    assert agenda.next_due() == 5.25
    agenda.remove(first)
    assert agenda.next_due() == 5.75
    agenda.put(first, 5.5)
    assert agenda.next_due() == 5.5


def test_only_the_current_second_stands_in_the_heap() -> None:
    """Waits that are far from due cost no heap entry, also when nothing else is due before them."""
    agenda: Agenda[Item] = Agenda()
    chance = random.Random(1)
    agenda.put(Item(0), 600.0)
    agenda.next_due()
    for name in range(1000):
        agenda.put(Item(name), 1 + 30 * chance.random())
    due_by(agenda, 3.0)
    assert len(agenda._near) < 80


def test_what_keeps_moving_does_not_pile_up() -> None:
    """A deadline far ahead that is noted and removed at every poll leaves a bounded number of entries."""
    agenda: Agenda[Item] = Agenda()
    items = [Item(name) for name in range(20)]
    for round_ in range(50):
        for item in items:
            agenda.put(item, 600.5)
        for item in items:
            agenda.put(item, 700.5)
        for item in items[round_ % 2 :: 2]:
            agenda.remove(item)
    assert entries(agenda) < 100
    assert sorted(due_by(agenda, 1000.0)) == [item.name for item in items[0::2]]


def test_what_leaves_and_comes_back_does_not_pile_up() -> None:
    """An item that returns to its second again and again is there once when the others' entries are swept."""
    agenda: Agenda[Item] = Agenda()
    items = [Item(name) for name in range(20)]
    for item in items * 200:
        agenda.put(item, 600.5)
    assert entries(agenda) < 100
    assert sorted(due_by(agenda, 1000.0)) == list(range(20))


@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.floats(0, 6), st.integers(0, 6)), st.booleans())))
def test_it_agrees_with_a_plain_list(steps: list[tuple[int, float | None, bool]]) -> None:
    """Whatever is put, moved, removed and popped, it gives what sorting all due times would give."""
    agenda: Agenda[Item] = Agenda()
    items = [Item(name) for name in range(5)]
    model: dict[int, float] = {}
    now = 0.0
    for name, due, pops in steps:
        if due is None:
            agenda.remove(items[name])
            model.pop(name, None)
        else:
            agenda.put(items[name], due)
            model[name] = due
        if pops:
            now += 0.7
            expected = sorted(time for time in model.values() if time <= now)
            assert agenda.next_due() <= min(model.values(), default=NEVER)
            assert [model.pop(gone) for gone in due_by(agenda, now)] == expected
    assert {item.name: item.due for item in items if item.due < NEVER} == model
