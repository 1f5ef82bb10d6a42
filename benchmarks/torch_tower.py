"""Super-resolution towers in plain PyTorch, as `torch_peer.py` compares them.

Published ones, with a style for the whole picture and instance normalisation,
and those on a trunk: plain blocks, a map of styles, back-projection.
"""

import torch
from torch.nn import functional


class Tower:
    """A super-resolution tower.

    Args:
        config: dict, `TIM.get_config()`.
        weights: dict from places to arrays; with "v" and "g" the kernels are
            weight-normalised.
        memory_format: PyTorch's.
    """

    def __init__(self, config, weights, memory_format):
        self.config = config
        self.weights = {}
        for name, value in weights.items():
            tensor = torch.tensor(value)
            if tensor.ndim == 4:
                tensor = tensor.permute(3, 2, 0, 1).contiguous(
                    memory_format=memory_format
                )
            elif tensor.ndim == 2:
                tensor = tensor.T.contiguous()
            self.weights[name] = tensor

    def __call__(self, picture, codes):
        """Every level's pictures `[n, 3, height, width]`.

        Args:
            picture: tensor `[1 or n, 3, height, width]`.
            codes: list over levels of pairs of styles `[n, ...]` and noises.
        """
        count = len(codes[0][0])
        begun = self.begin(picture)
        if begun is not None:
            begun = [x.expand(count, -1, -1, -1) for x in begun]
        observed = output = picture.expand(count, -1, -1, -1)
        feature, made = None, []
        for level, (style, noise) in enumerate(codes):
            output, feature = self.level(
                level,
                output,
                feature,
                style,
                noise,
                observed,
                begun if level == 0 else None,
            )
            made.append(output)
        return made

    def begin(self, picture):
        """Head and plain blocks, once per picture; None without them."""
        count = self.of_level("plain_blocks", 0)
        if not count:
            return None
        head = x = self.convolution("level0/head", picture)
        for index in range(1, count + 1):
            x = self.rrdb(f"level0/rrdb{index}", x)
        return head, x

    def level(
        self, level, output, feature, style, noise, observed=None, begun=None
    ):
        """One level's picture and feature."""
        seen = [output if level == 0 else 2 * output - 1, noise]
        if feature is not None:
            seen.append(self.config["feature_scale"] * feature)
        raw, feature = self.module(level, seen, style, begun)
        if self.config["output_activation"] == "linear":
            output = raw
        elif self.config["input_skip"]:
            larger = functional.interpolate(
                output.float(),
                scale_factor=2,
                mode="bicubic",
                # Keys' cubic with a = -0.5, as antialiasing has it.
                antialias=True,
            )
            output = larger.clamp(0, 1) + raw / 2
        else:
            output = (raw + 1) / 2
        for _ in range(self.config["consistency"]):
            output = self.agreeing(output, observed, 2 ** (level + 1))
        return output.clamp(0, 1), feature

    def agreeing(self, output, observed, factor):
        """One round of back-projection."""

        def resized(x, scale):
            return functional.interpolate(
                x.float(), scale_factor=scale, mode="bicubic", antialias=True
            )

        lacking = observed - resized(output, 1 / factor)
        return output + resized(lacking, factor)

    def module(self, level, seen, style, begun):
        name = f"level{level}"
        for index in range(self.config["mapping_depth"]):
            dense = self.dense(f"{name}/mapping/dense{index + 1}", style)
            style = functional.leaky_relu(dense, 0.2)
        blocks = self.of_level("num_blocks", level)
        plain = self.of_level("plain_blocks", level)
        if begun is None:
            head = x = self.convolution(f"{name}/head", torch.cat(seen, 1))
        else:
            head, x = begun
            x = x + self.convolution(f"{name}/noise", seen[1])
        for index in range(plain + 1, blocks + 1):
            x = self.rrdb(f"{name}/rrdb{index}", x)
            x = self.modulation(f"{name}/modulation{index}", level, x, style)
        if self.of_level("modulated_head", level):
            body = self.modulation(f"{name}/modulation1", level, x, style)
        else:
            body = head + self.convolution(f"{name}/body_end", x)
        feature = functional.interpolate(body, scale_factor=2)
        for index in range(self.of_level("num_resize_convolutions", level)):
            feature = functional.leaky_relu(
                self.convolution(f"{name}/resize{index + 1}", feature), 0.2
            )
        if self.config["output_activation"] == "linear":
            # Colours in half precision would have steps of a grey level.
            with torch.autocast("cpu", enabled=False):
                raw = self.convolution(f"{name}/output", feature.float())
        else:
            raw = torch.tanh(self.convolution(f"{name}/output", feature))
        return raw, feature

    def modulation(self, name, level, x, style):
        dense = self.dense(f"{name}/dense", style)
        if self.config["style_cell"]:
            # [n, rows, columns, channels]; the cells cover the picture.
            side = self.config["style_cell"] * 2**level
            dense = functional.interpolate(
                dense.permute(0, 3, 1, 2),
                scale_factor=side,
                mode="bilinear",
                align_corners=False,
            )[:, :, : x.shape[2], : x.shape[3]]
        else:
            dense = dense[:, :, None, None]
        gamma, beta = dense.chunk(2, 1)
        if self.config["normalization"] == "instance":
            x = functional.instance_norm(x, eps=1e-5)
        return x * (1 + gamma) + beta

    def of_level(self, name, level):
        """An argument that is one value, or one per level."""
        value = self.config[name]
        return value[level] if isinstance(value, list) else value

    def rrdb(self, name, x):
        scale = self.config["residual_scale"]
        start = x
        for block in (1, 2, 3):
            maps = [x]
            for index in range(1, 6):
                layer = f"{name}/dense_block{block}/conv{index}"
                made = self.convolution(layer, torch.cat(maps, 1))
                maps.append(functional.leaky_relu(made, 0.2))
            x = x + scale * made
        return start + scale * x

    def convolution(self, name, x):
        kernel = self.weights.get(f"{name}/kernel")
        if kernel is None:
            v = self.weights[f"{name}/v"]
            length = v.square().sum((1, 2, 3), keepdim=True).sqrt()
            kernel = v * (
                self.weights[f"{name}/g"][:, None, None, None] / length
            )
        return functional.conv2d(
            x, kernel, self.weights[f"{name}/bias"], padding=1
        )

    def dense(self, name, x):
        return functional.linear(
            x, self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"]
        )
