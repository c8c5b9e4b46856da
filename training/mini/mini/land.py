"""Lands under the sky, back to front: mountains, hills, forest, city, water, ground."""
import numpy as np

from . import sky
from .canvas import LINE, Canvas, S, X, Y, knots, mix, wave
from .sky import HORIZON, haze, lit

# Far ridge, main rock in shade and in light, snow in light and in shade, near wooded ridge, water, river bank.
ROCK = {
    "day": ((160, 190, 222), (86, 110, 150), (140, 162, 192), (252, 253, 255), (186, 206, 232), (66, 124, 104), (84, 168, 230), (120, 194, 88)),
    "sunset": ((190, 118, 144), (88, 58, 104), (190, 106, 114), (255, 214, 194), (176, 130, 168), (58, 44, 84), (255, 176, 118), (104, 88, 78)),
    "night": ((72, 96, 152), (36, 52, 100), (86, 110, 164), (222, 231, 250), (128, 150, 200), (20, 36, 72), (92, 126, 184), (30, 62, 76)),
    "overcast": ((170, 182, 194), (98, 110, 126), (138, 150, 164), (240, 243, 246), (190, 200, 212), (84, 116, 108), (140, 168, 188), (112, 152, 98)),
}
FIELD = {"meadow": (116, 194, 80), "snow": (240, 245, 252), "desert": (238, 200, 122), "beach": (244, 222, 164),
         "city": (122, 126, 136), "hills": (112, 190, 84), "forest": (84, 152, 76), "river": (112, 190, 84), "mountains": (112, 186, 86)}
SEA, DEEP = (70, 156, 218), (20, 84, 160)


def peak(c: Canvas, r, x, top, slope, t, snow: bool, light_x: float) -> None:
    """One mountain: a lit and a shaded face either side of its spine, snow on top, mist at its foot."""
    _, shade, light, cap, cap_shade, *_ = (np.array(v, np.float32) for v in ROCK[t])
    ys = top + slope * np.abs(LINE - x) ** 0.97 + knots(r, 34, 1.5) * np.clip(np.abs(LINE - x) / 6, 0, 1)
    down, toward = Y - top, 1 if light_x < x else -1
    spine = x + 0.24 * toward * down + knots(r, 26, 3.2)[:, None] * np.clip(down / 14, 0, 1)
    side = np.clip((spine - X) * toward / 1.5 + 0.5, 0, 1)[..., None]
    rock = mix(shade, light, side)
    depth = (25 if snow else 13) + 9 * np.abs(((LINE - x) / 5.0 + 0.3) % 2 - 1) - 5
    rock = mix(rock, mix(cap_shade, cap, side), np.clip(top + depth[None] - Y + 0.5, 0, 1)[..., None])
    rock = mix(rock, haze(t), (np.clip((Y - 50) / 34, 0, 1) * 0.66)[..., None])
    c.blend(rock, np.clip(Y - ys[None] + 0.5, 0, 1))


def mountains(c: Canvas, r, t, snow=False, light_x=30.0) -> None:
    far, near = np.array(ROCK[t][0], np.float32), np.array(ROCK[t][5], np.float32)
    fog = haze(t)
    back = [(x + r.uniform(-7, 7), r.uniform(40, 50), r.uniform(0.55, 0.8)) for x in (8, 44, 84, 122)]
    ys = np.min([top + slope * np.abs(LINE - x) for x, top, slope in back], 0) + knots(r, 40, 1.2)
    c.below(ys, mix(far, fog, 0.30))
    c.mist(72, 9, fog, 0.55)
    # The highest peak stands away from the moon or sun; side peaks first, so that their feet lie behind.
    high = {0: (40, 30, 20), 1: (22, 44, 30), 2: (20, 30, 40)}[0 if light_x < 48 else 2 if light_x > 80 else 1]
    order = sorted(zip((20, 66, 106), high), key=lambda p: -p[1])
    for x, top in order:
        peak(c, r, x + r.uniform(-5, 5), top + r.uniform(-3, 3), r.uniform(0.95, 1.2), t, snow, light_x)
    c.mist(HORIZON - 3, 6, fog, 0.55)
    ys = HORIZON - 2 + wave(r, 3.0) + knots(r, 44, 1.2)
    c.below(ys, mix(near, fog, 0.25) if not snow else mix(lit(t, FIELD["snow"], True), near, 0.35))


def hills(c: Canvas, r, t, snow=False) -> None:
    base = FIELD["snow"] if snow else FIELD["hills"]
    for y, amp, far in ((HORIZON - 12, 8, 0.42), (HORIZON, 7, 0.18)):
        c.below(y + wave(r, amp, 5, 9), mix(lit(t, base, snow), haze(t), far))


def forest(c: Canvas, r, t, snow=False) -> None:
    """Three rows of pines, each nearer, darker and taller."""
    for y, h, far in ((HORIZON - 4, 26, 0.55), (HORIZON + 6, 36, 0.25), (HORIZON + 16, 48, 0.0)):
        green = lit(t, (52, 128, 84))
        colour = mix(green, haze(t), far)
        if snow:
            colour = mix(colour, lit(t, (236, 243, 250), True), 0.45)
        step = h * 0.36
        for x in np.arange(r.uniform(-step, 0), S + step, step):
            if far or not 34 < x < 94:  # the middle of the front row stays open for what stands there
                c.pine(x + r.uniform(-2, 2), y + r.uniform(-1, 2), h * r.uniform(0.85, 1.12), colour)


def city(c: Canvas, r, t) -> None:
    for depth, (low, high) in enumerate(((34, 58), (18, 40))):
        x = r.uniform(-6, 0)
        while x < S:
            w, h = r.uniform(11, 18), r.uniform(low, high)
            wall = lit(t, [(128, 140, 170), (170, 140, 136), (104, 122, 156), (186, 172, 150)][r.integers(4)])
            wall = mix(wall, haze(t), 0.38 - 0.3 * depth)
            top = HORIZON + 10 - h
            c.part(wall, x - 1, top, x + w + 1, S, lambda X, Y: np.clip(X - x + 0.5, 0, 1) * np.clip(x + w - X + 0.5, 0, 1))
            for wy in np.arange(top + 4, HORIZON + 4, 7):
                for wx in np.arange(x + 2.5, x + w - 3, 5):
                    on = t in ("night", "sunset") and r.random() < 0.6
                    c.part((255, 222, 120) if on else mix(wall, lit(t, (226, 240, 255)), 0.5), wx, wy, wx + 2, wy + 3, lambda X, Y: 1.0)
            x += w + r.uniform(0, 2)


def sea(c: Canvas, r, t, light) -> None:
    top = HORIZON
    near, far = lit(t, DEEP), mix(lit(t, SEA), haze(t), 0.45)
    water = mix(far, near, np.clip((Y - top) / (S - top), 0, 1)[..., None] ** 0.8)
    c.blend(water, np.clip(Y - top + 0.5, 0, 1))
    for _ in range(16):
        y = top + 4 + 46 * r.random() ** 0.8
        c.streak(r.uniform(0, S), y, 5 + (y - top) * 0.28, mix(far, (255, 255, 255), 0.35), 0.6, 0.55)
    if light:
        for y in np.arange(top + 2, S, 4.2):
            c.streak(light[0] + r.uniform(-1.5, 1.5), y, 6 + (y - top) * 0.18 + r.uniform(-2, 3),
                     (255, 236, 176) if t != "night" else (246, 244, 226), 0.85, 0.9)


def river(c: Canvas, r, t, light, bank=None) -> None:
    """Winds from the horizon to the viewer; its width grows with the square of nearness."""
    phase, bend = r.choice([0.0, 3.1]) + r.uniform(-0.4, 0.4), r.uniform(20, 27)
    f = np.clip((LINE - HORIZON) / (S - HORIZON), 0, 1)
    mid = 64 + r.uniform(-5, 5) + bend * np.sin(phase + 5.4 * f ** 0.75) * (0.35 + 0.75 * f)
    half = 1.2 + 25 * f ** 1.55
    inside = lambda grow: np.clip(half[:, None] * (1 + grow) + grow * 3 - np.abs(X - mid[:, None]) + 0.5, 0, 1) * (Y > HORIZON)
    water = np.array(ROCK[t][6], np.float32)
    edge = mix(ROCK[t][7] if bank is None else bank, (255, 240, 190) if t != "night" else (150, 176, 214), 0.45)
    c.blend(edge, inside(0.10) * 0.75)
    c.blend(mix(mix(water, haze(t), 0.45), mix(water, lit(t, DEEP), 0.25), f[:, None, None]), inside(0.0))
    for y in range(HORIZON + 5, S, 5):
        w = half[y]
        c.streak(mid[y] + r.uniform(-0.4, 0.4) * w, y, 0.45 * w + 1.5, mix(water, (255, 255, 255), 0.55), 0.6, 0.6)
    if light:
        shine = (250, 244, 214) if t == "night" else (255, 240, 186)
        for y in np.arange(HORIZON + 3, S, 3.4):
            k, w = int(y), half[int(y)]
            x = mid[k] + np.clip(light[0] - mid[k], -0.45 * w, 0.45 * w)
            c.streak(x, y, 0.38 * w + 1.2, shine, 0.9 if t == "night" else 0.7, 0.8)


def waterfall(c: Canvas, r, t) -> None:
    x, top, foot = 64 + r.uniform(-8, 8), 44, HORIZON + 1
    white = lit(t, (246, 250, 255), True)
    c.part(ROCK[t][1], x - 14, top - 4, x + 14, foot, lambda X, Y: np.clip(7 + (Y - top) * 0.18 - np.abs(X - x), 0, 1) * np.clip((Y - top + 4) / 6, 0, 1))
    c.part(white, x - 8, top, x + 8, foot, lambda X, Y: np.clip(2.4 + (Y - top) * 0.06 - np.abs(X - x) + 0.5, 0, 1) * np.clip(Y - top, 0, 1))
    c.glow(x, foot, 8, white, 0.75)


def ground(c: Canvas, r, t, key: str, water: bool) -> None:
    base = {"beach": 98, "desert": HORIZON - 2, "city": HORIZON + 10}.get(key, HORIZON + 5)
    snow = key == "snow"
    colour = lit(t, FIELD[key], snow)
    ys = base + wave(r, 2.0 if key != "desert" else 5.0)
    far = mix(colour, haze(t), 0.34)
    near = mix(colour, (10, 60, 30) if not snow and key not in ("desert", "beach", "city") else colour * 0.86, 0.16)
    c.blend(mix(far, near, np.clip((Y - base) / (S - base), 0, 1)[..., None]), np.clip(Y - ys[None] + 0.5, 0, 1))
    if key == "desert":
        for y, bend, dark in ((96, 9, 0.18), (110, 8, 0.36)):
            c.below(y + wave(r, bend, 4, 7), mix(colour, lit(t, (186, 116, 60)), dark))
    elif key == "beach":
        c.blend(lit(t, (250, 252, 255), True), np.clip(2.0 - np.abs(Y - ys[None] + 1) + 0.5, 0, 1) * 0.85)
    elif snow and not water:
        c.below(104 + wave(r, 4), lit(t, (222, 232, 246), True))
    elif key in ("meadow", "hills") and not water:
        c.below(104 + wave(r, 4), mix(colour, lit(t, (58, 150, 60)), 0.45))
        for _ in range(14 if key == "meadow" else 0):
            x, y = r.uniform(0, S), r.uniform(HORIZON + 16, S - 3)
            c.disc(x, y, 0.8 + (y - HORIZON) / 40, lit(t, [(255, 238, 96), (255, 255, 255), (250, 130, 170)][r.integers(3)]), 0.95)


def pines_aside(c: Canvas, r, t, snow) -> None:
    """Dark pines frame the picture left and right."""
    colour = mix(ROCK[t][5], (4, 20, 26), 0.45)
    for x, h in ((5, 44), (16, 32), (122, 46), (111, 30)):
        c.pine(x + r.uniform(-2, 2), 119 + r.uniform(-4, 4), h * r.uniform(0.85, 1.1), mix(colour, lit(t, (236, 243, 250), True), 0.35) if snow else colour)


def draw(t: str, land, cel, ext, r, frame=False, where=None) -> Canvas:
    """A whole landscape. `frame`: pines at the sides (only where no object will stand); `where`: x of sun or moon."""
    c, light = sky.draw(t, cel, ext, r, where)
    snow = "snow" in land
    if "mountains" in land:
        mountains(c, r, t, snow, light[0] if light else 30)
    if "waterfall" in land:
        waterfall(c, r, t)
    if "city" in land:
        city(c, r, t)
    if "hills" in land:
        hills(c, r, t, snow)
    if "sea" in land:
        sea(c, r, t, light)
    key = next((k for k in ("snow", "desert", "beach", "meadow", "city", "forest", "hills", "river", "mountains") if k in land), None)
    if key and ("sea" not in land or key == "beach"):
        ground(c, r, t, key, "river" in land)
    if "forest" in land:
        forest(c, r, t, snow)
    if "river" in land:
        river(c, r, t, light, lit(t, FIELD[key], snow))
    if frame and ("mountains" in land or snow) and "sea" not in land and "forest" not in land:
        pines_aside(c, r, t, snow)
    if "rain" in ext:
        sky.rain(c, r)
    if "snowfall" in ext:
        sky.snowfall(c, r)
    return c
