"""The same network, distance, selection and step in plain PyTorch.

Written to be compared with, not to be used: `speed.py` runs it as a process of
its own, whose Python needs torch and numpy alone. Everything it works on is
read from the folder that `speed.py` gives: pictures, codes and weights.

The towers are in `torch_tower.py`.
"""

import functools
import json
import os
import pathlib
import sys

import numpy as np
import torch
from interleaved import serve
from torch.nn import functional
from torch_tower import Tower

FLAVOURS = ("eager", "channels_last", "compiled", "autocast")
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
# Filters, size, stride, padding; an int pools by that width, by steps of two;
# every sublist ends in a layer that is compared.
NETWORKS = {
    "alex": (
        [(11, 4, 2)],
        [3, (5, 1, 2)],
        [3, (3, 1, 1)],
        [(3, 1, 1)],
        [(3, 1, 1)],
    ),
    "vgg": (
        [(3, 1, 1)] * 2,
        [2, *[(3, 1, 1)] * 2],
        [2, *[(3, 1, 1)] * 3],
        [2, *[(3, 1, 1)] * 3],
        [2, *[(3, 1, 1)] * 3],
    ),
}


class Peer:
    """All cases in one flavour.

    Args:
        folder: path of what `speed.py` wrote.
        flavour: str, one of `FLAVOURS`.
    """

    def __init__(self, folder, flavour):
        self.folder = pathlib.Path(folder)
        self.autocast = flavour == "autocast"
        self.compiled = flavour == "compiled"
        self.memory_format = (
            torch.contiguous_format
            if flavour == "eager"
            else torch.channels_last
        )

    def scope(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.autocast)

    def compile(self, function):
        return torch.compile(function) if self.compiled else function

    def pictures(self, array):
        """A tensor `[n, channels, height, width]` of `[n, h, w, c]`."""
        tensor = torch.tensor(array).permute(0, 3, 1, 2)
        return tensor.contiguous(memory_format=self.memory_format)

    def read(self, name):
        with np.load(self.folder / f"{name}.npz") as file:
            return dict(file)

    def tower(self, model, trained=False):
        config = json.loads((self.folder / f"{model}.json").read_text())
        weights = self.read(f"{model}_{'trained' if trained else 'plain'}")
        return Tower(config, weights, self.memory_format)

    def lpips(self, net):
        return Lpips(net, self.read(f"lpips_{net}"), self.memory_format)

    def codes(self, arrays):
        levels = sum(name.startswith("style") for name in arrays)
        return [
            (
                torch.tensor(arrays[f"style_{level}"]),
                self.pictures(arrays[f"noise_{level}"]),
            )
            for level in range(levels)
        ]

    def cases(self, models):
        cases = {"matmul": self.matmul}
        for model in models:
            cases[f"forward {model}"] = functools.partial(self.forward, model)
            for count in (1, 8):
                cases[f"sample {count} {model}"] = functools.partial(
                    self.sample, model, count
                )
        cases["step"] = self.step
        for net in NETWORKS:
            cases[f"selection {net}"] = functools.partial(self.selection, net)
            cases[f"lpips {net}"] = functools.partial(self.distance, net)
            cases[f"lpips gradient {net}"] = functools.partial(
                self.gradient, net
            )
        return cases

    # -- Cases -------------------------------------------------------------

    def matmul(self):
        a = torch.ones(2048, 2048)

        def run():
            torch.mm(a, a)

        return run

    def forward(self, model):
        arrays = self.read(model)
        network = self.compile(self.tower(model))
        given, codes = self.pictures(arrays["picture"]), self.codes(arrays)

        def run():
            with torch.inference_mode(), self.scope():
                return network(given, codes)[-1].permute(0, 2, 3, 1).float()

        return run

    def sample(self, model, count):
        arrays = self.read(model)
        network = self.compile(self.tower(model))
        given = self.pictures(arrays["picture"])
        shapes = [(s.shape[1:], n.shape[1:]) for s, n in self.codes(arrays)]

        def run():
            with torch.inference_mode(), self.scope():
                codes = [
                    (
                        torch.randn(count, *style),
                        torch.randn(count, *noise).contiguous(
                            memory_format=self.memory_format
                        ),
                    )
                    for style, noise in shapes
                ]
                made = network(given, codes)[-1]
                made.permute(0, 2, 3, 1).float().numpy()

        return run

    def step(self):
        """One candidate for each of eight pictures, then eight steps."""
        arrays = self.read("step")
        tower, lpips = self.tower("step", trained=True), self.lpips("alex")
        parameters = [w.requires_grad_() for w in tower.weights.values()]
        optimizer = torch.optim.Adam(parameters, 1e-4, eps=1e-8, foreach=True)
        given = self.pictures(arrays["picture"])
        targets = [self.pictures(arrays[f"target_{n}"]) for n in (0, 1)]
        shapes = [(s.shape[1:], n.shape[1:]) for s, n in self.codes(arrays)]

        def losses(codes, wanted):
            made = tower(given, codes)
            return sum(
                lpips.compare(lpips(one), features).mean()
                for one, features in zip(made, wanted, strict=True)
            )

        losses = self.compile(losses)

        def run():
            with self.scope():
                codes = [
                    (torch.randn(8, *style), torch.randn(8, *noise))
                    for style, noise in shapes
                ]
                with torch.no_grad():
                    wanted = [lpips(target) for target in targets]
                    losses(codes, wanted)
                for _ in range(8):
                    optimizer.zero_grad()
                    loss = losses(codes, wanted)
                    loss.backward()
                    optimizer.step()
            return loss.detach()

        return lambda: run() and None

    def selection(self, net):
        """The nearest of sixteen candidates, level by level."""
        arrays = self.read("selection")
        tower, lpips = self.tower("selection"), self.lpips(net)
        given = self.pictures(arrays["picture"])
        codes = self.codes(arrays)
        targets = [
            self.pictures(arrays[f"target_{level}"])
            for level in range(len(codes))
        ]
        level_of = self.compile(tower.level)
        distances_of = self.compile(
            lambda x, wanted: lpips.compare(lpips(x), wanted)
        )

        def run():
            chosen = []
            with torch.inference_mode(), self.scope():
                output, feature = given, None
                for level, (styles, noises) in enumerate(codes):
                    count = len(styles)
                    seen = output.expand(count, -1, -1, -1)
                    before = (
                        None
                        if feature is None
                        else feature.expand(count, -1, -1, -1)
                    )
                    made, features = level_of(
                        level, seen, before, styles, noises
                    )
                    found = distances_of(made, lpips(targets[level]))
                    best = int(found.argmin())
                    chosen.append(best)
                    output = made[best : best + 1]
                    feature = features[best : best + 1]
            return np.array(chosen)

        return run

    def distance(self, net):
        arrays, lpips = self.read("distance"), self.lpips(net)
        a, b = self.pictures(arrays["a"]), self.pictures(arrays["b"])
        function = self.compile(lambda a, b: lpips.compare(lpips(a), lpips(b)))

        def run():
            with torch.inference_mode(), self.scope():
                return function(a, b).float()

        return run

    def gradient(self, net):
        arrays, lpips = self.read("distance"), self.lpips(net)
        a, b = self.pictures(arrays["a"]), self.pictures(arrays["b"])
        with torch.no_grad(), self.scope():
            wanted = lpips(b)
        function = self.compile(lambda a: lpips.compare(lpips(a), wanted).sum())

        def run():
            given = a.detach().requires_grad_()
            with self.scope():
                function(given).backward()
            return given.grad.permute(0, 2, 3, 1).float()

        return run


class Lpips:
    """Features of LPIPS and their differences.

    Args:
        net: str, one of `NETWORKS`.
        arrays: dict of kernel_n, bias_n and head_n (roots of the weights).
        memory_format: PyTorch's.
    """

    def __init__(self, net, arrays, memory_format):
        self.stages = NETWORKS[net]
        count = sum(name.startswith("kernel") for name in arrays)
        self.kernels = [
            torch.tensor(arrays[f"kernel_{n}"])
            .permute(3, 2, 0, 1)
            .contiguous(memory_format=memory_format)
            for n in range(count)
        ]
        self.biases = [torch.tensor(arrays[f"bias_{n}"]) for n in range(count)]
        self.heads = [
            torch.tensor(arrays[f"head_{n}"])[:, None, None] for n in range(5)
        ]
        self.shift = torch.tensor(SHIFT)[:, None, None]
        self.scale = torch.tensor(SCALE)[:, None, None]

    def __call__(self, x):
        x = (2 * x - 1 - self.shift) / self.scale
        layers = iter(zip(self.kernels, self.biases, strict=True))
        features = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            for part in stage:
                if isinstance(part, int):
                    x = functional.max_pool2d(x, part, 2)
                    continue
                _, stride, padding = part
                x = functional.relu(
                    functional.conv2d(
                        x, *next(layers), stride=stride, padding=padding
                    )
                )
            tap = x.float()
            square = tap.square().sum(1, keepdim=True)
            features.append(tap * torch.rsqrt(square + 1e-8) * head)
        return features

    def compare(self, a, b):
        return sum(
            (x - y).square().sum(1).mean((1, 2))
            for x, y in zip(a, b, strict=True)
        )


def main():
    """Serves the cases: FOLDER FLAVOUR THREADS MODEL ..."""
    folder, flavour, threads, *models = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    # What it compiled before says nothing of this run.
    os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    serve(Peer(folder, flavour).cases(models))


if __name__ == "__main__":
    main()
