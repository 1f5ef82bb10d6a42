import importlib.util
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from keras_tim.images.pictures import decode_picture, read_picture

_HERE = pathlib.Path(__file__).parent
_spec = importlib.util.spec_from_file_location("_conf", _HERE / "conftest.py")
profiles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(profiles)

COLOURS = [
    (60, 160, 60),
    (200, 80, 60),
    (128, 128, 128),
    (0, 0, 0),
    (255, 255, 255),
    (20, 40, 220),
]


def colours(mode="RGB"):
    return Image.fromarray(np.array([COLOURS], np.uint8)).convert(mode)


@pytest.mark.parametrize("space", ["Adobe RGB", "Display P3"])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_wide_colour_spaces_become_srgb(saved, space, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    profile = profiles.rgb_profile(space)
    path = saved(colours(), name, icc_profile=profile, **options)
    expected = [profiles.as_srgb(colour, space) for colour in COLOURS]
    found = read_picture(path, "uint8")[0]
    # LittleCMS rounds its curves.
    np.testing.assert_allclose(found, expected, atol=1.6)
    # The first one is off by 60 levels if the profile is ignored.
    if space == "Adobe RGB":
        assert found[0].tolist() == [0, 161, 47]


def test_a_jpeg_of_a_phone(saved):
    image = Image.new("RGB", (16, 16), (200, 80, 60))
    profile = profiles.rgb_profile("Display P3")
    path = saved(image, "a.jpg", icc_profile=profile, quality=98)
    expected = profiles.as_srgb((200, 80, 60), "Display P3")
    np.testing.assert_allclose(
        read_picture(path, "uint8")[8, 8], expected, atol=4
    )


def test_colours_are_converted_before_they_are_laid_over_white(saved):
    image = colours("RGBA")
    image.putalpha(51)  # 20 percent
    path = saved(image, "a.png", icc_profile=profiles.rgb_profile("Adobe RGB"))
    expected = [
        0.2 * profiles.as_srgb(colour, "Adobe RGB") + 204 for colour in COLOURS
    ]
    np.testing.assert_allclose(
        read_picture(path, "uint8")[0], expected, atol=1.6
    )


def test_palettes_are_converted(saved):
    image = Image.new("P", (1, 1))
    image.putpalette([60, 160, 60])
    path = saved(image, "a.png", icc_profile=profiles.rgb_profile("Adobe RGB"))
    assert read_picture(path, "uint8").tolist() == [[[0, 161, 47]]]


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_of_another_gamma(saved, mode):
    levels = np.linspace(0, 1, 9)
    if mode == "I;16":
        stored = np.rint(levels * 65535).astype(np.uint16)[None]
        image = Image.fromarray(stored)
    else:
        stored = np.rint(levels * 255).astype(np.uint8)[None]
        image = Image.fromarray(stored).convert(mode)
    path = saved(image, "a.png", icc_profile=profiles.grey_profile(1.8))
    expected = [
        profiles.as_srgb([255 * x] * 3, "sRGB", gamma=1.8) / 255 for x in levels
    ]
    np.testing.assert_allclose(
        read_picture(path)[0], expected, atol=2.0 / 255.0
    )


def test_deep_grey_stays_smooth_under_a_profile(saved):
    stored = np.arange(20_000, 40_000, dtype=np.uint16)[None]
    path = saved(
        Image.fromarray(stored),
        "a.tif",
        icc_profile=profiles.grey_profile(1.8),
    )
    steps = np.diff(read_picture(path)[0, :, 0])
    assert steps.min() > 0
    assert steps.max() < 1 / 65535 * 3


def test_pictures_in_srgb_keep_every_value(saved):
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    image = Image.fromarray(values.astype(np.uint8))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    path = saved(image, "a.png", icc_profile=profile.tobytes())
    np.testing.assert_array_equal(read_picture(path, "uint8"), values)
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = saved(Image.fromarray(deep), "b.png", icc_profile=profile.tobytes())
    np.testing.assert_array_equal(
        read_picture(path)[..., 0], deep.astype("f4") / np.float32(65535)
    )


@pytest.mark.parametrize(
    ("profile", "mode", "said"),
    [
        (b"no profile at all", "RGB", True),
        (profiles.rgb_profile("Adobe RGB")[:200], "RGB", True),
        (profiles.rgb_profile("Adobe RGB"), "CMYK", False),
        (profiles.grey_profile(1.0), "RGB", False),
    ],
    ids=["text", "truncated", "of colours for inks", "of grey for colours"],
)
def test_profiles_that_do_not_fit_are_left_aside(
    saved, profile, mode, said, caplog
):
    path = saved(colours(mode), "a.tif", icc_profile=profile)
    np.testing.assert_array_equal(
        read_picture(path, "uint8"), np.asarray(colours(mode).convert("RGB"))
    )
    assert ("a.tif` has a colour profile" in caplog.text) == said


def test_cie_lab(saved):
    srgb, lab = map(ImageCms.createProfile, ("sRGB", "LAB"))
    image = ImageCms.profileToProfile(colours(), srgb, lab, outputMode="LAB")
    path = saved(image, "a.tif")
    # 8 bits of L, a and b are coarser than those of RGB.
    np.testing.assert_allclose(
        read_picture(path, "uint8")[0].astype(int), COLOURS, atol=8
    )


def test_what_is_decoded_for_label_maps_keeps_its_values(saved):
    profile = profiles.rgb_profile("Adobe RGB")
    path = saved(colours(), "a.png", icc_profile=profile)
    found = decode_picture(path, lambda image: np.asarray(image))
    assert found.tolist() == [[list(colour) for colour in COLOURS]]
