"""Prefetching keeps the order, is bounded, raises errors in place and leaves no thread."""

import threading
from collections.abc import Iterator

import pytest

from storemon_pipeline.concurrency import prefetch

DEPTHS = pytest.mark.parametrize("depth", [1, 2, 5])


@DEPTHS
def test_prefetch_returns_results_in_order(depth: int):
    with prefetch(str, iter(range(100)), depth) as results:
        assert list(results) == list(map(str, range(100)))
    with prefetch(str, [], depth) as results:
        assert list(results) == []


@DEPTHS
def test_prefetch_buffers_at_most_depth_results(depth: int):
    taken = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    with prefetch(abs, items(), depth) as results:
        for result in results:
            assert len(taken) <= result + 1 + depth


def test_prefetch_calls_the_function_in_depth_threads():
    both = threading.Barrier(2, timeout=30)

    def meet(item: int) -> int:
        both.wait()
        return item

    with prefetch(meet, range(4), 2) as results:
        assert list(results) == [0, 1, 2, 3]


@DEPTHS
def test_prefetch_raises_an_error_of_an_item_in_its_place(depth: int):
    def items() -> Iterator[int]:
        yield 1
        raise MemoryError("no room")

    used = []
    with prefetch(abs, items(), depth) as results, pytest.raises(MemoryError, match="no room"):
        used.extend(results)
    assert used == [1]


@DEPTHS
def test_prefetch_raises_an_error_of_the_function_in_its_place(depth: int):
    used = []
    with (
        prefetch(lambda item: 1 / item, [1, 0, 1], depth) as results,
        pytest.raises(ZeroDivisionError),
    ):
        used.extend(results)
    assert used == [1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_prefetch_leaves_no_thread_after_an_error(error: type[BaseException]):
    def use() -> None:
        with prefetch(abs, range(10)) as results:
            for result in results:
                raise error(result)

    before = threading.active_count()
    with pytest.raises(error):
        use()
    assert threading.active_count() == before
