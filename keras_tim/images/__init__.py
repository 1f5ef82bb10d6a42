"""Pictures in files and on sheets: formats, colours, films."""

from keras_tim.images.alternatives import alternatives_sheet
from keras_tim.images.films import write_film
from keras_tim.images.pictures import (
    PictureError,
    find_pictures,
    read_picture,
    write_picture,
)
from keras_tim.images.sheets import contact_sheet, difference_map
from keras_tim.layers.resampling import bicubic_picture

__all__ = [
    "PictureError",
    "alternatives_sheet",
    "bicubic_picture",
    "contact_sheet",
    "difference_map",
    "find_pictures",
    "read_picture",
    "write_film",
    "write_picture",
]
