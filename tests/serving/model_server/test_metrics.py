"""What is counted, and how it is told."""

from __future__ import annotations

import threading

from sightline_serving.model_server.metrics import UNBOOKED, Counter, Histogram, Metrics


def test_nothing_is_told_of_what_has_not_happened() -> None:
    assert Metrics().page() == "\n"


def test_a_counter() -> None:
    counter = Counter("/some/count", "model", "status")
    counter.add("a", "OK")
    counter.add("a", "OK", amount=2)
    counter.add('quoted "b"\\', "OK")
    assert list(counter.lines()) == [
        "# TYPE :some:count counter",
        ':some:count{model="a",status="OK"} 3',
        ':some:count{model="quoted \\"b\\"\\\\",status="OK"} 1',
    ]


def test_a_histogram() -> None:
    histogram = Histogram("/some/size", "model", buckets=(1.0, 2.0))
    for value in (0.5, 1.0, 5.0):
        histogram.add(value, "a")
    assert list(histogram.lines()) == [
        "# TYPE :some:size histogram",
        ':some:size_bucket{model="a",le="1"} 1',
        ':some:size_bucket{model="a",le="2"} 2',
        ':some:size_bucket{model="a",le="+Inf"} 3',
        ':some:size_sum{model="a"} 6.5',
        ':some:size_count{model="a"} 3',
    ]


def test_nothing_is_lost_between_threads() -> None:
    counter = Counter("/some/count")
    each = 2 * UNBOOKED + 1

    def count() -> None:
        for _ in range(each):
            counter.add()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        list(counter.lines())  # told in between, as a scrape would have it
    for thread in threads:
        thread.join()
    assert list(counter.lines())[1] == f":some:count{{}} {4 * each}"
    assert len(counter._news) == 0


def test_what_nobody_asks_for_does_not_pile_up() -> None:
    counter = Counter("/some/count")
    for _ in range(10 * UNBOOKED):
        counter.add()
        assert len(counter._news) <= UNBOOKED
