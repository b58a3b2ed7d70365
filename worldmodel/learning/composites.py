"""Augmented views of a frame under other looks, made from the frame alone: the static background is replaced.

They are drawn anew for every batch, by other code than the looks of `worldmodel robust`, which test the encoder.
"""

import math
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from worldmodel.models.encoders import moved_mask
from worldmodel.settings import SeenLook

CLEAN = 0.25
"""Share of scenes that are left as they are."""
_NUM_PICTURES = 400  # half of them by each generator
_NUM_NOISES = 100


_Change = Callable[[Tensor, torch.Generator], Tensor]


def median_background(frames: Tensor) -> Tensor:
    """The static background: the median of frames, uint8 (n, 3, S, S) -> float32 (3, S, S)."""
    return frames.float().median(0).values


class Composites:
    """Makes views of frames (n, 3, S, S) under random looks; lengths in pixels are of frames of 64."""

    def __init__(self, background: Tensor, kinds: Collection[SeenLook], seed: int) -> None:
        """
        Args:
            background: the static background, float32 (3, S, S) in grey levels.
            kinds: which looks are drawn.
            seed: seed of the stock of pictures and noise that views draw from.
        """
        self._background, self._size = background, background.shape[-1]
        self._scale, device = self._size / 64, background.device
        stock = torch.Generator().manual_seed(seed)
        pictures = [make(_NUM_PICTURES // 2, self._size, stock) for make in (random_pictures, random_levels)]
        self._pictures = torch.cat(pictures).to(device)
        self._noises = torch.randn(_NUM_NOISES, 3, self._size, self._size, generator=stock).to(device)
        self._rows, self._columns = torch.meshgrid(*2 * [torch.arange(self._size, device=device)], indexing="ij")
        self._behind_robot = {"tint": self._tinted, "background": self._in_front_of_pictures}
        self._of_robot = {"robot_colour": self._recoloured, "tint": self._dimmed}
        still: dict[SeenLook, _Change] = {"patch": self._patched, "camera": self._moved, "blur": self._blurred}
        moving: dict[SeenLook, _Change] = {
            "distractor": self._with_disc,
            "bar": self._with_bar,
            "speckle": self._speckled,
            "noise": self._noisy,
        }
        self._kinds = kinds
        self._still, self._moving = ([of[kind] for kind in of if kind in kinds] for of in (still, moving))

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Frames uint8 (n, 3, S, S) -> views float32 (n, 3, S, S), in grey levels."""
        return self.of_scenes([frames.float()], generator)[0]

    def of_scenes(self, moments: Sequence[Tensor], generator: torch.Generator, clean: float = CLEAN) -> list[Tensor]:
        """Views of several moments of n scenes, float32 (n, 3, S, S) each; a scene keeps its background and looks.

        moments: frames (n, 3, S, S) each; the background itself stands for a scene without the robot.
        clean: share of scenes that are left as they are.
        """
        state, views = generator.get_state(), []
        for frames in moments:
            generator.set_state(state)  # the same draws
            views.append(self._static_view(frames, generator))
        for change in self._moving:
            views = [change(view, generator) for view in views]
        stays = self._uniform(generator, len(moments[0]), 1, 1, 1) < clean
        return [torch.where(stays, frames, view).clamp_(0, 255) for frames, view in zip(moments, views, strict=True)]

    def _static_view(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Frames under all looks that do not change within an episode, (n, 3, S, S)."""
        robot, behind, front = moved_mask(clean, self._background), self._background.expand_as(clean), clean
        for kind, change in self._behind_robot.items():
            behind = change(behind, generator) if kind in self._kinds else behind
        for kind, change in self._of_robot.items():
            front = change(front, generator) if kind in self._kinds else front
        view = behind + robot * (front - behind)
        for change in self._still:
            view = change(view, generator)
        return view

    # what stands still, and the robot: (n, 3, S, S) -> (n, 3, S, S)

    def _tinted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        gain = 0.25 + 1.3 * self._uniform(generator, len(x), 3, 1, 1)
        tinted = torch.where(self._chance(0.5, generator, x), gain, 1.0)
        return x * tinted * (0.7 + 0.6 * self._uniform(generator, len(x), 1, 1, 1))

    def _in_front_of_pictures(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Half of the pictures are opaque; half of them are two that meet along a level line of a third."""
        share = torch.where(self._chance(0.5, generator, x), 1.0, self._uniform(generator, len(x), 1, 1, 1))
        share = share * self._chance(0.8, generator, x)
        first, second, third = self._pictures[torch.randint(len(self._pictures), (3, len(x)), generator=generator)]
        level = 255 * self._uniform(generator, len(x), 1, 1, 1)
        joined = self._chance(0.5, generator, x) & (third.mean(1, keepdim=True) > level)
        return x + share * (torch.where(joined, first, second.flip(-1)) - x)

    def _recoloured(self, x: Tensor, generator: torch.Generator) -> Tensor:
        colour = 0.2 + 1.3 * self._uniform(generator, len(x), 3, 1, 1)
        return torch.where(self._chance(0.4, generator, x), x.mean(1, keepdim=True) * colour, x)

    def _dimmed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x * (0.6 + 0.8 * self._uniform(generator, len(x), 1, 1, 1))

    # what comes between, and the camera

    def _patched(self, x: Tensor, generator: torch.Generator) -> Tensor:
        for share in (0.45, 0.2):
            chosen = self._chosen(share, len(x), generator)
            row, column = self._places(len(chosen), generator)
            high, wide = ((1 + 7 * self._uniform(generator, len(chosen), 1, 1)) * self._scale for _ in range(2))
            inside = ((self._rows - row).abs() < high) & ((self._columns - column).abs() < wide)
            x = self._painted(x, chosen, inside, generator)
        return x

    def _with_disc(self, x: Tensor, generator: torch.Generator) -> Tensor:
        for share in (0.45, 0.2):
            chosen = self._chosen(share, len(x), generator)
            row, column = self._places(len(chosen), generator)
            radius = (1.5 + 5.5 * self._uniform(generator, len(chosen), 1, 1)) * self._scale
            inside = (self._rows - row).square() + (self._columns - column).square() <= radius.square()
            x = self._painted(x, chosen, inside, generator)
        return x

    def _with_bar(self, x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = self._chosen(0.35, len(x), generator)
        row, column = self._places(len(chosen), generator)
        angle = math.pi * self._uniform(generator, len(chosen), 1, 1)
        length = (2 + 7 * self._uniform(generator, len(chosen), 1, 1)) * self._scale
        thickness = (0.7 + self._uniform(generator, len(chosen), 1, 1)) * self._scale
        down, right = self._rows - row, self._columns - column
        across = (down * angle.cos() - right * angle.sin()).abs()
        inside = (across < thickness) & ((down * angle.sin() + right * angle.cos()).abs() < length)
        return self._painted(x, chosen, inside, generator)

    def _moved(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """By up to 5 pixels, 2 degrees and 4 per cent."""
        chosen = self._chosen(0.5, len(x), generator)
        if not len(chosen):
            return x
        angle, scale, right, down = (self._uniform(generator, 4, len(chosen)) - 0.5).unbind()
        angle, scale, right, down = 0.07 * angle, 1 + 0.08 * scale, 10 / 32 * right, 10 / 32 * down
        first = torch.stack([scale * angle.cos(), -scale * angle.sin(), right], -1)
        second = torch.stack([scale * angle.sin(), scale * angle.cos(), down], -1)
        grid = functional.affine_grid(torch.stack([first, second], 1), [len(chosen), *x.shape[1:]], align_corners=False)
        moved = functional.grid_sample(x[chosen], grid, padding_mode="border", align_corners=False)
        return x.index_copy(0, chosen, moved)

    def _blurred(self, x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = self._chosen(0.2, len(x), generator)
        blurred = x[chosen]
        for _ in range(int(torch.randint(1, 5, (1,), generator=generator))):
            blurred = functional.avg_pool2d(blurred, 3, 1, 1, count_include_pad=False)
        return x.index_copy(0, chosen, blurred)

    def _speckled(self, x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = self._chosen(0.2, len(x), generator)
        where, colours = (self._noise(len(chosen), generator) for _ in range(2))
        hit = where[:, :1] > 1.2 + 1.5 * self._uniform(generator, len(chosen), 1, 1, 1)
        return x.index_copy(0, chosen, torch.where(hit, 128 + 128 * colours, x[chosen]))

    def _noisy(self, x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = self._chosen(0.4, len(x), generator)
        deviation = 30 * self._uniform(generator, len(chosen), 1, 1, 1)
        return x.index_add(0, chosen, deviation * self._noise(len(chosen), generator))

    # random numbers

    def _uniform(self, generator: torch.Generator, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(self._background.device)

    def _chance(self, share: float, generator: torch.Generator, x: Tensor) -> Tensor:
        """Which of the views have a look: bool (n, 1, 1, 1)."""
        return self._uniform(generator, len(x), 1, 1, 1) < share

    def _chosen(self, share: float, num: int, generator: torch.Generator) -> Tensor:
        """Numbers of the views that have a look, int64."""
        return (self._uniform(generator, num) < share).nonzero()[:, 0]

    def _places(self, num: int, generator: torch.Generator) -> Tensor:
        """Rows and columns, (2, num, 1, 1)."""
        return self._size * self._uniform(generator, 2, num, 1, 1)

    def _noise(self, num: int, generator: torch.Generator) -> Tensor:
        return self._noises[torch.randint(len(self._noises), (num,), generator=generator)]

    def _painted(self, x: Tensor, chosen: Tensor, inside: Tensor, generator: torch.Generator) -> Tensor:
        """The chosen views with a colour of their own inside, bool (m, S, S)."""
        colours = 255 * self._uniform(generator, len(chosen), 3, 1, 1)
        return x.index_copy(0, chosen, torch.where(inside[:, None], colours, x[chosen]))


def random_levels(num: int, size: int, generator: torch.Generator) -> Tensor:
    """Pictures float32 (num, 3, size, size) in grey levels: levels of a random field, each in a colour of its own.

    The field is a sum of noise at four scales, so that there are edges of all lengths. Some keep its shading as well.
    """
    pictures = []
    for _ in range(num):
        cells = int(torch.randint(2, 7, (1,), generator=generator))
        fall, gray, shaded = torch.rand(3, generator=generator).tolist()
        field = torch.zeros(size, size)
        for octave in range(4):
            side = min(size, cells * 2**octave)
            noise = torch.randn(1, 1, side, side, generator=generator)
            smooth = functional.interpolate(noise, size=(size, size), mode="bicubic", align_corners=False)
            field += 2 ** (-octave * (0.4 + 1.2 * fall)) * smooth[0, 0]
        levels = int(torch.randint(2, 13, (1,), generator=generator))
        rank = field.flatten().argsort().argsort().view(size, size)
        colours = 255 * torch.rand(levels, 3, generator=generator)
        colours = colours.mean(1, keepdim=True).expand(-1, 3) if gray < 0.3 else colours
        picture = colours[rank * levels // size**2].movedim(-1, 0)
        if shaded < 0.3:
            picture = picture + 30 * torch.randn(3, 1, 1, generator=generator) * field / field.std()
        pictures.append(picture.clamp(0, 255))
    return torch.stack(pictures)


def random_pictures(num: int, size: int, generator: torch.Generator) -> Tensor:
    """Pictures float32 (num, 3, size, size) in grey levels: grids of random colours, interpolated, some with waves."""
    pictures = []
    rows, columns = torch.meshgrid(*2 * [torch.linspace(0, 1, size)], indexing="ij")
    for _ in range(num):
        cells = int(torch.randint(2, 17, (1,), generator=generator))
        grid = 255 * torch.rand(1, 3, cells, cells, generator=generator)
        kind, gray, waves = torch.rand(3, generator=generator).tolist()
        grid = grid.mean(1, keepdim=True).expand(-1, 3, -1, -1) if gray < 0.3 else grid
        mode = ("nearest", "bilinear", "bicubic")[int(3 * kind)]
        smooth = {} if mode == "nearest" else {"align_corners": False}
        picture = functional.interpolate(grid, size=(size, size), mode=mode, **smooth)[0]
        if waves < 0.4:
            frequency, phase = 40 * torch.rand(3, 2, generator=generator) - 20, torch.rand(3, generator=generator)
            cycles = frequency[:, :1, None] * rows + frequency[:, 1:, None] * columns + phase[:, None, None]
            picture = picture + 90 * (2 * math.pi * cycles).sin()
        pictures.append(picture.clamp(0, 255))
    return torch.stack(pictures)
