"""Skies, sun, moon and weather, and the light each time of day throws on the land."""
import numpy as np

from .canvas import Canvas, S, X, Y, mix

HORIZON = 78  # px
# Sky gradients as (height 0..1, rgb); the last stop is the haze into which distant ridges fade.
SKY = {
    "day": [(0, (78, 152, 230)), (0.62, (208, 234, 250)), (1, (214, 236, 250))],
    "sunset": [(0, (66, 54, 128)), (0.34, (206, 92, 124)), (0.62, (255, 196, 116)), (1, (255, 204, 128))],
    "night": [(0, (8, 15, 52)), (0.35, (22, 40, 98)), (0.64, (92, 120, 176)), (1, (98, 124, 178))],
    "overcast": [(0, (138, 150, 166)), (0.62, (206, 212, 218)), (1, (208, 212, 218))],
}
# Daylight colour -> colour at that time: multiply, then add. Snow keeps more of its light at night.
LIGHT = {
    "day": ((1, 1, 1), (0, 0, 0)),
    "sunset": ((0.80, 0.57, 0.58), (42, 14, 28)),
    "night": ((0.30, 0.43, 0.56), (10, 20, 46)),
    "overcast": ((0.78, 0.80, 0.83), (8, 10, 14)),
}
SNOW_NIGHT = ((0.56, 0.64, 0.80), (6, 10, 24))
PLAIN = {"white": (250, 250, 250), "red": (226, 84, 84), "orange": (250, 172, 96), "yellow": (250, 226, 116),
         "green": (146, 210, 136), "blue": (134, 186, 240), "purple": (180, 150, 228), "pink": (248, 184, 208),
         "black": (22, 22, 28), "gray": (178, 182, 188)}


def lit(t: str, colour, snow=False):
    mul, add = SNOW_NIGHT if snow and t == "night" else LIGHT[t]
    return np.asarray(colour, np.float32) * np.array(mul, np.float32) + np.array(add, np.float32)


def haze(t: str):
    return np.array(SKY[t][-1][1], np.float32)


def stars(c: Canvas, r, n: int, ymax: float) -> None:
    for _ in range(n):
        x, y, q = r.uniform(0, S), r.uniform(0, ymax), r.choice([0.7, 0.9, 1.3])
        c.disc(x, y, q, (255, 252, 236), r.uniform(0.6, 1.0))


def full_moon(c: Canvas, x, y, q) -> None:
    c.glow(x, y, q * 2.6, (190, 205, 240), 0.34)
    c.glow(x, y, q * 1.5, (250, 244, 216), 0.45)
    c.disc(x, y, q, (253, 247, 216))
    for dx, dy, s in ((-0.32, -0.22, 0.22), (0.3, 0.28, 0.27), (0.12, -0.46, 0.15)):
        c.disc(x + q * dx, y + q * dy, q * s, (232, 222, 182), 0.8, soft=1.5)


def crescent(c: Canvas, x, y, q) -> None:
    c.glow(x, y, q * 1.8, (250, 240, 200), 0.22)

    def mask(X, Y):
        inside = np.clip(q - np.hypot(X - x, Y - y) + 0.5, 0, 1)
        return inside * np.clip(np.hypot(X - x - 0.55 * q, Y - y + 0.2 * q) - q * 0.86 + 0.5, 0, 1)

    c.part((254, 242, 190), x - q - 2, y - q - 2, x + q + 2, y + q + 2, mask)


def sun(c: Canvas, x, y, q, t) -> None:
    core, ring = ((255, 226, 84), (255, 238, 160)) if t == "day" else ((255, 226, 140), (255, 206, 120))
    c.glow(x, y, q * 2.4, ring, 0.45)
    c.disc(x, y, q, core)


def cloud(c: Canvas, x, y, w, colour, opacity=0.92) -> None:
    for dx, dy, q in ((-0.55, 0.10, 0.26), (-0.2, -0.10, 0.36), (0.2, -0.02, 0.32), (0.55, 0.12, 0.22)):
        c.disc(x + dx * w, y + dy * w, q * w, colour, opacity, squash=0.8, soft=1.5)


def clouds(c: Canvas, r, t) -> None:
    colour = {"day": (255, 255, 255), "sunset": (255, 190, 168), "night": (70, 88, 140), "overcast": (232, 235, 238)}[t]
    for x0 in r.permutation([18, 62, 106])[: r.integers(2, 4)]:
        cloud(c, x0 + r.uniform(-10, 10), r.uniform(14, 38), r.uniform(15, 23), colour)


def rainbow(c: Canvas, r) -> None:
    x, y = S / 2 + r.uniform(-6, 6), HORIZON + 10
    d = np.hypot(X - x, Y - y)
    for k, colour in enumerate(((230, 60, 60), (248, 150, 50), (250, 226, 70), (88, 190, 96), (66, 130, 222), (132, 82, 192))):
        c.blend(colour, np.clip(2.0 - np.abs(d - (62 - 3.4 * k)) + 0.5, 0, 1) * 0.82 * (Y < y))


def rain(c: Canvas, r) -> None:
    """Slanted strokes: 1 px right for 3 down."""
    for _ in range(58):
        x, y, n = r.uniform(-4, S + 8), r.uniform(-6, S), r.uniform(7, 11)
        c.part((214, 230, 250), x - 5, y, x + 2, y + n,
               lambda X, Y: np.clip(0.75 - np.abs(X - x + (Y - y) / 3) + 0.4, 0, 1) * 0.75)


def snowfall(c: Canvas, r) -> None:
    for _ in range(46):
        c.disc(r.uniform(0, S), r.uniform(0, S), r.choice([1.0, 1.4, 1.9]), (255, 255, 255), 0.95)


def draw(t: str, cel: str | None, ext, r, where=None) -> tuple[Canvas, tuple | None]:
    """The sky, and where its light stands (x, y, radius), for reflections below."""
    jitter = r.uniform(-6, 6, 3)
    c = Canvas([(h, np.clip(np.array(rgb) + jitter, 0, 255)) for h, rgb in SKY[t]])
    light = None
    x = where if where is not None else r.choice([30, 64, 98]) + r.uniform(-8, 8)
    if t == "night":
        stars(c, r, 60 if cel == "stars" else 26, HORIZON - 12)
    if cel == "full moon":
        light = (x, r.uniform(18, 26), r.uniform(10.5, 13))
        full_moon(c, *light)
    elif cel == "crescent moon":
        light = (x, r.uniform(18, 26), r.uniform(10, 12))
        crescent(c, *light)
    elif cel == "sun" and t == "day":
        light = (x, r.uniform(18, 25), r.uniform(9.5, 12))
        sun(c, *light, t)
    elif t == "sunset":
        light = (x, r.uniform(56, 64), r.uniform(11, 14))
        sun(c, *light, t)
    if "clouds" in ext or t == "overcast":
        clouds(c, r, t)
    if "rainbow" in ext:
        rainbow(c, r)
    return c, light


def space(r, cel=None) -> Canvas:
    c = Canvas([(0, (8, 6, 30)), (1, (34, 18, 70))])
    for colour in ((110, 56, 170), (50, 80, 190)):
        c.glow(r.uniform(20, 108), r.uniform(20, 108), r.uniform(24, 40), colour, 0.5)
    stars(c, r, 60, S)
    if cel == "planet":
        x, y, q = r.choice([26, 100]) + r.uniform(-4, 4), r.uniform(22, 32), r.uniform(11, 14)
        hue = [(236, 164, 96), (116, 170, 232), (206, 120, 120)][r.integers(3)]
        c.disc(x, y, q, hue)
        c.disc(x + 0.3 * q, y + 0.2 * q, 0.75 * q, mix(hue, (20, 10, 40), 0.35), 0.5, soft=4)
        c.part((240, 226, 196), x - 2 * q, y - q, x + 2 * q, y + q,
               lambda X, Y: np.clip(1.2 - np.abs(np.hypot(X - x, (Y - y) * 3.4 + (X - x) * 0.6) - 1.65 * q) / 2, 0, 1))
    elif cel == "full moon":
        full_moon(c, r.choice([28, 100]), r.uniform(22, 30), r.uniform(11, 13))
    return c


def underwater(r) -> Canvas:
    c = Canvas([(0, (96, 206, 230)), (0.5, (30, 130, 198)), (1, (10, 62, 138))])
    for x in (20, 58, 100):
        x, w = x + r.uniform(-10, 10), r.uniform(5, 9)
        c.blend((220, 250, 255), np.clip(w * (0.6 + Y / S) - np.abs(X - x + Y * 0.28), 0, 4) / 4 * 0.20 * (1 - Y / S))
    c.below(np.full(S, 113, np.float32) + r.uniform(-2, 2) + 2 * np.sin(np.arange(S) / 17 + r.uniform(0, 6)).astype(np.float32), (226, 202, 148))
    for x in (r.uniform(4, 20), r.uniform(108, 124)):
        for k in range(3):
            x0, h = x + (k - 1) * 6, r.uniform(22, 40)
            c.part((30, 150, 96), x0 - 8, 116 - h, x0 + 8, 118,
                   lambda X, Y: np.clip(2.0 - np.abs(X - x0 - 3 * np.sin((Y + x0) / 5)) + 0.5, 0, 1))
    for _ in range(7):
        x, y, q = r.uniform(0, S), r.uniform(6, 96), r.uniform(1.6, 3.4)
        c.disc(x, y, q, (226, 248, 255), 0.75)
        c.disc(x, y, q - 1.1, (90, 180, 220), 0.7)
    return c


def plain(name: str, r) -> Canvas:
    base = np.array(PLAIN[name], np.float32) + r.uniform(-3, 3)
    far = (0, 0, 0) if name == "black" else (255, 255, 255)
    return Canvas([(0, base), (1, mix(base, far, 0.16))])
