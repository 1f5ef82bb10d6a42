import numpy as np
import pytest

from keras_tim.data import Classes, read_classes
from keras_tim.data.class_files import write_classes

TEXT = """# streets
name, id, red, green, blue

sky, 4, 10, 20, 30
road, 1, 40, 50, 60
road, 9, 41, 51, 61
void, 0, 0, 0, 0
"""


def written(folder, text):
    path = folder / "classes.csv"
    path.write_text(text)
    return path


def test_a_class_file(tmp_path):
    classes = read_classes(written(tmp_path, TEXT))
    assert classes.names == ("sky", "road")
    assert classes.num_channels == 3
    # Void is no class, 7 is not listed: both are other, 2.
    ids = np.array([[4, 1, 9], [0, 7, 4]], np.uint8)
    np.testing.assert_array_equal(classes.from_ids(ids), [[0, 1, 1], [2, 2, 0]])
    colours = np.array(
        [[[41, 51, 61], [0, 0, 0]], [[10, 20, 30], [40, 50, 60]]], np.uint8
    )
    labels = classes.from_colours(colours)
    np.testing.assert_array_equal(labels, [[1, 2], [0, 1]])
    # Shown in the colours of first rows, other in black.
    np.testing.assert_allclose(
        255 * classes.picture(labels),
        [[[40, 50, 60], [0, 0, 0]], [[10, 20, 30], [40, 50, 60]]],
        atol=1e-4,
    )


def test_columns_in_any_order_and_of_other_names(tmp_path):
    text = "R,G,B,Name,evaluated\n1,2,3,sky,yes\n4,5,6,road,no\n"
    classes = read_classes(written(tmp_path, text))
    assert classes.names == ("sky", "road")
    assert classes.has_colours
    assert not classes.has_ids
    np.testing.assert_array_equal(classes.colours[1], [4, 5, 6])


def test_classes_without_colours_are_shown_in_different_ones(tmp_path):
    names = "\n".join(f"class {n},{n}" for n in range(30))
    classes = read_classes(written(tmp_path, f"name,id\n{names}\n"))
    assert not classes.has_colours
    assert len({tuple(colour) for colour in classes.colours}) == 31


@pytest.mark.parametrize("source", ["camvid", "cityscapes", "bdd100k"])
def test_a_list_survives_being_written(source, tmp_path):
    classes = read_classes(source)
    path = tmp_path / "classes.csv"
    write_classes(path, classes)
    again = read_classes(path)
    assert again.rows == classes.rows
    assert again.names == classes.names
    np.testing.assert_array_equal(again.colours, classes.colours)
    assert read_classes(classes) is classes
    assert [p.name for p in tmp_path.iterdir()] == ["classes.csv"]


def test_known_data_sets():
    camvid = read_classes("camvid")
    assert camvid.num_channels == 12
    assert camvid.names[0] == "sky"
    # 11 is void; LaneMkgsDriv is road, SUVPickupTruck a car.
    np.testing.assert_array_equal(camvid.from_ids(np.array([3, 11])), [3, 11])
    marks = np.array([[128, 0, 192], [64, 128, 192]], np.uint8)
    np.testing.assert_array_equal(camvid.from_colours(marks), [3, 8])
    cityscapes, bdd100k = read_classes("cityscapes"), read_classes("bdd100k")
    assert cityscapes.names == bdd100k.names
    assert cityscapes.num_channels == 20
    np.testing.assert_array_equal(
        cityscapes.from_ids(np.array([7, 33, 23, 0, 34])), [0, 18, 10, 19, 19]
    )
    np.testing.assert_array_equal(
        bdd100k.from_ids(np.array([0, 18, 10, 255])), [0, 18, 10, 19]
    )


def test_rows_may_come_from_json():
    rows = [["sky", np.int64(23), [70, 130, 180]], ["road", 7, None]]
    rows += [["road", 8, None], ["void", 0, None]]
    classes = Classes(rows)
    assert classes.rows[:2] == [("sky", 23, (70, 130, 180)), ("road", 7, None)]
    assert classes.ids == ((23,), (7, 8))
    assert Classes(classes.rows).rows == classes.rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((7, 7, None), "name of a class must be text"),
        (("sky", 256, None), "`id` must be an integer from 0 to 255"),
        (("sky", "7", None), "`id` must be an integer"),
        (("sky", None, (1, 2)), "red, green and blue"),
        (("sky", None, (1, 2, 256)), "red, green and blue"),
        (("sky", None, (1, 2, 0.5)), r"`colour\[2\]` must be"),
    ],
)
def test_wrong_rows_are_refused(row, message):
    with pytest.raises(ValueError, match=message):
        Classes([row])


def test_classes_of_found_ids():
    classes = Classes.of_ids([7, 0, 255, 3])
    assert classes.names == ("label 0", "label 3", "label 7")
    np.testing.assert_array_equal(
        classes.from_ids(np.array([7, 3, 255])), [2, 1, 3]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("# nothing\n\n", "it is empty"),
        ("sky,1,2,3,4\n", "first line must name the columns"),
        ("name,red,green\nsky,1,2\n", "first line must name the columns"),
        ("name,id\nsky,1\nroad\n", r"2 values. Received: 'road'"),
        ("name,id\nsky,256\n", r"from 0 to 255. Received: '256' in 'sky,256'"),
        ("name,id\nsky,-1\n", "'-1'"),
        ("name,id\nsky,one\n", "'one'"),
        ("name,id\n,1\n", "must have a name"),
        ("name,red,green,blue\nsky,1,,3\n", "all of red, green and blue"),
        ("name,id\nsky,1\nroad,1\n", "the id 1 must stand for one class"),
        (
            "name,red,green,blue\nsky,1,2,3\nvoid,1,2,3\n",
            r"the colour \(1, 2, 3\) must stand for one class",
        ),
        ("name,id\nvoid,0\n", "from 1 to 255 classes. Received: 0"),
    ],
)
def test_refuses_class_files(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as error:
        read_classes(path)
    assert str(path) in str(error.value)


def test_refuses_what_is_no_text(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match=r"classes\.csv is no class file"):
        read_classes(path)


def test_names_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"kitti.*bdd100k, camvid"):
        read_classes("kitti")


def test_ids_out_of_range():
    camvid = read_classes("camvid")
    with pytest.raises(ValueError, match=r"\[0, 255\]. Received: 26001"):
        camvid.from_ids(np.array([26001, 3]))
    with pytest.raises(ValueError, match="none of them, but 40, 200"):
        camvid.from_ids(np.array([200, 40]))
    with pytest.raises(ValueError, match=r"1 that are not, such as \(1, 2, 3"):
        camvid.from_colours(np.array([[0, 0, 0], [1, 2, 3]], np.uint8))
