import numpy as np
import pytest


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (101.0, 148.0, ["110", "120", "130", "140"]),
        (-0.013, 0.021, ["-0.01", "0.00", "0.01", "0.02"]),
    ],
)
def test_ticks_are_round(import_benchmark, low, high, ticks):
    found = import_benchmark("charts").round_ticks(low, high)
    assert list(found.values()) == ticks
    np.testing.assert_allclose(list(found), [float(t) for t in ticks])


@pytest.mark.parametrize("logarithmic", [False, True])
def test_points_lie_where_the_axes_say(import_benchmark, logarithmic):
    charts = import_benchmark("charts")
    chart = charts.Chart(
        (300, 200), (1, 100), (1, 100), {1: "1"}, logarithmic=logarithmic
    )
    left, bottom = chart.place(1, 1)
    right, top = chart.place(100, 100)
    assert 0 < left < right < 300
    assert 0 < top < bottom < 200
    # Half-way, by steps or by factors.
    middle = 10 if logarithmic else 50.5
    np.testing.assert_allclose(
        chart.place(middle, middle), [(left + right) / 2, (top + bottom) / 2]
    )
    before = chart.picture
    chart.dot(middle, middle, charts.RED)
    changed = (chart.picture != before).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert abs(columns.mean() - (left + right) / 2) < 1
    assert abs(rows.mean() - (top + bottom) / 2) < 1


def test_intervals_end_at_the_frame(import_benchmark):
    charts = import_benchmark("charts")
    chart = charts.Chart((300, 200), (0, 2), (0, 1), {1: "one"})
    before = chart.picture
    chart.interval(1, -5.0, 0.5)
    rows, _ = np.nonzero((chart.picture != before).any(axis=-1))
    assert abs(rows.max() - chart.place(1, 0)[1]) <= 1
    assert abs(rows.min() - chart.place(1, 0.5)[1]) <= 1
