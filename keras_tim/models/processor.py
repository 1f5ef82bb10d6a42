"""What this processor makes of one picture alone."""

import os

import numpy as np

_WITHOUT_AVX512 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")


def pictures_together():
    """How many pictures to make at a time, so that none is slow.

    On x86 processors without AVX-512, oneDNN's convolutions of a single
    picture take as long as those of two. There pictures are always made two at
    a time, a single one beside itself, so that they are the same whatever was
    asked for beside them. TensorFlow's own convolutions, which it uses there
    unless told otherwise, have no such gap.

    Returns:
        int, 1 or 2.
    """
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    if asked not in ("1", "true"):
        # Off, or left to TensorFlow, which has it on with AVX-512 alone.
        return 1
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit in _WITHOUT_AVX512:
        return 2
    known = _instructions()
    x86 = {"AVX2", "X86_V3"} & known
    return 2 if x86 and not {"AVX512F", "X86_V4"} & known else 1


def _instructions():
    """What NumPy found, by the names of its versions."""
    listed = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {*listed.get("baseline", []), *listed.get("found", [])}
