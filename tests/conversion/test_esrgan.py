"""Readers of ESRGAN-type upscalers, against a plain RRDBNet of random weights.

The reference is written with TensorFlow's own operations from the published
architecture; the files are written here as PyTorch, safetensors and ncnn do.
"""

import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.assets.upscalers import (
    MIDDLE_NAMES,
    NEW_NAMES,
    OLD_NAMES,
    read_esrgan,
)
from keras_tim.conversion import CheckpointError, load_esrgan
from keras_tim.runs import RunSettings, load_run, train

CHANNELS, GROWTH, BLOCKS = 6, 4, 2
SMALL = {"mapping_width": 4, "mapping_depth": 1, "style_dim": 3}


def convolutions():
    rng = np.random.default_rng(0)
    dense = [(GROWTH, CHANNELS + j * GROWTH) for j in range(4)]
    dense.append((CHANNELS, CHANNELS + 4 * GROWTH))
    shapes = [
        (CHANNELS, 3),
        *dense * 3 * BLOCKS,
        *[(CHANNELS, CHANNELS)] * 4,
        (3, CHANNELS),
    ]
    return [
        (
            # Half precision holds them exactly.
            rng.normal(0.0, 0.2, (*s, 3, 3)).astype("float16").astype("f4"),
            rng.normal(0.0, 0.1, s[0]).astype("float32"),
        )
        for s in shapes
    ]


def upscaled(x, weights):
    """The RRDBNet of ESRGAN, plainly."""
    remaining = iter(weights)

    def convolve(x):
        kernel, bias = next(remaining)
        return tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), 1, "SAME") + bias

    def active(x):
        return tf.nn.leaky_relu(x, 0.2)

    def enlarged(x):
        return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)

    first = x = convolve(x)
    for _ in range(BLOCKS):
        start = x
        for _ in range(3):
            maps = [x]
            for _ in range(4):
                maps.append(active(convolve(tf.concat(maps, -1))))
            x = x + 0.2 * convolve(tf.concat(maps, -1))
        x = start + 0.2 * x
    x = first + convolve(x)
    for _ in range(2):
        x = active(convolve(enlarged(x)))
    return convolve(active(convolve(x)))


def named(names, prefix=""):
    first, block, *behind = names
    listed = [
        first,
        *(
            block.format(n=n, i=i, j=j)
            for n in range(BLOCKS)
            for i in (1, 2, 3)
            for j in (1, 2, 3, 4, 5)
        ),
        *(name.format(count=BLOCKS) for name in behind),
    ]
    return {
        f"{prefix}{name}.{part}": array
        for name, pair in zip(listed, convolutions(), strict=True)
        for part, array in zip(("weight", "bias"), pair, strict=True)
    }


def write_ncnn(folder, half=True, weights=None):
    weights = convolutions() if weights is None else weights
    lines = ["7767517", "0 0", "Input data 0 1 data"]
    content = b""
    for number, (kernel, bias) in enumerate(weights):
        lines.append(
            f"Convolution c{number} 1 1 a b 0={kernel.shape[0]} 1=3 4=1 5=1 "
            f"6={kernel.size} 9=2 -23310=1,2.000000e-01"
        )
        raw = kernel.astype("<f2" if half else "<f4").tobytes()
        mark = 0x01306B47 if half else 0
        content += mark.to_bytes(4, "little")
        content += raw + b"\0" * (-len(raw) % 4) + bias.tobytes()
    (folder / "net.param").write_text("\n".join(lines) + "\n")
    (folder / "net.bin").write_bytes(content)
    return folder / "net.bin"


def pairs():
    rng = np.random.default_rng(3)
    return [rng.random((3, n, n, 3), dtype="float32") for n in (4, 16)]


def silent(tim, pictures):
    """The outputs at codes of zeros."""
    codes = tim.draw_codes(pictures, num_samples=1, seed=0)
    return tim(pictures, [(0.0 * style, 0.0 * noise) for style, noise in codes])


@pytest.mark.parametrize("half", [True, False])
def test_codes_of_zeros_give_the_upscalers_picture(tmp_path, half):
    tim = load_esrgan(write_ncnn(tmp_path, half), modulated_blocks=1, **SMALL)
    x = np.random.default_rng(1).random((2, 5, 7, 3), dtype="float32")
    expected = tf.clip_by_value(upscaled(x, convolutions()), 0.0, 1.0)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(silent(tim, x)[-1], expected, atol=1e-5)
    # Codes make a difference.
    samples = tim.sample(x, num_samples=2, seed=0)
    assert np.abs(samples[:, 0] - samples[:, 1]).max() > 1e-3


@pytest.mark.parametrize(
    ("names", "prefix"),
    [(NEW_NAMES, "params_ema."), (MIDDLE_NAMES, ""), (OLD_NAMES, "")],
)
def test_every_age_of_names(tmp_path, names, prefix):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "net.safetensors"
    safetensors.save_file(named(names, prefix), path)
    for got, expected in zip(read_esrgan(path), convolutions(), strict=True):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_plain_part_stays_in_training(tmp_path):
    tim = load_esrgan(write_ncnn(tmp_path), modulated_blocks=1, **SMALL)
    frozen = {
        weight.path: weight.numpy()
        for layer in tim.tower[0].plain_layers()
        for weight in layer.weights
    }
    moving = tim.tower[0].blocks[1].weights[0].numpy()
    inputs, targets = pairs()
    tim.compile(
        optimizer="adam",
        distance="mean_squared_error",
        num_samples=2,
        images_per_selection=3,
        steps_per_selection=2,
        mini_batch_size=2,
        # Takes less than to trace it, here and below.
        run_eagerly=True,
    )
    tim.fit(inputs, targets, batch_size=3, verbose=0)
    for weight in tim.weights:
        if weight.path in frozen:
            np.testing.assert_array_equal(weight, frozen[weight.path])
    assert len(frozen) == 32
    assert np.abs(tim.tower[0].blocks[1].weights[0] - moving).max() > 0


def test_trunk_learns_at_its_own_rate(tmp_path):
    steps = []
    for factor in (1.0, 0.1):
        tim = load_esrgan(
            write_ncnn(tmp_path),
            modulated_blocks=1,
            trunk_learning_rate_multiplier=factor,
            **SMALL,
        )
        kernel = tim.tower[1].resize_convolutions[0].kernel
        before = kernel.numpy()
        inputs, targets = pairs()
        tim.compile(
            optimizer="adam",
            distance="mean_squared_error",
            num_samples=1,
            run_eagerly=True,
        )
        tim.fit(inputs, targets, batch_size=3, verbose=0)
        steps.append(np.abs(kernel - before).mean())
    assert steps[1] == pytest.approx(0.1 * steps[0], rel=0.05)


def damaged(kind, folder):
    path = write_ncnn(folder)
    if kind == "short":
        path.write_bytes(path.read_bytes()[:-8])
    elif kind == "long":
        path.write_bytes(path.read_bytes() + b"1234")
    elif kind == "quantised":
        path.write_bytes(b"\x4b\xe6\xd4\x00" + path.read_bytes()[4:])
    elif kind == "nan":
        path.write_bytes(path.read_bytes()[:4] + b"\xff" * 8)
    elif kind == "other layers":
        param = folder / "net.param"
        param.write_text(param.read_text() + "PixelShuffle p 1 1 a b 0=2\n")
    elif kind == "no network":
        write_ncnn(folder, weights=convolutions()[:5])
    elif kind == "giant":
        param = folder / "net.param"
        first = f"0={CHANNELS} 1=3 4=1 5=1 6={CHANNELS * 27}"
        giant = "0=1000000 1=3 4=1 5=1 6=27000000000"
        param.write_text(param.read_text().replace(first, giant, 1))
    elif kind == "no text":
        (folder / "net.param").write_bytes(b"7767517\n\xff\xfe\n")
    else:
        (folder / "net.param").write_text("hello\n")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "short",
        "long",
        "quantised",
        "nan",
        "other layers",
        "no network",
        "giant",
        "no text",
        "no ncnn",
    ],
)
def test_damaged_files_are_refused(tmp_path, kind):
    with pytest.raises(CheckpointError, match=r"net\.(param|bin)"):
        load_esrgan(damaged(kind, tmp_path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"net\.pth"):
        load_esrgan(tmp_path / "net.pth")
    write_ncnn(tmp_path).unlink()
    with pytest.raises(FileNotFoundError, match=r"net\.bin"):
        load_esrgan(tmp_path / "net.param")


def test_refuses_more_modulated_blocks_than_there_are(tmp_path):
    with pytest.raises(ValueError, match="`modulated_blocks`"):
        load_esrgan(write_ncnn(tmp_path), modulated_blocks=3)


def test_any_upscaler_becomes_a_run(tmp_path, monkeypatch, eagerly):
    monkeypatch.setattr(sys.modules[__name__], "BLOCKS", 7)
    trunk = write_ncnn(tmp_path)
    (tmp_path / "photos").mkdir()
    for name, part in zip("ab", pairs()[1], strict=False):
        photo = np.kron(part, np.ones((3, 3, 1))) * 255.0
        Image.fromarray(photo.astype("uint8")).save(
            tmp_path / "photos" / f"{name}.png"
        )
    settings = RunSettings.of_task(
        "super_resolution",
        trunk=str(trunk),
        data=str(tmp_path / "photos"),
        crop_size=32,
        enlarged=0.0,
        steps=1,
        steps_per_selection=1,
        images_per_selection=1,
        mini_batch_size=1,
        num_samples=2,
        distance="mean_squared_error",
    )
    with eagerly():
        tim = train(tmp_path / "run", settings, verbose=0)
    assert tim.num_blocks == (7, 0)
    assert tim.plain_blocks == (1, 0)
    (kernel, _), *_ = convolutions()
    np.testing.assert_array_equal(
        np.asarray(tim.tower[0].head.kernel)[:, :, :3],
        kernel.transpose(2, 3, 1, 0),
    )
    assert load_run(tmp_path / "run").style_cell == 8
