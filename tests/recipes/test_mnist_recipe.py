import numpy as np
import pytest
from PIL import Image

from keras_tim.data import PrincipalComponents, digits_as_pictures, mnist_digits
from keras_tim.images import read_picture, write_picture
from keras_tim.inference import sample_files
from keras_tim.inference.reading import read_input
from keras_tim.recipes import get_recipe
from keras_tim.recipes.beside import complete
from keras_tim.runs import RunSettings


@pytest.fixture(scope="module")
def tim(make_tim, mnist_components):
    tim = make_tim("mnist", quick=True)
    tim.set_components(mnist_components)
    return tim


@pytest.fixture(scope="module")
def recipe(tim):
    settings = RunSettings.of_task("mnist", images_per_selection=5)
    recipe = get_recipe("mnist")(settings)
    recipe.take_over(tim)
    return recipe


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


def test_older_models_take_what_lies_beside_them(make_tim, tmp_path):
    other = PrincipalComponents.of_digits(mnist_digits()[:2000])
    other.save(str(tmp_path / "pca.npz"))
    (tmp_path / "model.keras").write_bytes(b"a model")
    for path in (tmp_path, tmp_path / "model.keras"):
        tim = make_tim("mnist", quick=True)
        complete(tim, path)
        np.testing.assert_array_equal(tim.components.basis, other.basis)


def test_a_model_that_knows_no_components(
    make_tim, tmp_path, mnist_components, digits, monkeypatch
):
    tim = make_tim("mnist", quick=True)
    complete(tim, tmp_path)
    write_picture(tmp_path / "digit.png", digits[0])
    with pytest.raises(ValueError, match=r"run's pca\.npz"):
        read_input(tim, tmp_path / "digit.png")
    # To measure, those of the data stand in.
    seen = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *args: seen.append(text % args)
    )
    recipe = get_recipe("mnist")(RunSettings.of_task("mnist"))
    recipe.take_over(tim)
    for found in (recipe.components, tim.components):
        np.testing.assert_allclose(
            found.basis, mnist_components.basis, atol=1e-9
        )
    assert len(seen) == 1
    assert "does not say which components" in seen[0]


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


def test_holds_out_what_the_settings_name(tim):
    settings = RunSettings.of_task("mnist", held_out=("test/3", "test/9999"))
    recipe = get_recipe("mnist")(settings)
    recipe.take_over(tim)
    examples, _ = recipe.held_out(tim)
    assert [name for name, _, _ in examples] == ["test/3", "test/9999"]
    assert recipe.held_out_names(tim) == ("test/3", "test/9999")
    listed = recipe.listed(tim, ("test/9999", "test/3"))
    assert [name for name, _ in listed] == ["test/9999", "test/3"]
    for found, array in zip(listed[1][1](), examples[0][1:], strict=True):
        np.testing.assert_array_equal(found, array)


def test_faithfulness_by_hand(tim, mnist_components, digits):
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
    found = tim.faithfulness(np.repeat(samples, 3, axis=-1), given)
    assert found.shape == (3,)
    assert found[1] == pytest.approx(20.0, abs=1e-3)
    assert min(found[0], found[2]) > 90.0
    # The digit itself has the coordinates that it was given by.
    assert tim.faithfulness(digits[:1], given)[0] > 90.0


def test_projection_is_the_rebuilt_digit_clipped(tim, mnist_components, digits):
    given = mnist_components.given(digits[1])
    name, plain = tim.baseline(given, (28, 28))
    assert name == "projection"
    coordinates = mnist_components.coordinates(digits[1])[:10]
    rebuilt = np.clip(mnist_components.rebuilt(coordinates), 0.0, 1.0)
    assert plain.shape == (28, 28, 3)
    np.testing.assert_allclose(plain, np.repeat(rebuilt, 3, -1), atol=1e-6)
    # Clipping costs some of the agreement, but not much.
    assert 25.0 < tim.faithfulness(plain[None], given)[0] < 60.0
    np.testing.assert_array_equal(
        tim.shown(given), np.repeat(given, 3, axis=-1)
    )


def test_a_users_digit_is_projected(tim, mnist_components, digits, tmp_path):
    path = tmp_path / "digit.png"
    write_picture(path, digits[0])
    expected = mnist_components.given(digits[0])
    given = read_input(tim, path)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, atol=1e-6)
    # The same digit, large.
    large = Image.fromarray(np.uint8(255 * digits[0]))
    large.resize((280, 280), Image.Resampling.BICUBIC).save(path)
    assert np.abs(read_input(tim, path) - expected).mean() < 0.01
    assert np.abs(read_input(tim, path, 2) - expected).mean() < 0.02
    # Its empty sides cut off: black fills them up again.
    assert digits[0][:, :4].max() == digits[0][:, -4:].max() == 0
    write_picture(path, digits[0][:, 4:-4])
    np.testing.assert_allclose(read_input(tim, path), expected, atol=1e-6)


def test_dark_digits_on_white_are_pointed_out(
    tim, digits, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *args: seen.append(text % args)
    )
    write_picture(tmp_path / "white.png", digits[0])
    read_input(tim, tmp_path / "white.png")
    assert seen == []
    write_picture(tmp_path / "dark.png", 1.0 - digits[0])
    read_input(tim, tmp_path / "dark.png")
    assert "is mostly white" in seen[0]


def test_alternatives_of_a_file(tim, digits, tmp_path):
    write_picture(tmp_path / "digit.png", digits[2])
    written = sample_files(
        tim, [tmp_path / "digit.png"], tmp_path / "out", seeds=[0, 1]
    )
    first, second = (read_picture(path) for path in written)
    assert first.shape == (28, 28, 3)
    np.testing.assert_array_equal(first[..., 0], first[..., 2])
    assert not np.array_equal(first, second)
