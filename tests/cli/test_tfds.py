"""`train` and `evaluate` on a TensorFlow data set without a test split."""

import json

import pytest

from keras_tim.cli.main import main


@pytest.fixture(scope="module", autouse=True)
def without_graphs(eagerly):
    """Graphs of a run are those of `test_commands.py`."""
    with eagerly():
        yield


def test_train_and_evaluate(tfds_folder, tiny, lpips_weights, tmp_path, capsys):
    data = ["--data=tfds:pair", f"--data_dir={tfds_folder}"]
    run = f"--run={tmp_path / 'run'}"
    flags = [flag for flag in tiny if not flag.startswith("--crop_size")]
    assert main(["train", run, *data, *flags, "--crop_size=16"]) == 0
    row = json.loads((tmp_path / "run" / "report.json").read_text())[0]
    assert row["name"] == "pair/validation/0"

    def measured(output, *flags):
        output = tmp_path / output
        model = [f"--model={tmp_path / 'run'}", f"--output={output}"]
        assert main(["evaluate", *model, "--num_samples=2", *flags]) == 0
        result = json.loads((output / "evaluation.json").read_text())
        return [picture["name"] for picture in result["pictures"]]

    seen_before = "measures of pictures that a model has seen"
    held_out = ["pair/validation/0", "pair/validation/1"]
    assert measured("own") == held_out
    assert measured("all", *data) == held_out
    assert seen_before not in capsys.readouterr().err
    trained_on = ["--data=tfds:pair:train", data[1]]
    assert measured("trained", *trained_on, "--count=1") == ["pair/train/0"]
    assert seen_before in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags", [["--data=tfds:pair:tset"], ["--data=tfds:pair", "--held_out=dev"]]
)
def test_a_split_that_is_not_there(flags, tfds_folder, tmp_path, capsys):
    folders = [f"--run={tmp_path / 'run'}", f"--data_dir={tfds_folder}"]
    assert main(["train", *folders, *flags]) == 1
    assert "has the splits train, validation" in capsys.readouterr().err
