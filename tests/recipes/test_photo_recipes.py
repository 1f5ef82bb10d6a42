import numpy as np

from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings


def test_crops_lie_side_by_side(make_tim):
    tim = make_tim(quick=True)
    recipe = get_recipe("super_resolution")(RunSettings())
    target = np.random.RandomState(0).rand(140, 200, 3).astype("float32")
    title, crops = recipe.crops(tim, ("noise", None, target))
    assert title == "noise, 6 crops of 64 px"
    names = ["0,0", "0,64", "0,128", "64,0", "64,64", "64,128"]
    assert [name for name, _, _ in crops] == names
    for name, given, crop in crops:
        top, left = map(int, name.split(","))
        assert given.shape == (16, 16, 3)
        np.testing.assert_array_equal(
            crop, target[top : top + 64, left : left + 64]
        )
