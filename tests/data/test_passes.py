import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.data import crop_dataset, layout_dataset, mnist_dataset
from keras_tim.data.passes import successive_passes

LENGTH, BATCH = 7, 3


def one_pass(number, left_out):
    numbers = 10 * number + tf.range(LENGTH, dtype=tf.int64)
    return tf.data.Dataset.from_tensor_slices(numbers[left_out:])


def digest(batch):
    return tuple(x.numpy().tobytes() for x in tf.nest.flatten(batch))


@pytest.mark.parametrize("start", [0, 1, 2, 7, 100])
def test_endless_passes_begin_at_any_batch(start):
    dataset = successive_passes(one_pass, LENGTH, BATCH, True, start)
    expected = [
        10 * (n // LENGTH) + n % LENGTH
        for n in range(BATCH * start, BATCH * start + 20)
    ]
    for _ in range(2):  # every iteration begins there
        assert [int(n) for n in dataset.take(20)] == expected


def test_a_variable_is_read_when_an_iteration_begins():
    with tf.device("CPU"):
        start = tf.Variable(0, dtype=tf.int64)
    dataset = successive_passes(one_pass, LENGTH, BATCH, True, start)
    assert int(next(iter(dataset))) == 0
    start.assign(3)
    assert [int(n) for n in dataset.take(2)] == [12, 13]


def test_single_passes_follow_one_another():
    dataset = successive_passes(one_pass, LENGTH, BATCH, False)
    for number in range(3):
        expected = list(range(10 * number, 10 * number + LENGTH))
        assert [int(n) for n in dataset] == expected


@pytest.mark.parametrize(
    ("start", "repeat"), [(-1, True), (1, False), (1.0, True), (True, True)]
)
def test_refuses(start, repeat):
    with pytest.raises(ValueError, match="`start` must"):
        successive_passes(one_pass, LENGTH, BATCH, repeat, start)


def photos(count=5):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 20, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("crops_per_picture", [1, 3])
@pytest.mark.parametrize("cache", [True, False])
def test_crops_go_on_as_they_would_have(cache, crops_per_picture, shuffle):
    options = {
        "crop_size": 8,
        "batch_size": 4,
        "seed": 3,
        "repeat": True,
        "enlarged": 0.5,
        "cache": cache,
        "crops_per_picture": crops_per_picture,
        "shuffle": shuffle,
    }
    whole = [digest(b) for b in crop_dataset(photos(), **options).take(12)]
    assert len(set(whole)) > 5 or not shuffle
    for start in (0, 1, 4, 9):
        later = crop_dataset(photos(), start=start, **options)
        assert [digest(b) for b in later.take(3)] == whole[start : start + 3]


def test_the_next_photo_stands_in_for_a_damaged_one(tmp_path):
    for number in range(5):
        photo = np.full((20, 24, 3), number, np.uint8)
        Image.fromarray(photo).save(tmp_path / f"{number}.bmp")
    for number in (2, 3):
        damaged = tmp_path / f"{number}.bmp"
        damaged.write_bytes(damaged.read_bytes()[:800])

    def seen(start, count):
        dataset = crop_dataset(
            tmp_path,
            crop_size=8,
            batch_size=2,
            repeat=True,
            cache=False,
            start=start,
        )
        values = [255 * batch[:, 0, 0, 0] for batch in dataset.take(count)]
        return np.rint(np.concatenate(values)).astype(int)

    whole = seen(0, 10)
    for number in range(4):
        one_pass = sorted(whole[5 * number : 5 * (number + 1)])
        assert one_pass == [0, 1, 4, 4, 4]
    np.testing.assert_array_equal(seen(6, 3), whole[12:18])


@pytest.mark.parametrize("cache", [True, False])
def test_layouts_go_on_as_they_would_have(cache):
    options = {"batch_size": 3, "seed": 1, "repeat": True, "cache": cache}
    options |= {"only": ("coffee*",)}
    whole = [digest(b) for b in layout_dataset(**options).take(20)]
    for start in (1, 13):
        later = layout_dataset(start=start, **options)
        assert [digest(b) for b in later.take(3)] == whole[start : start + 3]


@pytest.fixture
def few_digits(monkeypatch):
    from keras_tim.data import mnist_digits

    digits = mnist_digits()[:60]
    monkeypatch.setattr(
        "keras_tim.data.mnist.mnist_digits", lambda *_, **__: digits
    )


def test_digits_go_on_as_they_would_have(mnist_components, few_digits):
    options = {"components": mnist_components, "batch_size": 20}
    options |= {"seed": 1, "repeat": True}
    whole = [digest(b) for b in mnist_dataset(**options).take(7)]
    later = mnist_dataset(start=4, **options)
    assert [digest(b) for b in later.take(3)] == whole[4:7]


def test_digits_have_a_new_order_every_pass(mnist_components, few_digits):
    dataset = mnist_dataset(components=mnist_components, batch_size=60)
    first, second = digest(next(iter(dataset))), digest(next(iter(dataset)))
    assert first != second
