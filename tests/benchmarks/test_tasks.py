import json

import numpy as np
import pytest


def measures(best, mean=0.5, seed=0, **others):
    """What `tasks.py` measures of three pictures, AlexNet's numbers given."""
    return {
        "lpips_alex_best": list(best),
        "lpips_alex_mean": [mean] * 3,
        "lpips_vgg_best": [0.4 + 0.01 * seed] * 3,
        "lpips_vgg_mean": [0.6] * 3,
        "pairs_alex_all": [0.1] * 3,
        "kid": 0.02,
        **others,
    }


@pytest.fixture
def table(import_benchmark):
    return import_benchmark("task_table")


def test_cells_are_means_over_seeds_with_intervals(table):
    methods = {
        "tim": [measures([0.1, 0.2, 0.3]), measures([0.1, 0.2, 0.6], seed=1)],
        "vanilla": [measures([0.3] * 3), measures([0.3] * 3, seed=1)],
    }
    plain = measures([0.7] * 3, mean=0.7)
    methods["tim"][0]["baseline"] = {**plain, "name": "bicubic"}
    factors = {"tim": 0.5, "vanilla": 2.0}
    lines = table.table_lines("super_resolution", methods, factors)
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines]
    assert [row[:3] for row in cells] == [
        ["super_resolution", "bicubic", ""],
        ["super_resolution", "tim", "0.5"],
        ["super_resolution", "vanilla", "2"],
    ]
    assert len(cells[0]) == len(table.HEAD[0].split("|")[1:-1])
    # Seeds' means are 0.2 and 0.3: a variance of 0.005; the other method has
    # none. Student's t with two degrees of freedom: 4.303.
    half = 4.303 * np.sqrt(0.0025) / np.sqrt(2)
    assert cells[1][4] == f"0.250 ± {half:.3f}"
    assert cells[2][4] == f"0.300 ± {half:.3f}"
    assert cells[0][4] == "0.700"
    assert cells[1][8:] == ["20.00 ± 0.00", "n/a"]


def test_one_seed_has_no_interval(table):
    lines = table.table_lines(
        "mnist", {"tim": [measures([0.1] * 3)]}, {"tim": 1.0}
    )
    assert "±" not in "".join(lines)


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        # Leads with a deviation of 0.01: t = 4.303 over sqrt 3.
        ([0.29, 0.30, 0.31], "0.100 ± 0.025 (95%, 3 seeds): tim is nearer"),
        ([0.09, 0.10, 0.11], "-0.100 ± 0.025 (95%, 3 seeds): gan is nearer"),
        ([0.19, 0.20, 0.22], "0.003 ± 0.038 (95%, 3 seeds): no difference"),
        ([0.29, 0.30], "0.095, 2 seeds: no claim"),
    ],
)
def test_nothing_is_claimed_that_seeds_do_not_bear_out(table, others, verdict):
    methods = {
        "gan": [measures([best] * 3) for best in others],
        "tim": [measures([0.2] * 3) for _ in others],
    }
    by_alex, by_vgg = table.comparisons(methods)
    assert by_alex.startswith("best of 10 by LPIPS-alex, gan less tim: ")
    assert verdict in by_alex
    assert "by LPIPS-vgg" in by_vgg
    assert "is nearer" not in by_vgg
    assert table.comparisons({"gan": methods["gan"]}) == []


@pytest.mark.slow
def test_tasks_choose_then_measure_once(
    run_benchmark, tmp_path, lpips_weights, inception_weights, mnist_wheel
):
    flags = [
        f"--output={tmp_path}",
        "--task=mnist",
        "--method=tim",
        "--method=regression",
        "--seed=3",
        "--seed=4",
        "--rate_factors=1",
        "--rate_factors=2",
        "--steps=2",
        "--count=3",
    ]
    run_benchmark("tasks.py", *flags)
    table = (tmp_path / "table.md").read_text()
    for name in ("projection", "tim", "regression"):
        assert f"| mnist | {name} |" in table
    assert "2 seeds: no claim" in table
    assert "neither trained nor chosen by: LPIPS-vgg and KID" in table
    for method in ("tim", "regression"):
        folder = tmp_path / f"mnist_{method}"
        tries = {
            factor: json.loads(
                (folder / f"rate{factor}_seed3/validation.json").read_text()
            )
            for factor in (1, 2)
        }
        best = min(tries, key=lambda f: np.mean(tries[f]["lpips_alex_best"]))
        # Test pictures are measured with what was chosen, and nothing else.
        assert sorted(folder.rglob("test.json")) == [
            folder / f"rate{best}_seed{seed}/test.json" for seed in (3, 4)
        ]
        assert len(list(folder.rglob("validation.json"))) == 2
        assert len(list(folder.rglob("model.keras"))) == 3
        found = json.loads((folder / f"rate{best}_seed3/test.json").read_text())
        assert found["pictures"] == 3
        assert np.isfinite(found["kid"])
        assert f"| {method} | {best} | 0." in table
        if method == "regression":
            # One answer, but for the order in which convolutions add up.
            assert max(found["pairs_alex_all"]) < 1e-6
        settings = json.loads((folder / "rate2_seed3/config.json").read_text())[
            "settings"
        ]
        assert settings["learning_rate"] == 2e-3
    files = sorted(tmp_path.rglob("*.keras")) + sorted(tmp_path.rglob("*.json"))
    made = [path.stat().st_mtime_ns for path in files]
    run_benchmark("tasks.py", *flags)
    assert [path.stat().st_mtime_ns for path in files] == made


@pytest.mark.slow
def test_photos_to_choose_by_and_to_measure_on_are_apart(
    run_benchmark, tmp_path, lpips_weights, inception_weights
):
    flags = [
        f"--output={tmp_path}",
        "--task=super_resolution",
        "--method=regression",
        "--seed=0",
        "--rate_factors=1",
        "--steps=2",
        "--count=3",
        "--crop=32",
    ]
    run_benchmark("tasks.py", *flags)
    folder = tmp_path / "super_resolution_regression" / "rate1_seed0"
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert settings["held_out"] == ["astronaut", "chelsea"]
    parts = [
        json.loads((folder / f"{part}.json").read_text())
        for part in ("validation", "test")
    ]
    assert [part["pictures"] for part in parts] == [3, 3]
    assert parts[0]["baseline"]["name"] == "bicubic"
    assert parts[0]["lpips_alex_best"] != parts[1]["lpips_alex_best"]
    assert (
        "| super_resolution | bicubic |" in (tmp_path / "table.md").read_text()
    )


def test_tasks_refuse_to_measure_what_is_learnt_from(
    run_refused, noise_photos, tmp_path
):
    flags = [f"--output={tmp_path}", "--task=colourization"]
    folders = [f"--photos={noise_photos}", f"--test_photos={noise_photos}"]
    assert "three different folders" in run_refused(
        "tasks.py", *flags, *folders
    )
