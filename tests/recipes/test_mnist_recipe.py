import numpy as np
import pytest
from PIL import Image

from keras_tim.data import PrincipalComponents, digits_as_pictures, mnist_digits
from keras_tim.images import read_picture, write_picture
from keras_tim.inference import sample_files
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim("mnist", quick=True)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, mnist_components):
    """As a run leaves it, but for the model."""
    folder = tmp_path_factory.mktemp("run")
    mnist_components.save(str(folder / "pca.npz"))
    return folder


@pytest.fixture(scope="module")
def recipe(run_folder):
    settings = RunSettings.of_task("mnist", images_per_selection=5)
    return get_recipe("mnist")(settings, str(run_folder))


@pytest.fixture(scope="module")
def digits(mnist_wheel):
    """The first four of the test split: 7, 2, 1 and 0."""
    return digits_as_pictures(mnist_digits(split="test")[:4])


def test_an_earlier_runs_components_are_replaced(tmp_path, mnist_components):
    (tmp_path / "pca.npz").write_bytes(b"of an earlier run")
    recipe = get_recipe("mnist")(RunSettings.of_task("mnist"), tmp_path)
    recipe.prepare()
    assert (tmp_path / "pca.npz").read_bytes() == b"of an earlier run"
    recipe.save()
    assert [path.name for path in tmp_path.iterdir()] == ["pca.npz"]
    stored = PrincipalComponents.load(tmp_path / "pca.npz")
    np.testing.assert_allclose(stored.basis, mnist_components.basis, atol=1e-9)


def test_components_of_the_run_are_used(run_folder, tmp_path, digits):
    settings = RunSettings.of_task("mnist")
    other = PrincipalComponents.of_digits(mnist_digits()[:2000])
    other.save(str(tmp_path / "pca.npz"))
    (tmp_path / "model.keras").write_bytes(b"a model")
    for folder in (tmp_path, tmp_path / "model.keras"):
        found = get_recipe("mnist")(settings, folder).components
        np.testing.assert_array_equal(found.basis, other.basis)


def test_model_without_components_beside_it(
    tmp_path, mnist_components, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *args: seen.append(text % args)
    )
    path = tmp_path / "model.keras"
    path.write_bytes(b"a model")
    found = get_recipe("mnist")(RunSettings.of_task("mnist"), path).components
    np.testing.assert_allclose(found.basis, mnist_components.basis, atol=1e-9)
    assert len(seen) == 1
    assert f"{tmp_path / 'pca.npz'} does not exist" in seen[0]


def test_holds_out_digits_of_the_test_split(tim, recipe, digits):
    examples, excluded = recipe.held_out(tim)
    assert [name for name, _, _ in examples] == [
        f"test/{row}" for row in range(8)
    ]
    assert tuple(excluded) == ()
    np.testing.assert_array_equal(examples[3][2], digits[3])
    inputs, targets = next(iter(recipe.dataset(tim, excluded, seed=0)))
    assert inputs.shape == (5, 28, 28, 1)
    assert targets.shape == (5, 28, 28, 3)


def test_holds_out_what_the_settings_name(tim, run_folder):
    settings = RunSettings.of_task("mnist", held_out=("test/3", "test/9999"))
    recipe = get_recipe("mnist")(settings, run_folder)
    examples, _ = recipe.held_out(tim)
    assert [name for name, _, _ in examples] == ["test/3", "test/9999"]
    assert recipe.held_out_names(tim) == ("test/3", "test/9999")
    listed = recipe.listed(tim, ("test/9999", "test/3"))
    assert [name for name, _ in listed] == ["test/9999", "test/3"]
    for found, array in zip(listed[1][1](), examples[0][1:], strict=True):
        np.testing.assert_array_equal(found, array)


def test_faithfulness_by_hand(recipe, mnist_components, digits):
    given = mnist_components.given(digits[0])
    rebuilt = mnist_components.rebuilt(
        mnist_components.given_coordinates(given)
    )
    basis = mnist_components.basis
    # Off by 2.8 along the first component, by 5 along the eleventh: only the
    # first one counts, and (2.8 / 28) ** 2 is -20 dB.
    samples = np.stack(
        [
            rebuilt,
            rebuilt + 2.8 * basis[0].reshape(28, 28, 1),
            rebuilt + 5.0 * basis[10].reshape(28, 28, 1),
        ]
    )
    found = recipe.faithfulness(np.repeat(samples, 3, axis=-1), given)
    assert found.shape == (3,)
    assert found[1] == pytest.approx(20.0, abs=1e-3)
    assert min(found[0], found[2]) > 90.0
    # The digit itself has the coordinates that it was given by.
    assert recipe.faithfulness(digits[:1], given)[0] > 90.0


def test_projection_is_the_rebuilt_digit_clipped(
    recipe, mnist_components, digits
):
    given = mnist_components.given(digits[1])
    name, plain = recipe.baseline(given, (28, 28))
    assert name == "projection"
    coordinates = mnist_components.coordinates(digits[1])[:10]
    rebuilt = np.clip(mnist_components.rebuilt(coordinates), 0.0, 1.0)
    assert plain.shape == (28, 28, 3)
    np.testing.assert_allclose(plain, np.repeat(rebuilt, 3, -1), atol=1e-6)
    # Clipping costs some of the agreement, but not much.
    assert 25.0 < recipe.faithfulness(plain[None], given)[0] < 60.0
    np.testing.assert_array_equal(
        recipe.shown(given), np.repeat(given, 3, axis=-1)
    )


def test_a_users_digit_is_projected(
    tim, recipe, mnist_components, digits, tmp_path
):
    path = tmp_path / "digit.png"
    write_picture(path, digits[0])
    expected = mnist_components.given(digits[0])
    given = recipe.read_input(tim, path)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, atol=1e-6)
    # The same digit, large.
    large = Image.fromarray(np.uint8(255 * digits[0]))
    large.resize((280, 280), Image.Resampling.BICUBIC).save(path)
    assert np.abs(recipe.read_input(tim, path) - expected).mean() < 0.01
    assert np.abs(recipe.read_input(tim, path, 2) - expected).mean() < 0.02
    # Its empty sides cut off: black fills them up again.
    assert digits[0][:, :4].max() == digits[0][:, -4:].max() == 0
    write_picture(path, digits[0][:, 4:-4])
    np.testing.assert_allclose(
        recipe.read_input(tim, path), expected, atol=1e-6
    )


def test_dark_digits_on_white_are_pointed_out(
    tim, recipe, digits, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *args: seen.append(text % args)
    )
    write_picture(tmp_path / "white.png", digits[0])
    recipe.read_input(tim, tmp_path / "white.png")
    assert seen == []
    write_picture(tmp_path / "dark.png", 1.0 - digits[0])
    recipe.read_input(tim, tmp_path / "dark.png")
    assert "dark.png is mostly white" in seen[0]


def test_alternatives_of_a_file(tim, recipe, digits, tmp_path):
    write_picture(tmp_path / "digit.png", digits[2])
    written = sample_files(
        tim, recipe, [tmp_path / "digit.png"], tmp_path / "out", seeds=[0, 1]
    )
    first, second = (read_picture(path) for path in written)
    assert first.shape == (28, 28, 3)
    np.testing.assert_array_equal(first[..., 0], first[..., 2])
    assert not np.array_equal(first, second)
