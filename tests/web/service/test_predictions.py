from web.service.predictions import RecentPredictions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_item_is_found_until_its_age_is_over() -> None:
    clock = Clock()
    recent = RecentPredictions[str](max_age_s=10, clock=clock)
    recent.put("a", "first", size=1)
    clock.now = 9.9
    assert recent.get("a") == "first"
    clock.now = 10.0
    assert recent.get("a") is None
    assert len(recent) == 0


def test_the_oldest_goes_first_when_memory_is_full() -> None:
    recent = RecentPredictions[int](max_bytes=30_000, clock=Clock())
    for number in range(5):
        recent.put(str(number), number, size=8_000)  # with the overhead 10,000 each
    assert [recent.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]


def test_many_tiny_items_stay_within_the_limit_too() -> None:
    recent = RecentPredictions[int](max_bytes=100_000, clock=Clock())
    for number in range(1000):
        recent.put(str(number), number, size=0)
    assert len(recent) == 50


def test_an_item_larger_than_the_limit_is_not_kept() -> None:
    recent = RecentPredictions[str](max_bytes=10_000, clock=Clock())
    recent.put("a", "huge", size=20_000)
    assert recent.get("a") is None


def test_putting_a_key_again_replaces_the_item_and_its_size() -> None:
    recent = RecentPredictions[str](max_bytes=20_000, clock=Clock())
    for text in ("one", "two", "three"):
        recent.put("a", text, size=15_000)
    assert recent.get("a") == "three"
