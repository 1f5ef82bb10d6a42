"""Pictures in files and on sheets: formats, colours, films."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
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

# Commands name them before TensorFlow is there.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.images.alternatives": ["alternatives_sheet"],
        "keras_tim.images.films": ["write_film"],
        "keras_tim.images.pictures": [
            "PictureError",
            "find_pictures",
            "read_picture",
            "write_picture",
        ],
        "keras_tim.images.sheets": ["contact_sheet", "difference_map"],
        "keras_tim.layers.resampling": ["bicubic_picture"],
    },
)
