"""`EvaluationSettings`: what is measured, with how many samples."""

import dataclasses

from keras_tim.options import check_options, option


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What an evaluation is told.

    Attributes:
        num_samples: int, samples per picture.
        seed: int, from which and a picture's name they are drawn.
        nets: names of LPIPS networks, "alex" and "vgg". The first one ranks
            the pictures.
        bandwidths: floats above 0, of the faithfulness-weighted variance.
        crop: int or None: squares of this side, side by side, are measured
            in place of whole pictures.
        count: int or None for all: how many pictures (or squares) are
            measured, spread evenly over all of them.
        fid: bool, whether FID and KID are measured.
        invert: int, for how many pictures codes are looked for that come
            nearest to the observed output, spread evenly over those measured.
        inversion_steps: int, see `TIM.invert`.
        inversion_learning_rate: float, see `TIM.invert`.
        inversion_net: name of the LPIPS network to descend under; what comes
            out is measured with `nets`, too.
    """

    num_samples: int = option(10, "samples per picture", least=1)
    seed: int = option(0, "from which samples are drawn")
    nets: tuple[str, ...] = option(
        ("alex",), "LPIPS networks: alex, vgg (20 times slower) or alex,vgg"
    )
    bandwidths: tuple[float, ...] = option(
        (0.3, 0.2, 0.15), "bandwidths of the faithfulness-weighted variance"
    )
    crop: int | None = option(
        None,
        "measure squares of this side, side by side, in place of whole photos",
        least=1,
    )
    count: int | None = option(
        None,
        "how many pictures (or squares) to measure, spread evenly over all",
        least=1,
    )
    fid: bool = option(
        False,
        "measure FID and KID, too; fetches 81 MB once, and takes about half a "
        "second per sample",
    )
    invert: int = option(
        0,
        "for so many pictures look for codes that come nearest to the observed "
        "output: recall, precision, and a film of the way",
        least=0,
    )
    inversion_steps: int = option(100, "steps of that", least=1)
    inversion_learning_rate: float = option(0.1, "its first rate")
    inversion_net: str = option(
        "vgg",
        "the LPIPS network to descend under; what comes out is measured with "
        "--nets, too",
        choices=("alex", "vgg"),
    )

    def __post_init__(self):
        check_options(self)
        if not self.nets or not set(self.nets) <= {"alex", "vgg"}:
            raise ValueError(
                "`nets` must name alex, vgg or both. Received: "
                f"nets={self.nets!r}"
            )
        if not all(bandwidth > 0 for bandwidth in self.bandwidths):
            raise ValueError(
                "`bandwidths` must be above 0. Received: "
                f"bandwidths={self.bandwidths!r}"
            )
        if not self.inversion_learning_rate > 0:
            raise ValueError(
                "`inversion_learning_rate` must be positive. Received: "
                f"inversion_learning_rate={self.inversion_learning_rate!r}"
            )
