"""Now against then."""

from hypothesis import given
from hypothesis import strategies as st

from analysis.trend import HOUR_MS, Trend, compare, nearest, sparkline

NOW = 10 * HOUR_MS


def test_compares_with_the_nearest_sample_within_the_tolerance() -> None:
    series = [(NOW - HOUR_MS - 50_000, 1.0), (NOW - HOUR_MS + 10_000, 8.0), (NOW, 3.0)]
    assert compare(series, 10, NOW, HOUR_MS) == Trend(then=8, then_ms=NOW - HOUR_MS + 10_000, change=2, ratio=0.25)


def test_is_unknown_where_either_side_is() -> None:
    series = [(NOW - HOUR_MS, None), (NOW - HOUR_MS - 120_001, 5.0)]
    assert compare(series, 10, NOW, HOUR_MS) is None
    assert compare([(NOW - HOUR_MS, 5.0)], None, NOW, HOUR_MS) is None
    assert compare([], 10, NOW, HOUR_MS) is None


def test_a_share_of_nothing_is_unknown() -> None:
    found = compare([(NOW - HOUR_MS, 0.0)], 10, NOW, HOUR_MS)
    assert found is not None
    assert (found.change, found.ratio) == (10, None)


def test_unknown_samples_give_way_to_known_ones_near() -> None:
    assert nearest([(900, 1.0), (1000, None), (1099, 2.0)], 1000, 100) == (1099, 2.0)


def test_a_sparkline_is_means_of_equal_spans_and_keeps_gaps() -> None:
    series = [(0, 1.0), (5, 3.0), (10, None), (25, 7.0), (39, 9.0), (40, 100.0)]
    assert sparkline(series, 0, 40, points=4) == [2.0, None, 7.0, 9.0]
    assert sparkline([], 0, 0) == []


@given(st.lists(st.tuples(st.integers(-10, 5000), st.floats(-1e6, 1e6)), max_size=200), st.integers(1, 5000))
def test_a_sparkline_has_60_points_within_its_values(series: list[tuple[int, float]], until: int) -> None:
    inside = [value for ms, value in series if 0 <= ms < until]
    line = sparkline(sorted(series), 0, until)
    assert len(line) == 60
    known = [point for point in line if point is not None]
    assert bool(known) == bool(inside)
    assert all(min(inside) - 1e-6 <= point <= max(inside) + 1e-6 for point in known)
