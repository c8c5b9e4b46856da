"""Shan shui: mountains and water in ink on rice paper."""
import numpy as np

from .canvas import LINE, Canvas, S, X, Y, knots, mix, wave

PAPER, INK, SEAL = (241, 233, 214), (40, 42, 48), (190, 46, 38)


def ridge(c: Canvas, r, peaks, dark, fade) -> np.ndarray:
    """A brush line along the crest, then a wash that sinks into mist `fade` px below it."""
    tents = np.stack([top + slope * np.abs(LINE - x) ** 0.92 for x, top, slope in peaks])
    ys = tents.min(0) + knots(r, 40, 2.0)
    down = Y - ys[None]
    wash = np.exp(-np.clip(down, 0, None) / fade) * dark
    grain = 1 + 0.22 * np.sin(X * 0.9 + 0.30 * Y + knots(r, 30, 2.5)[None]) * np.clip(1 - down / 30, 0, 1)
    crest = np.exp(-((down - 1) / 1.4) ** 2) * dark * 0.55
    c.blend(INK, np.clip(wash * grain + crest, 0, 0.93) * np.clip(down + 0.5, 0, 1))
    return ys


def pine(c: Canvas, x, base, h, dark=0.9) -> None:
    """A bent trunk with flat tufts."""
    c.part(INK, x - 4, base - h, x + 6, base,
           lambda X, Y: np.clip(0.9 - np.abs(X - x - 2.2 * np.sin((base - Y) / h * 2.4)) + 0.4, 0, 1) * dark)
    for k, w in enumerate((0.16, 0.26, 0.32, 0.24)):
        y = base - h + h * (0.02 + 0.2 * k)
        bx = x + 2.2 * np.sin((base - y) / h * 2.4) + (k % 2 * 2 - 1) * 0.12 * h
        c.disc(bx, y, max(2.0, w * h), (44, 52, 52), dark * 0.85, squash=0.34, soft=1.6)


def boat(c: Canvas, x, y, w=13.0) -> None:
    c.part(INK, x - w, y - 4, x + w, y + 4,
           lambda X, Y: np.clip(2.2 - np.abs(Y - y + 2.4 * ((X - x) / w) ** 2) + 0.3, 0, 1) * np.clip(w - np.abs(X - x), 0, 1) * 0.88)
    c.disc(x - 1, y - 4, 4.2, (60, 62, 68), 0.85, squash=0.7)
    c.part(INK, x + 5, y - 9, x + 7, y, lambda X, Y: np.clip(0.8 - np.abs(X - x - 6), 0, 1) * 0.85)


def birds(c: Canvas, r) -> None:
    x0, y0 = r.choice([34, 88]) + r.uniform(-6, 6), r.uniform(22, 32)
    for dx, dy in ((0, 0), (9, -4), (-8, -5)):
        x, y = x0 + dx, y0 + dy
        c.part(INK, x - 5, y - 4, x + 5, y + 3,
               lambda X, Y: np.clip(0.75 - np.abs(Y - y - 2.2 + np.abs(np.abs(X - x) - 2.4) * -0.5 + 1.2) + 0.35, 0, 1) * (np.abs(X - x) < 4.6) * 0.8)


def light(c: Canvas, r, cel, t):
    x, y, q = r.choice([30, 98]) + r.uniform(-7, 7), r.uniform(20, 26), r.uniform(10, 12.5)
    if cel == "full moon":
        ring = np.exp(-((np.hypot(X - x, Y - y) - q) / 9) ** 2) * (np.hypot(X - x, Y - y) > q - 1)
        c.blend((150, 152, 160), ring * 0.5)
        c.disc(x, y, q, (254, 251, 238))
    elif cel == "crescent moon":
        c.glow(x, y, q * 1.6, (160, 160, 164), 0.4)
        c.part((255, 252, 240), x - q, y - q, x + q, y + q, lambda X, Y: np.clip(q - np.hypot(X - x, Y - y) + 0.5, 0, 1)
               * np.clip(np.hypot(X - x - 0.55 * q, Y - y + 0.2 * q) - q * 0.86 + 0.5, 0, 1))
    elif cel == "sun" or t == "sunset":
        c.disc(x, y if t != "sunset" else 44, q, (214, 72, 52), 0.92)


def water(c: Canvas, r) -> None:
    c.blend(PAPER, np.clip((Y - 98) / 6, 0, 1) * 0.82)
    for _ in range(9):
        y = r.uniform(101, 124)
        c.streak(r.uniform(8, 120), y, r.uniform(9, 20), (96, 102, 112), 0.55, 0.6)


def stream(c: Canvas, r) -> None:
    """A pale river through the mist, as light left on the paper."""
    f = np.clip((LINE - 86) / 42, 0, 1)
    mid, half = 64 + 20 * np.sin(r.uniform(0, 6) + 4.4 * f ** 0.8) * (0.25 + 0.7 * f), 2.5 + 22 * f ** 1.3
    inside = np.clip(half[:, None] - np.abs(X - mid[:, None]) + 0.5, 0, 1) * np.clip((Y - 86) / 5, 0, 1)
    rim = np.clip(1.2 - np.abs(half[:, None] - np.abs(X - mid[:, None])) + 0.2, 0, 1) * np.clip((Y - 88) / 8, 0, 1)
    c.blend((248, 243, 230), inside * 0.92)
    c.blend((110, 112, 116), rim * 0.55)
    for y in range(92, S, 6):
        c.streak(mid[y], y, 0.6 * half[y], (124, 132, 142), 0.5, 0.5)


def draw(t: str, land, cel, ext, r, props=True) -> Canvas:
    """`props`: boat, birds and pines (only where no object will stand)."""
    paper = np.array(PAPER, np.float32) - (np.array((26, 22, 12)) if t == "night" else 0) + r.uniform(-3, 3)
    c = Canvas([(0, paper), (1, mix(paper, (255, 252, 244), 0.25))])
    light(c, r, cel, t)
    if "plain" not in land:
        soft = not {"mountains", "waterfall", "snow"} & set(land) and bool({"hills", "meadow", "forest", "sea", "beach", "desert"} & set(land))
        tops = [(30, 46), (46, 28), (38, 34)][r.integers(3)] if not soft else (60, 64)
        slope = (0.9, 1.35) if not soft else (0.25, 0.4)
        ridge(c, r, [(x + r.uniform(-6, 6), r.uniform(40, 52) if not soft else 62, slope[0]) for x in (14, 62, 112)], 0.30, 20)
        c.mist(70, 8, paper, 0.7)
        ridge(c, r, [(x + r.uniform(-6, 6), y + r.uniform(-4, 4), slope[1]) for x, y in zip((34, 96), tops)], 0.62, 26)
        if "waterfall" in land:
            c.part((252, 249, 240), 56, 50, 74, 92, lambda X, Y: np.clip(2.6 + 0.05 * (Y - 50) - np.abs(X - 65), 0, 1) * 0.95)
        c.mist(90, 9, paper, 0.88)
        wet = bool({"river", "sea", "waterfall", "beach"} & set(land))
        if "river" in land:
            near = [(-4, 92, 0.34), (132, 89, 0.36)]
            ridge(c, r, [(x + r.uniform(-5, 5), y + r.uniform(-3, 3), s) for x, y, s in near], 0.62, 18)
            stream(c, r)
        elif wet:
            water(c, r)
        else:
            ridge(c, r, [(10, 96, 0.25), (104, 100, 0.2)], 0.55, 14)
        if props:
            edge = r.choice([10, 116])
            for dx, h in ((0, 34), (9 if edge < 64 else -9, 24)):
                pine(c, edge + dx + r.uniform(-2, 2), 108 + r.uniform(-3, 3), h)
            if wet and r.random() < 0.7:
                boat(c, 64 + r.uniform(-8, 8) if "river" not in land else 66 + r.uniform(-4, 4), 116)
        if "forest" in land:
            for x in np.arange(6, S, 13):
                if not 40 < x < 88 or props:
                    pine(c, x + r.uniform(-3, 3), 106 + r.uniform(-4, 6), r.uniform(26, 38), 0.8)
        if "city" in land or "desert" in land:
            c.mist(100, 8, paper, 0.4)
    if props and "plain" not in land and r.random() < 0.6:
        birds(c, r)
    x = 9 if r.random() < 0.5 else S - 17
    c.part(SEAL, x, S - 19, x + 8, S - 9, lambda X, Y: 0.95)
    c.part(PAPER, x + 3, S - 16, x + 5, S - 12, lambda X, Y: 0.7)
    return c


def tone(sprite: np.ndarray) -> np.ndarray:
    """A premultiplied RGBA sprite in ink tones."""
    alpha = sprite[..., 3:]
    grey = sprite[..., :3].mean(-1, keepdims=True) / np.maximum(alpha, 1) * 255
    ink = mix(np.array((46, 47, 54)), np.array((236, 229, 212)), np.clip((grey - 45) / 185, 0, 1))
    return np.concatenate([ink * alpha / 255, alpha], -1).astype(np.float32)
