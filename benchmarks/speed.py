"""Speed of everything that a person waits for, beside PyTorch.

    python benchmarks/speed.py --torch_python=PYTHON_WITH_TORCH

Kinds, each a process of its own: this package with oneDNN on and off and in
mixed_bfloat16; PyTorch as it comes, with channels last, with autocast to
bfloat16, and compiled. They take turns on the same weights, pictures and codes;
pictures, distances and picks are compared before times are. PyTorch's kinds
are left out without `--torch_python`, an interpreter that has torch and numpy.

Cases: one picture from given codes (forward); one and eight alternatives from
a seed (sample); LPIPS and its gradient; the choice among 16 candidates on four
levels (selection); a round of training, of one candidate and eight steps on
eight pictures (step); the exports; a product of large matrices, for scale.

Times are the processor's, so that other processes lengthen them little; those
of the clock stand beside them. Ratios are to PyTorch's fastest in float32; of
memory, in brackets, to the least that PyTorch needs.

`--isa=AVX2` has oneDNN behave as on processors without AVX-512.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from interleaved import Worker, measure, serve

HERE = pathlib.Path(__file__).resolve().parent
MODELS = {
    "nano 16": ("super_resolution_x4_nano", 16),
    "nano 32": ("super_resolution_x4_nano", 32),
    "small 32": ("super_resolution_x4_small", 32),
    # Trained, on RealSR's trunk, with a map of styles and back-projection.
    "trunk 32": ("super_resolution_x4_realsr", 32),
}
# Of paper width, but a single level.
WIDE = {
    "task": "super_resolution",
    "residual_channels": (128,),
    "growth_channels": (256,),
    "num_blocks": 1,
    "input_skip": True,
}
KINDS = {
    "ours, oneDNN on": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "ours, oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "ours, bfloat16": {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "SPEED_POLICY": "mixed_bfloat16",
    },
}
TORCH = ("eager", "channels_last", "autocast", "compiled")
EXPORTS = {
    "SavedModel": {},
    "SavedModel, frozen": {"frozen": True},
    "SavedModel, bfloat16": {"dtype": "bfloat16"},
    "TFLite": {"kind": "tflite"},
    "TFLite, float16": {"kind": "tflite", "precision": "float16"},
    "TFLite, int8_weights": {"kind": "tflite", "precision": "int8_weights"},
    "TFLite, int8": {"kind": "tflite", "precision": "int8"},
    "ONNX": {"kind": "onnx"},
}
EXPORTED = "nano 32"
COUNT = 16


def main():
    """Reads the command line and prints a table."""
    if "--prepare" in sys.argv:
        prepare(pathlib.Path(sys.argv[2]))
        return
    if "--serve" in sys.argv:
        _, _, folder, threads = sys.argv
        serve_ours(pathlib.Path(folder), int(threads))
        return
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--torch_python", help="interpreter with torch")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="oneDNN's ONEDNN_MAX_CPU_ISA")
    parser.add_argument(
        "--compiled",
        action="store_true",
        help="torch.compile, too, which takes minutes per case",
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="parts of the cases' names"
    )
    parser.add_argument("--kinds", help="kinds whose names contain this text")
    parser.add_argument("--output", help="JSON file of all figures")
    arguments = parser.parse_args()
    if arguments.isa:
        os.environ["ONEDNN_MAX_CPU_ISA"] = arguments.isa
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run(
            [sys.executable, __file__, "--prepare", str(folder)], check=True
        )
        commands = kinds(arguments, folder)
        figures = {}
        for case in json.loads((folder / "cases.json").read_text()):
            if not any(part in case for part in arguments.only):
                continue
            figures[case] = compared(case, commands, folder, arguments.rounds)
            print_case(case, figures[case])
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(figures, indent=1))


def kinds(arguments, folder):
    """Commands and environments of all kinds."""
    ours = [
        sys.executable,
        __file__,
        "--serve",
        str(folder),
        str(arguments.threads),
    ]
    commands = {name: (ours, added) for name, added in KINDS.items()}
    if arguments.torch_python:
        for flavour in TORCH[: 4 if arguments.compiled else 3]:
            commands[f"PyTorch, {flavour}"] = (
                [
                    arguments.torch_python,
                    str(HERE / "torch_peer.py"),
                    str(folder),
                    flavour,
                    str(arguments.threads),
                    *MODELS,
                    "wide 16",
                ],
                {},
            )
    else:
        print("no --torch_python: PyTorch is left out", file=sys.stderr)
    chosen = arguments.kinds or ""
    return {k: v for k, v in commands.items() if chosen in k}


def compared(case, commands, folder, rounds):
    """Medians of one case over all kinds, in fresh processes.

    A process per case, so that its peak of memory is the case's.
    """
    exported = case.startswith("export")
    workers, reference = {}, None
    try:
        turns = {}
        for kind, (command, environment) in commands.items():
            other = kind.startswith("PyTorch")
            if exported and kind != "ours, oneDNN on" and not other:
                continue
            asked = f"forward {EXPORTED}" if exported and other else case
            workers[kind] = Worker(command, environment)
            path = folder / "made.npy"
            path.unlink(missing_ok=True)
            first = workers[kind].run(asked, path)
            if path.exists():
                made = np.load(path)
                reference = made if reference is None else reference
                check(case, kind, made, reference)
            turns[kind] = (workers[kind], asked)
            turns[kind][0].first = first["first"]
        measured = measure(turns, rounds)
        for kind in measured:
            measured[kind]["first"] = workers[kind].first
        return measured
    finally:
        for worker in workers.values():
            worker.close()


def check(case, kind, made, reference):
    """Stops where a kind makes something else."""
    half = "autocast" in kind or "bfloat16" in kind + case
    # Picks differ where candidates are nearly as good, and rounding to bfloat16
    # grows with every convolution of a wide level whose weights are random.
    if half and ("selection" in case or "wide" in case):
        return
    difference = np.abs(made - reference).max() / np.abs(reference).max()
    # Of nearly equal values max-pooling may choose either: a gradient jumps.
    # Wide levels sum over a thousand channels, thirty times in a row.
    allowed = 5e-3 if "gradient" in case or "wide" in case else 1e-3
    if "trunk" in case:  # Trained weights, and nothing is normalised.
        allowed = 1e-4
    if "int8" in case:
        allowed = 0.2
    elif "float16" in case:
        allowed = 2e-2
    # Strong styles, of untrained weights, multiply what bfloat16 rounds.
    if difference > (0.5 if half else allowed):
        raise SystemExit(f"{case}: {kind} differs by {difference:.1e}")


def print_case(case, measured):
    """A line for each kind."""
    print(case)
    peers = [
        values["cpu"]
        for kind, values in measured.items()
        if kind.startswith("PyTorch") and "autocast" not in kind
    ]
    least = [
        values["megabytes"]
        for kind, values in measured.items()
        if kind.startswith("PyTorch")
    ]
    for kind, values in measured.items():
        ratio = f"{min(peers) / values['cpu']:7.2f}" if peers else ""
        share = f" ({values['megabytes'] / min(least):.2f})" if least else ""
        print(
            f"  {kind:24}{1000 * values['cpu']:10.1f} ms "
            f"+-{values['spread'] / 2:4.0%} {ratio} "
            f"(clock {1000 * values['seconds']:.1f} ms) "
            f"{values['megabytes']:7.0f} MB{share} "
            f"{values['first']:6.1f} s at first",
            flush=True,
        )


# -- What is compared ------------------------------------------------------


def prepare(folder):
    """Writes weights, pictures and codes that all kinds work on."""
    import keras

    from keras_tim import TIM
    from keras_tim.models.pretrained import place

    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)

    def picture(count, side):
        return random.random((count, side, side, 3), np.float32)

    def write(name, tim, given, count=1, **arrays):
        for weight in tim.trainable_variables:
            if len(weight.shape) == 2 and tim.trunk is None:
                # Styles that are seen.
                weight.assign(5.0 * weight)
        for kind, model in (("trained", tim), ("plain", tim.folded())):
            values = {place(w): np.asarray(w) for w in model.weights}
            np.savez(folder / f"{name}_{kind}.npz", **values)
        (folder / f"{name}.json").write_text(json.dumps(tim.get_config()))
        tim.save(folder / f"{name}.keras")
        codes = tim.draw_codes(given[:1], num_samples=count, seed=0)
        for level, pair in enumerate(codes):
            for part, value in zip(("style", "noise"), pair, strict=True):
                arrays[f"{part}_{level}"] = np.asarray(value)
        np.savez(folder / f"{name}.npz", picture=given, **arrays)

    for name, (preset, side) in MODELS.items():
        write(name, TIM.from_preset(preset), picture(1, side))
    write("wide 16", TIM(**WIDE), picture(1, 16))
    write(
        "step",
        TIM.from_preset("super_resolution_x4_nano"),
        picture(8, 16),
        target_0=picture(8, 32),
        target_1=picture(8, 64),
    )
    write(
        "selection",
        TIM.from_preset("super_resolution_x16_nano"),
        picture(1, 16),
        COUNT,
        **{f"target_{n}": picture(1, 32 << n) for n in range(4)},
    )
    np.savez(folder / "distance.npz", a=picture(8, 64), b=picture(8, 64))
    for net in ("alex", "vgg"):
        np.savez(folder / f"lpips_{net}.npz", **lpips_arrays(net))
    (folder / "cases.json").write_text(json.dumps(case_names()))


def case_names():
    """Names of all cases."""
    names = ["matmul"]
    for model in (*MODELS, "wide 16"):
        names.append(f"forward {model}")
        names += [f"sample {count} {model}" for count in (1, 8)]
    for net in ("alex", "vgg"):
        names += [f"lpips {net}", f"lpips gradient {net}", f"selection {net}"]
    return [*names, "step", *(f"export {name}" for name in EXPORTS)]


def lpips_arrays(net):
    """The published weights, as `torch_peer.py` reads them."""
    from keras_tim import LPIPS

    layer = LPIPS(net)
    shape = (None, 64, 64, 3)
    layer.build(shape, shape)
    return {v.name: np.asarray(v) for v in layer.variables}


def serve_ours(folder, threads):
    """Serves the cases of this package."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.config.set_dtype_policy(os.environ.get("SPEED_POLICY", "float32"))
    cases = Ours(folder)
    serve({name: lambda n=name: cases.prepare(n) for name in case_names()})


class Ours:
    """The cases of this package.

    Args:
        folder: path of what `prepare` wrote.
    """

    def __init__(self, folder):
        self.folder = folder
        self.policy = os.environ.get("SPEED_POLICY", "float32")

    def prepare(self, case):
        """What runs a case."""
        for start, method in (
            ("matmul", self.matmul),
            ("forward ", self.forward),
            ("sample ", self.sample),
            ("lpips gradient ", self.gradient),
            ("lpips ", self.distance),
            ("selection ", self.selection),
            ("step", self.step),
            ("export ", self.export),
        ):
            if case.startswith(start):
                rest = case.removeprefix(start)
                return method(rest) if rest else method()
        raise ValueError(f"no such case: {case}")

    def tim(self, name):
        import keras

        from keras_tim import TIM

        if self.policy == "float32":
            return keras.saving.load_model(self.folder / f"{name}.keras")
        config = json.loads((self.folder / f"{name}.json").read_text())
        tim = TIM.from_config({**config, "dtype": self.policy})
        tim.load_weights(self.folder / f"{name}.keras")
        return tim

    def arrays(self, name):
        with np.load(self.folder / f"{name}.npz") as file:
            return dict(file)

    def codes(self, arrays):
        import tensorflow as tf

        levels = sum(name.startswith("style") for name in arrays)
        return [
            tuple(
                tf.constant(arrays[f"{part}_{level}"])
                for part in ("style", "noise")
            )
            for level in range(levels)
        ]

    def matmul(self):
        import tensorflow as tf

        a = tf.ones((2048, 2048))
        product = tf.function(lambda: tf.linalg.matmul(a, a), autograph=False)

        def run():
            product().numpy()

        return run

    def forward(self, model):
        import tensorflow as tf

        tim, arrays = self.tim(model), self.arrays(model)
        given, codes = tf.constant(arrays["picture"]), self.codes(arrays)
        decode = tf.function(
            lambda given, codes: tim.decode(given, codes)[-1], autograph=False
        )
        return lambda: decode(given, codes).numpy()

    def sample(self, rest):
        count, model = rest.split(" ", 1)
        tim, given = self.tim(model), self.arrays(model)["picture"]

        def run():
            tim.sample(given, num_samples=int(count), seed=0, verbose=False)

        return run

    def lpips(self, net):
        from keras_tim import LPIPS

        arrays = self.arrays("distance")
        layer = LPIPS(net, dtype=self.policy)
        layer(arrays["a"], arrays["b"])
        return layer, arrays["a"], arrays["b"]

    def distance(self, net):
        import tensorflow as tf

        layer, a, b = self.lpips(net)
        a, b = tf.constant(a), tf.constant(b)
        function = tf.function(
            lambda a, b: layer.compare(layer.features(a), layer.features(b)),
            autograph=False,
        )
        return lambda: function(a, b).numpy()

    def gradient(self, net):
        import tensorflow as tf

        layer, a, b = self.lpips(net)
        a, wanted = tf.constant(a), layer.features(b)

        @tf.function(autograph=False)
        def function(a, wanted):
            with tf.GradientTape() as tape:
                tape.watch(a)
                total = tf.reduce_sum(layer.compare(layer.features(a), wanted))
            return tape.gradient(total, a)

        return lambda: function(a, wanted).numpy()

    def selection(self, net):
        import tensorflow as tf

        from keras_tim.imle.distances import SelectionDistance
        from keras_tim.imle.selection import select_hierarchical

        tim, arrays = self.tim("selection"), self.arrays("selection")
        distance = SelectionDistance(f"lpips_{net}", dtype=self.policy)
        distance.build(channels=3)
        given, codes = tf.constant(arrays["picture"]), self.codes(arrays)
        targets = [
            tf.constant(arrays[f"target_{level}"])
            for level in range(len(codes))
        ]

        @tf.function(autograph=False)
        def select(given, targets, codes):
            def draw(level, first, count):
                return tuple(
                    part[first : first + count] for part in codes[level]
                )

            features = [distance.features(target) for target in targets]
            return select_hierarchical(
                tim,
                [given],
                features,
                distance,
                draw,
                [COUNT] * len(codes),
                COUNT,
            ).indices

        return lambda: np.ravel(np.stack(select(given, targets, codes)))

    def step(self):
        import keras

        tim, arrays = self.tim("step"), self.arrays("step")
        tim.compile(
            keras.optimizers.Adam(1e-4, epsilon=1e-8),
            distance="lpips_alex",
            num_candidates=1,
            steps_per_selection=8,
            mini_batch_size=8,
        )
        targets = (arrays["target_0"], arrays["target_1"])

        def run():
            tim.train_on_batch(arrays["picture"], targets)

        return run

    def export(self, name):
        import tensorflow as tf

        tim, arrays = self.tim(EXPORTED), self.arrays(EXPORTED)
        options = dict(EXPORTS[name])
        kind = options.pop("kind", "saved_model")
        given = {k: v for k, v in arrays.items() if k != "picture"}
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        with tempfile.TemporaryDirectory() as folder:
            if kind == "saved_model":
                path = tim.export(f"{folder}/model", verbose=False, **options)
                loaded = tf.saved_model.load(path)
                tensors = {k: tf.constant(v[None]) for k, v in given.items()}
                tensors["picture"] = tf.constant(arrays["picture"])
                decode = loaded.signatures["decode"]
                return lambda: decode(**tensors)["alternatives"].numpy()[0]
            path = pathlib.Path(folder) / f"model.{kind}"
            if kind == "tflite":
                from keras_tim.export.tflite import load_tflite

                options["size"] = arrays["picture"].shape[1:3]
                if options.get("precision") == "int8":
                    options["pictures"] = list(arrays["picture"])
                tim.export(path, kind, verbose=False, **options)
                decode, _ = load_tflite(path.read_bytes(), threads)
                return lambda: decode(picture=arrays["picture"], **given)
            import onnxruntime

            tim.export(path, kind, verbose=False)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, options)
            given["picture"] = arrays["picture"]
            return lambda: session.run(None, given)[0]


if __name__ == "__main__":
    main()
