"""Items are made one ahead, in order; an error comes out as itself and leaves no thread behind."""

import threading
from collections.abc import Iterator

import pytest

from storemon_pipeline.concurrency import prefetch


def test_the_items_are_the_same_in_the_same_order():
    with prefetch(iter(range(100))) as items:
        assert list(items) == list(range(100))
    with prefetch(iter([])) as items:
        assert list(items) == []


def test_never_more_than_one_item_waits():
    made = []

    def make() -> Iterator[int]:
        for item in range(10):
            made.append(item)
            yield item

    with prefetch(make()) as items:
        for item in items:
            assert len(made) <= item + 2


def test_an_error_is_raised_where_its_item_would_be_used():
    def make() -> Iterator[int]:
        yield 1
        raise MemoryError("no room")

    used = []
    with prefetch(make()) as items, pytest.raises(MemoryError, match="no room"):
        used.extend(items)
    assert used == [1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_using_an_item_leaves_no_thread(error: type[BaseException]):
    def use() -> None:
        with prefetch(iter(range(10))) as items:
            for item in items:
                raise error(item)

    before = threading.active_count()
    with pytest.raises(error):
        use()
    assert threading.active_count() == before
