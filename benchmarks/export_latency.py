"""Latency of exported models against the un-exported one, and PyTorch.

    python benchmarks/export_latency.py

times one alternative of one picture, codes given: the model as trained, its
exports, and, where PyTorch is installed, the same network there with the same
weights. All are timed in turn, again and again, and medians are printed with
their ratio to the model as trained.
"""

import argparse
import importlib.util
import os
import pathlib
import statistics
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from keras_tim import TIM

# Those that this process may use.
CORES = len(os.sched_getaffinity(0))


def main():
    """Reads the command line, checks that all agree, and times them."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", default="super_resolution_x4_nano")
    parser.add_argument("--side", type=int, default=32, help="of the input")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    tim = TIM.from_preset(arguments.preset)
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(5.0 * weight)
    side = arguments.side
    picture = np.random.RandomState(0).rand(1, side, side, tim.input_channels)
    picture = picture.astype(np.float32)
    codes = [
        tuple(map(np.asarray, pair))
        for pair in tim.draw_codes(picture, num_samples=1, seed=0)
    ]
    with tempfile.TemporaryDirectory() as folder:
        runs = keras_runs(tim, picture, codes)
        runs |= exported_runs(tim, pathlib.Path(folder), picture, codes)
        if importlib.util.find_spec("torch"):
            runs |= torch_runs(tim, picture, codes)
        else:
            print("PyTorch is not installed: left out", file=sys.stderr)
        compare(runs, next(iter(runs)))
        seconds = timed(runs, arguments.rounds)
    print(
        f"{arguments.preset}, one alternative of {side} x {side} pixels, "
        f"{CORES} cores, median of {arguments.rounds}"
    )
    baseline = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"{name:<28} {1000 * value:8.1f} ms   {value / baseline:5.2f}")


def keras_runs(tim, picture, codes):
    """The model as trained, and with folded kernels."""

    def run(model):
        decode = tf.function(
            lambda given, codes: model.decode(given, codes)[-1],
            autograph=False,
        )
        given = tf.constant(picture)
        tensors = [tuple(map(tf.constant, pair)) for pair in codes]
        return lambda: decode(given, tensors).numpy()

    return {"Keras, as trained": run(tim), "Keras, folded": run(tim.folded())}


def exported_runs(tim, folder, picture, codes):
    """Every kind of export that can be loaded here."""
    runs = {}
    given = {"picture": picture}
    for level, pair in enumerate(codes):
        for kind, part in zip(("style", "noise"), pair, strict=True):
            given[f"{kind}_{level}"] = part[None]
    tensors = {name: tf.constant(value) for name, value in given.items()}
    variants = {
        "SavedModel": {},
        "SavedModel, frozen": {"frozen": True},
        "SavedModel, bfloat16": {"dtype": "bfloat16"},
    }
    for name, options in variants.items():
        path = tim.export(folder / "model", verbose=False, **options)
        loaded = tf.saved_model.load(path)

        def run(loaded=loaded):
            answer = loaded.signatures["decode"](**tensors)
            return answer["alternatives"].numpy()[0]

        runs[name] = run
    if importlib.util.find_spec("ai_edge_litert"):
        from keras_tim.export.tflite import load_tflite

        path = folder / "model.tflite"
        tim.export(path, "tflite", verbose=False, size=picture.shape[1:3])
        decode, _ = load_tflite(path.read_bytes())
        single = {
            name: value if name == "picture" else value[0]
            for name, value in given.items()
        }
        runs["TFLite"] = lambda: decode(**single)
    if importlib.util.find_spec("tf2onnx"):
        import onnxruntime

        path = folder / "model.onnx"
        tim.export(path, "onnx", verbose=False)
        session = onnxruntime.InferenceSession(path)
        single = {
            name: value if name == "picture" else value[0]
            for name, value in given.items()
        }
        runs["ONNX Runtime"] = lambda: session.run(None, single)[0]
    return runs


def compare(runs, reference):
    """Stops unless all runs give the same picture."""
    expected = runs[reference]()
    for name, run in runs.items():
        difference = float(np.abs(run() - expected).max())
        tolerance = 0.1 if "bfloat16" in name else 1e-4
        if not difference <= tolerance:
            raise SystemExit(f"{name} differs by {difference}")


def timed(runs, rounds):
    """Median seconds of every run, taken in turn."""
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}


def torch_runs(tim, picture, codes):
    """The same network in PyTorch, channels first and channels last."""
    import torch

    torch.set_num_threads(CORES)
    network = TorchTower(tim.folded())
    given = torch.tensor(picture).permute(0, 3, 1, 2)
    tensors = [
        (torch.tensor(style), torch.tensor(noise).permute(0, 3, 1, 2))
        for style, noise in codes
    ]

    def run(memory_format):
        def called():
            with torch.inference_mode():
                made = network(
                    given.contiguous(memory_format=memory_format),
                    [
                        (s, n.contiguous(memory_format=memory_format))
                        for s, n in tensors
                    ],
                )
                return made.permute(0, 2, 3, 1).numpy()

        return called

    return {
        "PyTorch": run(torch.contiguous_format),
        "PyTorch, channels last": run(torch.channels_last),
    }


class TorchTower:
    """A super-resolution TIM with plain kernels, in PyTorch.

    Args:
        tim: a `TIM` with `weight_norm=False`.
    """

    def __init__(self, tim):
        import torch

        if tim.task != "super_resolution":
            raise SystemExit("PyTorch is compared on super-resolution alone")
        self.tim = tim
        self.torch = torch
        self.weights = {}
        for weight in tim.weights:
            place = weight.path[weight.path.rindex("level") :]
            value = torch.tensor(np.asarray(weight))
            if value.ndim == 4:
                value = value.permute(3, 2, 0, 1).contiguous()
            elif value.ndim == 2:
                value = value.T.contiguous()
            self.weights[place] = value

    def __call__(self, picture, codes):
        """The last level's picture `[batch, 3, height, width]`."""
        functional = self.torch.nn.functional
        output, feature = picture, None
        for level, (style, noise) in enumerate(codes):
            seen = [output if level == 0 else 2 * output - 1, noise]
            if feature is not None:
                seen.append(self.tim.feature_scale * feature)
            raw, feature = self.module(f"level{level}", seen, style)
            if self.tim.input_skip:
                larger = functional.interpolate(
                    output,
                    scale_factor=2,
                    mode="bicubic",
                    # Keys' cubic with a = -0.5, as antialiasing has it.
                    antialias=True,
                )
                output = (larger.clamp(0, 1) + raw / 2).clamp(0, 1)
            else:
                output = (raw + 1) / 2
        return output.clamp(0, 1)

    def module(self, name, seen, style):
        """One level's raw output and feature."""
        functional = self.torch.nn.functional
        head = self.convolution(f"{name}/head", self.torch.cat(seen, 1))
        for index in range(self.tim.mapping_depth):
            dense = self.dense(f"{name}/mapping/dense{index + 1}", style)
            style = functional.leaky_relu(dense, 0.2)
        x = head
        for index in range(1, self.tim.num_blocks + 1):
            x = self.rrdb(f"{name}/rrdb{index}", x)
            dense = self.dense(f"{name}/modulation{index}/dense", style)
            gamma, beta = dense[:, :, None, None].chunk(2, 1)
            x = functional.instance_norm(x, eps=1e-5) * (1 + gamma) + beta
        body = head + self.convolution(f"{name}/body_end", x)
        feature = functional.interpolate(body, scale_factor=2)
        for layer in ("resize1", "resize2"):
            feature = functional.leaky_relu(
                self.convolution(f"{name}/{layer}", feature), 0.2
            )
        raw = self.convolution(f"{name}/output", feature)
        return self.torch.tanh(raw), feature

    def rrdb(self, name, x):
        """Three dense blocks within a skip."""
        functional = self.torch.nn.functional
        scale = self.tim.residual_scale
        start = x
        for block in (1, 2, 3):
            maps = [x]
            for index in range(1, 6):
                layer = f"{name}/dense_block{block}/conv{index}"
                made = self.convolution(layer, self.torch.cat(maps, 1))
                maps.append(functional.leaky_relu(made, 0.2))
            x = x + scale * made
        return start + scale * x

    def convolution(self, name, x):
        """A 3 x 3 convolution that keeps the size."""
        return self.torch.nn.functional.conv2d(
            x,
            self.weights[f"{name}/kernel"],
            self.weights[f"{name}/bias"],
            padding=1,
        )

    def dense(self, name, x):
        """A dense layer."""
        return self.torch.nn.functional.linear(
            x, self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"]
        )


if __name__ == "__main__":
    main()
