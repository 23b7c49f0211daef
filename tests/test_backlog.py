"""What is due and has not started."""

from __future__ import annotations

import pytest
from attrs import define

from asyncpoll.waiting.scheduler.backlog import Backlog


@define(eq=False)
class Item:
    """Something that may stand in a queue."""

    name: int
    queued: bool = False


def filled(number: int) -> tuple[Backlog[Item], list[Item]]:
    """Return a backlog of so many items, and the items."""
    backlog: Backlog[Item] = Backlog()
    items = [Item(name) for name in range(number)]
    for item in items:
        backlog.append(item)
    return backlog, items


def test_first_come_is_first_served() -> None:
    """Items come out in the order in which they came, each of them once."""
    backlog, items = filled(3)
    assert len(backlog) == 3
    assert all(item.queued for item in items)
    assert [backlog.popleft() for _ in items] == items
    assert not any(item.queued for item in items)
    assert len(backlog) == 0
    with pytest.raises(IndexError):
        backlog.popleft()


def test_what_has_left_is_passed_over() -> None:
    """An item may leave from anywhere in the queue; the others keep their places."""
    backlog, items = filled(4)
    backlog.leave(items[0])
    backlog.leave(items[2])
    assert len(backlog) == 2
    assert [backlog.popleft().name for _ in range(2)] == [1, 3]


def test_who_comes_back_at_once_has_the_old_place() -> None:
    """Leaving and coming back costs no place, and gives no second one, even when the queue is swept in between."""
    backlog, items = filled(60)
    for item in items[20:]:
        backlog.leave(item)
    backlog.leave(items[5])
    backlog.append(items[5])
    assert len(backlog._entries) == len(backlog) == 20
    assert [backlog.popleft().name for _ in range(20)] == list(range(20))


def test_what_leaves_does_not_pile_up() -> None:
    """However many come and go while the first cannot start, the entries are bounded; an empty queue keeps none."""
    backlog, (first,) = filled(1)
    for name in range(1000):
        visitor = Item(name)
        backlog.append(visitor)
        backlog.leave(visitor)
    assert len(backlog._entries) < 20
    backlog.leave(first)
    assert len(backlog._entries) == 0
