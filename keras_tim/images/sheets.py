"""Contact sheets and difference maps: pictures to compare by eye."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_tim.checks import check_floating, check_unit_range, integer
from keras_tim.images.pictures import as_uint8

# From black over violet, red and orange to pale yellow: the lightness rises
# evenly, so that a map also reads in print and for the colour-blind. The
# anchors follow Matplotlib's "inferno", which is in the public domain.
_COLOUR_ANCHORS = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ],
    np.float32,
)
# Cells are no larger than this, so that a sheet of photos can still be shown.
LARGEST_CELL = (480, 480)
# Narrower columns would break captions into single words.
_NARROWEST_COLUMN = 120
_INK = (32, 32, 32)
_FAINT_INK = (104, 104, 104)
_PAPER = (255, 255, 255)


def contact_sheet(
    rows,
    column_titles=None,
    row_titles=None,
    scale=None,
    title=None,
    footer=None,
    largest_cell=LARGEST_CELL,
):
    """Lays pictures out in rows and columns on white, with captions.

    Every cell is as large as the largest picture, within `largest_cell`.
    Smaller pictures are enlarged to fit: by repeating pixels where the factor
    is whole, so that a low-resolution input shows its pixels, and bicubically
    elsewhere. Larger pictures are reduced, antialiased.

    Args:
        rows: List of rows, each a list of images of shape
            `(height, width, 3)`, floats in `[0, 1]`. `None` leaves a cell
            empty; rows may differ in length.
        column_titles: List of captions above the columns; `""` for none. A
            line break starts a new line.
        row_titles: List of captions to the left of the rows.
        scale: Integer factor by which the cells exceed the largest picture,
            however large that is; `None` chooses it for cells of about 200
            pixels where the pictures are small, and within `largest_cell`.
        title: Text above everything.
        footer: Text below everything; long lines are broken.
        largest_cell: `(height, width)` in pixels.

    Returns:
        A `float32` array of shape `(height, width, 3)` in `[0, 1]`.

    Raises:
        ValueError: If an argument is not as described.
    """
    rows = [list(row) for row in rows]
    cells = [
        [
            None
            if image is None
            else as_uint8(image, f"rows[{row_index}][{column_index}]")
            for column_index, image in enumerate(row)
        ]
        for row_index, row in enumerate(rows)
    ]
    sizes = [im.shape[:2] for row in cells for im in row if im is not None]
    if not sizes:
        raise ValueError(
            "`rows` must hold at least one image. Received: "
            f"{len(rows)} rows without any"
        )
    num_columns = max(len(row) for row in cells)
    column_titles = _titles("column_titles", column_titles, num_columns)
    row_titles = _titles("row_titles", row_titles, len(cells))
    height = max(size[0] for size in sizes)
    width = max(size[1] for size in sizes)
    if scale is None:
        height, width = _cell_size(height, width, largest_cell)
        if column_titles:
            width = max(width, _NARROWEST_COLUMN)
    else:
        scale = integer("scale", scale)
        height, width = height * scale, width * scale

    # Type follows the size of the cells, within what can be read.
    text_size = int(np.clip(width // 13, 13, 26))
    font = ImageFont.load_default(size=text_size)
    title_font = ImageFont.load_default(size=round(text_size * 1.35))
    gap, margin = max(text_size // 2, 4), text_size
    line = round(text_size * 1.3)

    column_titles = [_broken(text, font, width) for text in column_titles]
    row_titles = [_broken(text, font, 2 * width) for text in row_titles]
    title_column = max((_text_width(t, font) for t in row_titles), default=0)
    left = margin + (title_column + gap if title_column else 0)
    sheet_width = left + num_columns * (width + gap) - gap + margin
    inner_width = sheet_width - 2 * margin
    title = _broken(title or "", title_font, inner_width)
    footer = _broken(footer or "", font, inner_width)
    title_line = round(text_size * 1.35 * 1.3)
    titles_top = margin + (len(title) * title_line + gap if title else 0)
    titles_height = line * max(map(len, column_titles), default=0)
    top = titles_top + (titles_height + gap // 2 if titles_height else 0)
    bottom = top + len(cells) * (height + gap) - gap
    sheet_height = bottom + margin + (len(footer) * line if footer else 0)
    sheet_height += gap if footer else 0

    sheet = Image.new("RGB", (sheet_width, sheet_height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, text in enumerate(title):
        where = (margin, margin + number * title_line)
        draw.text(where, text, fill=_INK, font=title_font)
    for column, lines in enumerate(column_titles):
        middle = left + column * (width + gap) + width // 2
        first = titles_top + titles_height - line * len(lines)
        for number, text in enumerate(lines):
            where = (middle, first + number * line)
            draw.text(where, text, fill=_INK, font=font, anchor="ma")
    for row, lines in enumerate(row_titles):
        middle = top + row * (height + gap) + height // 2
        first = middle - line * len(lines) // 2
        for number, text in enumerate(lines):
            where = (left - gap, first + number * line)
            draw.text(where, text, fill=_INK, font=font, anchor="ra")
    for row, images in enumerate(cells):
        for column, image in enumerate(images):
            if image is None:
                continue
            image = Image.fromarray(fitted(image, height, width))
            x = left + column * (width + gap) + (width - image.width) // 2
            y = top + row * (height + gap) + (height - image.height) // 2
            sheet.paste(image, (x, y))
    for number, text in enumerate(footer):
        where = (margin, bottom + gap + number * line)
        draw.text(where, text, fill=_FAINT_INK, font=font)
    return np.asarray(sheet).astype(np.float32) / np.float32(255.0)


def fitted(image, height, width):
    """Enlarges or reduces a picture to fit a cell, keeping its proportions.

    Args:
        image: `uint8` array of shape `(height, width, 3)`.
        height: Integer, pixels of the cell.
        width: Integer.

    Returns:
        A `uint8` array whose one side is that of the cell, the other no
        larger.
    """
    factor = min(height / image.shape[0], width / image.shape[1])
    if factor == 1:
        return image
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    how = (
        Image.Resampling.NEAREST
        if float(factor).is_integer()
        else Image.Resampling.BICUBIC
    )
    return np.asarray(
        Image.fromarray(image).resize((max(size[0], 1), max(size[1], 1)), how)
    )


def stacked(sheets):
    """Lays sheets below one another, centred on white.

    Args:
        sheets: List of arrays of shape `(height, width, 3)` in `[0, 1]`.

    Returns:
        A `float32` array of shape `(height, width, 3)` in `[0, 1]`.
    """
    width = max(sheet.shape[1] for sheet in sheets)
    padded = []
    for sheet in sheets:
        left = (width - sheet.shape[1]) // 2
        sides = (left, width - sheet.shape[1] - left)
        padded.append(
            np.pad(sheet, ((0, 0), sides, (0, 0)), constant_values=1.0)
        )
    return np.concatenate(padded)


def difference_map(samples):
    """Shows where alternatives differ.

    The value of a pixel is its standard deviation over the samples (the root
    of the mean over the channels of the variance). It is coloured from black,
    no difference, to pale yellow, the largest difference of the picture.

    Args:
        samples: Array of shape `(samples, height, width, 3)`, floats in
            `[0, 1]`, at least two samples.

    Returns:
        `(picture, peak)`: a `float32` array of shape `(height, width, 3)` in
        `[0, 1]`, and the standard deviation that the brightest colour stands
        for, from 0 to 0.5. State it in the caption: without it two maps
        cannot be compared.

    Raises:
        ValueError: If `samples` is not as described.
    """
    samples = np.asarray(samples)
    if samples.ndim != 4 or samples.shape[-1] != 3 or len(samples) < 2:
        raise ValueError(
            "`samples` must have the shape (samples, height, width, 3) with "
            f"at least two samples. Received: samples.shape={samples.shape}"
        )
    check_floating("samples", samples)
    check_unit_range("samples", samples)
    return deviation_map(pixel_deviation(samples))


def pixel_deviation(samples):
    """Where alternatives differ, as numbers; see `difference_map`.

    Args:
        samples: Sequence of pictures of shape `(height, width, 3)`, floats in
            `[0, 1]`. They are looked at one by one.

    Returns:
        A `float32` array of shape `(height, width)`.
    """
    mean, squares = np.float32(0), np.float32(0)
    for number, sample in enumerate(samples):
        sample = np.asarray(sample, np.float32)
        # Welford's update.
        change = sample - mean
        mean = mean + change / (number + 1)
        squares = squares + (change * (sample - mean)).mean(axis=-1)
    return np.sqrt(squares / len(samples))


def deviation_map(deviation):
    """Colours what `pixel_deviation` gives; see `difference_map`."""
    peak = float(deviation.max())
    return colour_map(deviation / peak if peak > 0 else deviation), peak


def colour_map(values):
    """Colours values from 0 (black) to 1 (pale yellow).

    Args:
        values: Array of any shape in `[0, 1]`.

    Returns:
        A `float32` array of shape `values.shape + (3,)` in `[0, 1]`.
    """
    stops = np.linspace(0, 1, len(_COLOUR_ANCHORS))
    colours = [
        np.interp(values, stops, _COLOUR_ANCHORS[:, channel])
        for channel in range(3)
    ]
    return np.stack(colours, axis=-1).astype(np.float32) / np.float32(255.0)


def _titles(name, titles, count):
    if titles is None:
        return []
    titles = list(titles) if not isinstance(titles, str) else [titles]
    if len(titles) != count:
        raise ValueError(
            f"`{name}` must have {count} entries, one for each "
            f"{name.split('_')[0]}. Received: {name}={titles!r}"
        )
    return [str(title) for title in titles]


def _cell_size(height, width, largest):
    """The size of cells for pictures of a size."""
    scale = max(1, round(200 / max(height, width)))
    scale = min(scale, largest[0] / height, largest[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _broken(text, font, width):
    """Breaks a text into lines no wider than `width`, between words."""
    lines = []
    for paragraph in text.splitlines():
        current = ""
        for word in _short_words(paragraph, font, width):
            longer = f"{current} {word}".strip()
            if current and font.getlength(longer) > width:
                lines.append(current)
                current = word
            else:
                current = longer
        lines.append(current)
    return lines


def _short_words(text, font, width):
    """Words of a text; those too wide for a line, such as names, in parts."""
    # Names of files may be no text.
    text = text.encode("utf-8", "replace").decode("utf-8")
    for word in text.split():
        while word:
            part = word
            while len(part) > 1 and (size := font.getlength(part)) > width:
                fitting = int(len(part) * width / size)
                part = part[: min(max(fitting, 1), len(part) - 1)]
            yield part
            word = word[len(part) :]


def _text_width(lines, font):
    return max(
        (int(np.ceil(font.getlength(text))) for text in lines), default=0
    )
