"""The two kinds of droid, each drawn alone on a transparent canvas."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline_training.labels import LabelMap

BB8: Final = "BB-8"
R2D2: Final = "R2-D2"
LABELS: Final = LabelMap((BB8, R2D2))

CANVAS: Final = 320  # pixels of a sprite's square canvas; pictures show it smaller
_MIDDLE: Final = CANVAS // 2

Color = tuple[int, int, int]
Sprite = NDArray[np.uint8]  # [CANVAS, CANVAS, 4] RGBA


def draw_sprite(label: str, rng: np.random.Generator) -> Sprite:
    """One droid in a random pose and paint, RGBA uint8 [CANVAS, CANVAS, 4]."""
    canvas = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    _DRAWERS[label](canvas, rng)
    _shade(canvas, rng)
    return canvas


def _hue(rng: np.random.Generator, hue: float, spread: float, saturation: float, value: float) -> Color:
    """A paint: a hue (0 to 1) give or take its spread, worn and faded by chance."""
    red, green, blue = colorsys.hsv_to_rgb(
        (hue + rng.uniform(-spread, spread)) % 1,
        saturation * rng.uniform(0.75, 1),
        value * rng.uniform(0.75, 1),
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def _fill(canvas: Sprite, points: list[tuple[float, float]], color: Color) -> None:
    corners = np.round(np.array(points)).astype(np.int32)
    cv2.fillPoly(canvas, [corners], (*color, 255), cv2.LINE_AA)


def _box(canvas: Sprite, left: float, top: float, right: float, bottom: float, *, paint: Color) -> None:
    _fill(canvas, [(left, top), (right, top), (right, bottom), (left, bottom)], paint)


def _disc(canvas: Sprite, x: float, y: float, radius: float, color: Color) -> None:
    cv2.circle(canvas, (round(x), round(y)), max(1, round(radius)), (*color, 255), cv2.FILLED, cv2.LINE_AA)


def _dome(canvas: Sprite, x: float, base: float, half: float, height: float, *, paint: Color) -> None:
    """The upper half of an ellipse on its base line."""
    center, axes = (round(x), round(base)), (round(half), round(height))
    cv2.ellipse(canvas, center, axes, 0, 180, 360, (*paint, 255), cv2.FILLED, cv2.LINE_AA)


def _draw_r2d2(canvas: Sprite, rng: np.random.Generator) -> None:
    """A domed barrel on two or three legs; `turn` moves what is painted on its front."""
    shell = _hue(rng, 0.6, 0.5, 0.08, 1.0)
    trim = _hue(rng, 0.61, 0.05, 0.9, 0.85)
    metal = _hue(rng, 0.6, 0.1, 0.1, 0.8)
    dark = _hue(rng, 0.6, 0.2, 0.3, 0.2)
    half = rng.uniform(56, 66)  # of the barrel's width
    turn = rng.uniform(-0.55, 0.55)  # -1 to 1 would be a quarter turn each way
    front = _MIDDLE + turn * half
    squeeze = math.sqrt(1 - turn * turn)
    shoulder, foot = 118, 282
    for side in (-1, 1):
        leg = _MIDDLE + side * (half + 12) * (1 - 0.25 * side * turn)
        _box(canvas, leg - 15, shoulder + 10, leg + 15, foot - 12, paint=shell)
        _disc(canvas, leg, shoulder + 18, 19, shell)
        _box(canvas, leg - 7, shoulder + 40, leg + 7, shoulder + 90, paint=trim)
        _fill(
            canvas, [(leg - 17, foot - 28), (leg + 17, foot - 28), (leg + 26, foot), (leg - 26, foot)], shell
        )
    if rng.random() < 0.5:
        _fill(canvas, [(front - 16, 240), (front + 16, 240), (front + 24, foot), (front - 24, foot)], metal)
    _box(canvas, _MIDDLE - half, shoulder, _MIDDLE + half, 246, paint=shell)
    _fill(
        canvas,
        [
            (_MIDDLE - half, 246),
            (_MIDDLE + half, 246),
            (_MIDDLE + half - 14, 262),
            (_MIDDLE - half + 14, 262),
        ],
        metal,
    )
    for top, bottom, reach in ((130, 144, 0.55), (152, 162, 0.42), (170, 180, 0.42), (196, 236, 0.2)):
        _box(canvas, front - reach * half * squeeze, top, front + reach * half * squeeze, bottom, paint=trim)
    for side in (-1, 1):
        edge = front + side * 0.72 * half * squeeze
        if abs(edge - _MIDDLE) < half - 6:
            _box(canvas, edge - 6, 186, edge + 6, 238, paint=trim)
    _draw_r2d2_head(canvas, (shell, trim, metal, dark), half, front, squeeze)


def _draw_r2d2_head(
    canvas: Sprite, paints: tuple[Color, Color, Color, Color], half: float, front: float, squeeze: float
) -> None:
    shell, trim, metal, dark = paints
    neck, height = 116, 1.08 * half
    _dome(canvas, _MIDDLE, neck, half, height, paint=metal)
    _box(canvas, _MIDDLE - half, neck - 8, _MIDDLE + half, neck + 2, paint=shell)
    for side in (-1, 1):
        middle = front + side * 0.58 * half * squeeze
        if abs(middle - _MIDDLE) < 0.8 * half:
            _box(canvas, middle - 9, neck - 34, middle + 9, neck - 14, paint=trim)
    _box(canvas, front - 14 * squeeze - 3, neck - 46, front + 14 * squeeze + 3, neck - 14, paint=trim)
    _disc(canvas, front, neck - 34, 9, dark)
    _disc(canvas, front - 2, neck - 36, 3, (235, 240, 250))
    _disc(canvas, front + 24 * squeeze, neck - 22, 5, (200, 40, 40))


def _draw_bb8(canvas: Sprite, rng: np.random.Generator) -> None:
    """A ball with ringed panels, rolled at random, and a small dome that leans on it."""
    shell = _hue(rng, 0.1, 0.5, 0.07, 1.0)
    trim = _hue(rng, 0.07, 0.025, 0.95, 0.98)
    metal = _hue(rng, 0.1, 0.3, 0.08, 0.7)
    dark = _hue(rng, 0.6, 0.2, 0.2, 0.2)
    radius = rng.uniform(80, 90)
    x, y = float(_MIDDLE), 300 - radius
    lean = math.radians(rng.uniform(-28, 28))
    _draw_bb8_head(canvas, (shell, trim, metal, dark), (x, y, radius), lean, rng)
    ball = np.zeros_like(canvas)
    _disc(ball, x, y, radius, shell)
    outline = ball[..., 3].copy()
    frame, _ = np.linalg.qr(rng.normal(size=(3, 3)))  # three axes at right angles, rolled at random
    for axis in (*frame, *-frame):
        _draw_panel(ball, (x, y, radius), axis, (shell, trim, metal))
    ball[..., 3] = outline  # a panel at the rim does not stick out
    covered = outline > 0
    share = (outline[covered] / 255.0)[:, None]
    rest = canvas[covered]
    mixed = ball[covered] * share + rest * (1 - share)
    mixed[:, 3] = np.maximum(outline[covered], rest[:, 3])
    canvas[covered] = np.round(mixed).astype(np.uint8)


def _draw_panel(
    ball: Sprite,
    place: tuple[float, float, float],
    axis: NDArray[np.float64],
    paints: tuple[Color, Color, Color],
) -> None:
    """A ringed round panel about an axis of the ball, foreshortened as the axis leans away."""
    x, y, radius = place
    shell, trim, metal = paints
    if axis[2] < 0.12:  # seen edge-on or on the far side
        return
    turned = math.degrees(math.atan2(axis[1], axis[0]))
    for angle, color in ((0.56, trim), (0.36, shell), (0.24, metal), (0.1, trim)):  # radians from the axis
        center = (
            round(x + radius * math.cos(angle) * axis[0]),
            round(y + radius * math.cos(angle) * axis[1]),
        )
        across = radius * math.sin(angle)
        axes = (max(1, round(across * axis[2])), max(1, round(across)))
        cv2.ellipse(ball, center, axes, turned, 0, 360, (*color, 255), cv2.FILLED, cv2.LINE_AA)


def _draw_bb8_head(
    canvas: Sprite,
    paints: tuple[Color, Color, Color, Color],
    place: tuple[float, float, float],
    lean: float,
    rng: np.random.Generator,
) -> None:
    shell, trim, metal, dark = paints
    x, y, radius = place
    upright = np.zeros_like(canvas)
    half, base = 0.56 * radius, y - 0.86 * radius
    front = x + rng.uniform(-0.45, 0.45) * half
    for offset, length in ((-0.3, 0.55), (0.15, 0.3)):
        foot = round(x + offset * half)
        top = round(base - half * (0.9 + length))
        cv2.line(upright, (foot, round(base - 0.6 * half)), (foot, top), (*metal, 255), 4, cv2.LINE_AA)
    _dome(upright, x, base, half, 0.98 * half, paint=shell)
    _box(upright, x - half, base - 0.2 * half, x + half, base - 0.06 * half, paint=trim)
    _box(upright, x - 0.93 * half, base - 2, x + 0.93 * half, base + 0.2 * radius, paint=metal)
    _box(upright, x - 0.62 * half, base - 0.82 * half, x + 0.62 * half, base - 0.72 * half, paint=trim)
    _disc(upright, front, base - 0.46 * half, 0.2 * half, dark)
    _disc(upright, front - 2, base - 0.5 * half, 0.06 * half, (235, 240, 250))
    _disc(upright, front + 0.36 * half, base - 0.32 * half, 0.09 * half, dark)
    about_ball = cv2.getRotationMatrix2D((x, y), math.degrees(lean), 1)
    canvas[:] = cv2.warpAffine(upright, about_ball, (CANVAS, CANVAS), flags=cv2.INTER_LINEAR)


def _shade(canvas: Sprite, rng: np.random.Generator) -> None:
    """Light from one side: brightness runs across the droid from the lit to the dark edge."""
    angle, dark = rng.uniform(0, 2 * math.pi), rng.uniform(0.35, 0.95)
    across = np.linspace(-1, 1, CANVAS, dtype=np.float32)
    ramp = across[None, :] * math.cos(angle) + across[:, None] * math.sin(angle)
    light = np.clip((1 + dark) / 2 + ramp * (1 - dark), dark, 1)
    canvas[..., :3] = (canvas[..., :3] * light[..., None]).astype(np.uint8)


_DRAWERS: Final[dict[str, Callable[[Sprite, np.random.Generator], None]]] = {
    BB8: _draw_bb8,
    R2D2: _draw_r2d2,
}
