"""Tables as text."""


def markdown_table(header, rows):
    """A Markdown table whose columns are aligned, to be read as it is.

    Args:
        header: list of str.
        rows: iterable of lists of str, as long as the header.

    Returns:
        str.
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * max(width, 3) for width in widths])
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(max(width, 3))
            for cell, width in zip(line, widths, strict=True)
        )
        + " |"
        for line in lines
    )
