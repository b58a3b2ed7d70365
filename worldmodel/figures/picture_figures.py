"""Pictures of pictures: rows of frames, one below the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from worldmodel.figures import style

_TILE_IN = 0.92
_LABEL_IN = 0.2


def filmstrip(path: Path, rows: Mapping[str, np.ndarray], captions: Sequence[str] | None = None) -> Path:
    """Draw rows of frames, label -> uint8 (n, S, S, 3), with a caption over every column."""
    counts = {len(frames) for frames in rows.values()}
    style.require(len(counts) == 1, "equally many frames in every row", *rows.values())
    (count,) = counts
    with style.styled():
        figure = style.new_figure(_TILE_IN * count, (_TILE_IN + _LABEL_IN) * len(rows) + (_LABEL_IN if captions else 0))
        for row, (label, frames) in enumerate(rows.items()):
            for column, frame in enumerate(frames):
                axes = figure.add_subplot(len(rows), count, row * count + column + 1)
                axes.imshow(frame, interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if column == 0:
                    axes.annotate(
                        label, (0, 1), (0, 3), "axes fraction", "offset points", fontsize=8, annotation_clip=False
                    )
                if row == 0 and captions:
                    axes.set_title(captions[column], fontsize=7.5, fontweight="normal", loc="right")
        return style.save_png(figure, path)
