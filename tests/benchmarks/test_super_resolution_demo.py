import pytest


@pytest.mark.slow
def test_photos_are_held_out_in_turn(run_benchmark, tmp_path, lpips_weights):
    folder = tmp_path / "runs"
    flags = [
        *("--held_out", "coffee", "rocket"),
        *("--steps", "12"),
        *("--folder", str(folder)),
    ]
    printed = run_benchmark("super_resolution_demo.py", *flags)
    rows = printed.splitlines()[-4:]
    assert [row.split(" | ")[1] for row in rows] == [
        "coffee",
        "coffee, 54 crops of 64 px",
        "rocket",
        "rocket, 60 crops of 64 px",
    ]
    models = [folder / f"{name}_0/model.keras" for name in ("coffee", "rocket")]
    times = [model.stat().st_mtime_ns for model in models]
    # What is there is not trained again, and is of these flags alone.
    again = run_benchmark("super_resolution_demo.py", *flags)
    assert again.splitlines()[-4:] == rows
    assert [model.stat().st_mtime_ns for model in models] == times
    with pytest.raises(AssertionError, match="trained with other flags"):
        run_benchmark("super_resolution_demo.py", *flags, "--minutes", "3")
