"""Pictures in files and on sheets."""

from keras_tim.inference.again import sample_again
from keras_tim.inference.alternatives import (
    alternatives_sheet,
    bicubic_picture,
)
from keras_tim.inference.films import write_film
from keras_tim.inference.pictures import (
    PictureError,
    find_pictures,
    read_picture,
    write_picture,
)
from keras_tim.inference.samples import sample_files
from keras_tim.inference.sheets import contact_sheet, difference_map
from keras_tim.inference.walks import film_file, walk

__all__ = [
    "PictureError",
    "alternatives_sheet",
    "bicubic_picture",
    "contact_sheet",
    "difference_map",
    "film_file",
    "find_pictures",
    "read_picture",
    "sample_again",
    "sample_files",
    "walk",
    "write_film",
    "write_picture",
]
