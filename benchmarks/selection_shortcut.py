"""What a choice costs and loses where AlexNet prunes and VGG16 decides.

    python benchmarks/selection_shortcut.py --preset=layout_synthesis_camvid \
        --pictures=CamVid/val --labels=CamVid/valannot
    python benchmarks/selection_shortcut.py --preset=super_resolution_x4_lite \
        --pictures=BSDS500/images/test

Of a trained preset, for held-out pictures: each level's candidates are made,
and their distances by both networks found. The exact pick is the nearest by
VGG16, or by the mix of both that presets are trained with. The shortcut keeps
the few that are nearest by AlexNet and picks the nearest of these. Its regret
is how much farther its picks are on average, as a share. Each level goes on
from the exact pick by the mix. (Models whose styles are maps choose by cells,
where the shortcut cannot be; here, too, they choose whole pictures.)

Times are the processor's: of candidates, features and comparisons, each with
the medians over pictures, summed over levels.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from keras_tim import TIM, data
from keras_tim.images.alternatives import spread
from keras_tim.imle.distances import SelectionDistance
from keras_tim.imle.selection import level_maker
from keras_tim.layers.resampling import bicubic_resize
from keras_tim.models.inputs import check_inputs

NETS = ("lpips_vgg", "lpips_alex")
# As presets are trained.
MIX = {"lpips_vgg": 1.0, "lpips_alex": 0.5}


def main():
    """Reads the command line and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", required=True)
    parser.add_argument("--pictures", required=True, help="folder")
    parser.add_argument("--labels", help="folder, of label maps")
    parser.add_argument("--count", type=int, default=24, help="pictures")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--kept", type=int, nargs="+", default=[8, 4, 2, 1])
    parser.add_argument("--side", type=int, default=128, help="of photo crops")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    tim = TIM.from_preset(arguments.preset)
    levels = [
        Level(tim, level, arguments.candidates, arguments.kept)
        for level in range(tim.num_levels)
    ]
    distances = []
    for number, (given, target) in enumerate(pairs(tim, arguments)):
        inputs = check_inputs(tim, tf.constant(given[None]))
        codes = tim.draw_codes(
            inputs, num_samples=arguments.candidates, seed=number
        )
        below = None, None
        targets = pyramid(tim, inputs, target)
        for level, code, wanted in zip(levels, codes, targets, strict=True):
            below = level.choose(inputs, code, wanted, *below)
        distances.append([level.found[-1] for level in levels])
    report(np.array(distances), levels, arguments)


def pairs(tim, arguments):
    """Inputs and targets `[height, width, channels]`."""
    if arguments.labels:
        examples = data.held_out_layouts(
            arguments.pictures,
            arguments.labels,
            tim.label_classes,
            num_levels=tim.num_levels,
            size=(176, 240),
            count=arguments.count,
        )
        return [pair for _, *pair in examples]
    scale = 2**tim.num_levels
    side = arguments.side // scale
    examples = spread(
        data.held_out_pictures(arguments.pictures, scale=scale), arguments.count
    )
    made = []
    for _, given, target in examples:
        # From the middle.
        top, left = ((n - side) // 2 for n in given.shape[:2])
        small = given[top : top + side, left : left + side]
        rows, columns = (
            slice(n * scale, (n + side) * scale) for n in (top, left)
        )
        made.append((small, target[rows, columns]))
    return made


def pyramid(tim, inputs, target):
    """The target of every level, `[1, height, width, 3]`."""
    sizes = [
        tim.output_shapes(level, 1, size)[0][1:3]
        for level, size in enumerate(tim.noise_sizes(inputs))
    ]
    target = tf.constant(target[None], tf.float32)
    coarser = [
        tf.clip_by_value(bicubic_resize(target, *size), 0.0, 1.0)
        for size in sizes[:-1]
    ]
    return [*coarser, target]


class Level:
    """Candidates of one level, their distances and times.

    Args:
        tim: a `TIM`.
        level: int.
        count: int, candidates.
        kept: list of int, how many may be left by AlexNet.

    Attributes:
        found: list over pictures of `[2, count]`, distances by `NETS`.
        seconds: dict of lists, see `medians`.
    """

    def __init__(self, tim, level, count, kept):
        self.level, self.count, self.kept = level, count, kept
        self.found, self.seconds = [], {}

        @tf.function(autograph=False)
        def make(inputs, code, output, feature):
            maker = level_maker(tim, level, inputs, output, feature)
            return maker(code, count)

        self._make = make
        self._compare = {}
        for name in NETS:
            distance = SelectionDistance(name)
            distance.build(channels=3)

            @tf.function(autograph=False)
            def compare(pictures, target, distance=distance):
                wanted = distance.features(target)
                return distance.compare(distance.features(pictures), wanted)

            self._compare[name] = compare

    def choose(self, inputs, code, target, output, feature):
        """Finds all distances, and gives what the next level begins with."""
        made, pictures = self._timed(
            "make", self._make, inputs, code, output, feature
        )
        found = [
            self._timed(name, self._compare[name], pictures, target).numpy()
            for name in NETS
        ]
        for kept in self.kept:
            self._timed(
                kept, self._compare["lpips_vgg"], pictures[:kept], target
            )
        self.found.append(found)
        best = int(np.argmin(mixed(np.array(found))))
        return tuple(part[best : best + 1] for part in made)

    def _timed(self, name, function, *arguments):
        if name not in self.seconds:
            function(*arguments)  # is compiled
        start = time.process_time()
        result = function(*arguments)
        tf.nest.map_structure(lambda x: x.numpy(), result)
        worked = time.process_time() - start
        self.seconds.setdefault(name, []).append(worked)
        return result

    def medians(self):
        """Seconds by part: "make", networks, and VGG16 of the kept."""
        return {k: statistics.median(v) for k, v in self.seconds.items()}


def mixed(distances):
    """The mix of distances `[..., 2, candidates]`, over networks."""
    factors = np.array([MIX[name] for name in NETS])
    return np.tensordot(factors, np.moveaxis(distances, -2, 0), 1)


def report(distances, levels, arguments):
    """Prints regrets and speeds, `distances` [pictures, level, 2, count]."""
    print(
        f"{arguments.preset}: {len(distances)} pictures, "
        f"{arguments.candidates} candidates, {arguments.threads} thread(s)"
    )
    medians = [level.medians() for level in levels]
    total = {k: sum(part[k] for part in medians) for k in medians[0]}
    rows = [(str(n + 1), [n], times) for n, times in enumerate(medians)]
    rows.append(("all", list(range(len(levels))), total))
    print(
        "level | ms: candidates, AlexNet, VGG16 | kept | VGG: speed, regret | "
        "mix: speed, regret | so few candidates, mix: speed, regret"
    )
    for name, chosen, times in rows:
        parts = [1e3 * times[part] for part in ("make", "lpips_alex", NETS[0])]
        for kept in arguments.kept:
            cells = [name, ", ".join(f"{x:.0f}" for x in parts), str(kept)]
            cells += compared(distances[:, chosen], times, kept)
            print(" | ".join(cells), flush=True)


def compared(distances, times, kept):
    """Speeds and regrets of the shortcut, and of fewer candidates."""
    count = distances.shape[-1]
    vgg, both = distances[:, :, 0], mixed(distances)
    left = np.argsort(distances[:, :, 1], axis=-1)[..., :kept]
    pruned = times["make"] + times["lpips_alex"] + times[kept]
    share = kept / count
    fewer = share * (times["make"] + times["lpips_alex"]) + times[kept]
    exact = times["make"] + times["lpips_vgg"]
    lines = [
        (exact / pruned, np.take_along_axis(vgg, left, -1), vgg),
        (
            (exact + times["lpips_alex"]) / pruned,
            np.take_along_axis(both, left, -1),
            both,
        ),
        ((exact + times["lpips_alex"]) / fewer, both[..., :kept], both),
    ]
    cells = []
    for speed, some, every in lines:
        # Levels count alike, though their distances differ in size.
        means = some.min(-1).mean(0) / every.min(-1).mean(0)
        cells.append(f"{speed:.2f}, {100 * (means.mean() - 1):.2f}%")
    return cells


if __name__ == "__main__":
    main()
