"""Pictures side by side, each with a name."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from worldmodel.figures import style


def contact_sheet(path: Path, pictures: Mapping[str, np.ndarray]) -> Path:
    """Draw pictures uint8 (S, S, 3) in rows, their names above them, into a PNG."""
    with style.styled():
        columns = min(6, math.ceil(math.sqrt(len(pictures))))
        figure, axes = style.panels(len(pictures), columns, (2.2, 2.4))
        for panel, (name, picture) in zip(axes, pictures.items(), strict=False):
            panel.imshow(picture)
            panel.set_title(name)
            panel.set_axis_off()
        return style.save_png(figure, path)
