"""Pictures of droids: a cluttered background, droids put into it, something in front, light and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline_training.synthetic.sprites import LABELS, draw_sprite

Pixels = NDArray[np.uint8]  # [height, width, 3] RGB

_SIZES: Final = ((320, 240), (320, 320), (384, 288), (240, 320), (400, 240))  # width, height in pixels
_COUNTS: Final = (0.1, 0.5, 0.27, 0.13)  # chance of 0, 1, 2, 3 droids
_SCALE: Final = (0.3, 0.95)  # of a sprite's canvas to the picture's shorter side
_TILT: Final = 20.0  # degrees either way
_MIN_INSIDE: Final = 0.8  # share of a droid's box that lies in the picture
_MAX_OVERLAP: Final = 0.25  # share of a droid's box that another droid's box may cover
_OCCLUDED: Final = 0.3  # chance that something stands in front of a droid
_MAX_HIDDEN: Final = 0.3  # share of the box that it may cover
_PLACES: Final = 12  # tries to find room for a droid before it is left out


@dataclass(frozen=True, slots=True)
class DrawnDroid:
    """Where a droid is: its outline's extent within the picture, in whole pixels; max is exclusive."""

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int

    @property
    def area(self) -> int:
        """Square pixels."""
        return (self.xmax - self.xmin) * (self.ymax - self.ymin)

    def overlap(self, other: DrawnDroid) -> int:
        """Square pixels that both boxes cover."""
        width = min(self.xmax, other.xmax) - max(self.xmin, other.xmin)
        height = min(self.ymax, other.ymax) - max(self.ymin, other.ymin)
        return max(0, width) * max(0, height)


def draw_scene(rng: np.random.Generator) -> tuple[Pixels, tuple[DrawnDroid, ...]]:
    """A picture and its droids. What stands in front of a droid does not change its box."""
    width, height = _SIZES[rng.integers(len(_SIZES))]
    pixels = _background(rng, width, height)
    droids: list[DrawnDroid] = []
    for _ in range(rng.choice(len(_COUNTS), p=_COUNTS)):
        drawn = _place(pixels, droids, rng)
        if drawn is not None:
            droids.append(drawn)
    for drawn in droids:
        if rng.random() < _OCCLUDED:
            _occlude(pixels, drawn, rng)
    return _expose(pixels, rng), tuple(droids)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in rng.integers(0, 256, 3))
    return red, green, blue


def _background(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A gradient with soft blotches, under shapes that are no droids: slabs, balls, barrels, cables."""
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.float32)
    ground = cv2.resize(corners, (width, height), interpolation=cv2.INTER_CUBIC)
    blotches = rng.normal(0, rng.uniform(0, 28), (height // 16, width // 16, 3)).astype(np.float32)
    ground += cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = np.asarray(np.clip(ground, 0, 255), np.uint8)
    for _ in range(rng.integers(3, 15)):
        _clutter(pixels, rng)
    if rng.random() < 0.4:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 3)), np.uint8)
    return pixels


def _clutter(pixels: Pixels, rng: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    x, y = int(rng.integers(width)), int(rng.integers(height))
    size = int(rng.integers(8, max(9, min(width, height) // 2)))
    color, kind = _color(rng), rng.integers(5)
    if kind == 0:
        corners = rng.normal((x, y), size / 2, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(pixels, [corners.astype(np.int32)], color, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(pixels, (x, y), size // 2, color, cv2.FILLED, cv2.LINE_AA)
        if rng.random() < 0.5:
            cv2.circle(pixels, (x, y), size // 4, _color(rng), cv2.FILLED, cv2.LINE_AA)
    elif kind == 2:  # a domed barrel
        cv2.rectangle(pixels, (x - size // 3, y), (x + size // 3, y + size), color, cv2.FILLED)
        cv2.ellipse(pixels, (x, y), (size // 3, size // 3), 0, 180, 360, _color(rng), cv2.FILLED, cv2.LINE_AA)
    elif kind == 3:
        end = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.line(pixels, (x, y), end, color, int(rng.integers(1, 6)), cv2.LINE_AA)
    else:
        far = (x + size, y + int(size * rng.uniform(0.3, 2)))
        cv2.rectangle(pixels, (x, y), far, color, cv2.FILLED)
        for line in range(y, far[1], max(4, size // 5)):  # shelves or vents
            cv2.line(pixels, (x, line), (far[0], line), _color(rng), 1)


def _place(pixels: Pixels, taken: list[DrawnDroid], rng: np.random.Generator) -> DrawnDroid | None:
    """Draw a droid where there is room; None where no room was found."""
    height, width = pixels.shape[:2]
    label = LABELS.names[rng.integers(len(LABELS))]
    sprite = draw_sprite(label, rng)
    for _ in range(_PLACES):
        side = round(rng.uniform(*_SCALE) * min(width, height))
        layer = _pose(sprite, side, rng)
        rows, columns = (np.flatnonzero((layer[..., 3] > 127).any(axis)) for axis in (1, 0))
        layer = layer[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        tall, wide = layer.shape[:2]
        left = int(rng.integers(-wide // 5, max(width - 4 * wide // 5, 0) + 1))
        top = int(rng.integers(-tall // 5, max(height - 4 * tall // 5, 0) + 1))
        shown = layer[max(-top, 0) : height - top, max(-left, 0) : width - left]
        rows, columns = (np.flatnonzero((shown[..., 3] > 127).any(axis)) for axis in (1, 0))
        if not len(rows) or not len(columns):
            continue
        x, y = max(left, 0), max(top, 0)
        drawn = DrawnDroid(
            label, x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1
        )
        if drawn.area < _MIN_INSIDE * tall * wide:
            continue
        if any(drawn.overlap(other) > _MAX_OVERLAP * min(drawn.area, other.area) for other in taken):
            continue
        under = pixels[y : y + shown.shape[0], x : x + shown.shape[1]]
        share = shown[..., 3:] / np.float32(255)
        under[:] = (shown[..., :3] * share + under * (1 - share)).astype(np.uint8)
        return drawn
    return None


def _pose(sprite: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A sprite at `side` pixels, perhaps mirrored, tilted and stretched a little; with room to turn."""
    small = cv2.resize(sprite, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        small = cv2.flip(small, 1)
    room = side + side // 2
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-_TILT, _TILT), 1)
    turn[0] *= rng.uniform(0.85, 1.15)
    turn[:, 2] += side // 4
    return np.asarray(cv2.warpAffine(small, turn, (room, room), flags=cv2.INTER_LINEAR), np.uint8)


def _occlude(pixels: Pixels, droid: DrawnDroid, rng: np.random.Generator) -> None:
    """Put a slab over one edge of the droid, never over more than _MAX_HIDDEN of its box."""
    share = rng.uniform(0.08, _MAX_HIDDEN)
    color = _color(rng)
    x, y, right, bottom = droid.xmin, droid.ymin, droid.xmax, droid.ymax
    deep, wide = round(share * (bottom - y)), round(share * (right - x))
    edge = rng.integers(3)
    if edge == 0:
        cv2.rectangle(pixels, (x - wide, bottom - deep), (right + wide, bottom), color, cv2.FILLED)
    elif edge == 1:
        cv2.rectangle(pixels, (x - wide, y), (x + wide, bottom), color, cv2.FILLED)
    else:
        cv2.rectangle(pixels, (right - wide, y), (right + wide, bottom), color, cv2.FILLED)


def _expose(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The light and the camera: brightness, a tint, focus, grain."""
    light = rng.uniform(0.55, 1.15) * rng.uniform(0.9, 1.1, 3)
    shot = pixels * light.astype(np.float32)
    if rng.random() < 0.25:
        shot = cv2.GaussianBlur(shot, (0, 0), rng.uniform(0.4, 1.2))
    shot += rng.normal(0, rng.uniform(0, 9), shot.shape[:2])[..., None].astype(np.float32)
    return np.asarray(np.clip(shot, 0, 255), np.uint8)
