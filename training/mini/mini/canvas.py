"""A 128 px picture and the strokes all scenes are made of. Edges are anti-aliased analytically
(a mask is a clipped signed distance in px), so nothing has to be drawn larger and shrunk."""
import numpy as np

S = 128  # px
Y, X = np.mgrid[0:S, 0:S].astype(np.float32)
LINE = np.arange(S, dtype=np.float32)


def mix(a, b, t):
    return np.asarray(a, np.float32) * (1 - t) + np.asarray(b, np.float32) * t


def knots(r, n: int, amp: float) -> np.ndarray:
    """One random value a knot, linearly between: rock edges, ground, brush strokes."""
    return np.interp(LINE, np.linspace(0, S - 1, n), r.uniform(-amp, amp, n)).astype(np.float32)


def wave(r, amp: float, low=2.0, high=5.0) -> np.ndarray:
    x = LINE / S
    return (amp * (0.7 * np.sin(x * r.uniform(low, high) + r.uniform(0, 6.28))
                   + 0.3 * np.sin(x * r.uniform(2 * low, 2 * high) + r.uniform(0, 6.28)))).astype(np.float32)


class Canvas:
    """RGB floats 0..255; every method blends something over what is there."""

    def __init__(self, stops):
        """Vertical gradient through `stops`: [(y in 0..1, rgb)]."""
        ys, cs = [s[0] * (S - 1) for s in stops], np.array([s[1] for s in stops], np.float32)
        col = np.stack([np.interp(LINE, ys, cs[:, c]) for c in range(3)], -1)
        self.a = np.repeat(col[:, None], S, 1).astype(np.float32)

    @classmethod
    def of(cls, picture: np.ndarray):
        c = cls.__new__(cls)
        c.a = picture.astype(np.float32)
        return c

    def blend(self, colour, mask):
        """`colour`: rgb or a picture; `mask`: S x S in 0..1."""
        self.a += (np.asarray(colour, np.float32) - self.a) * mask[..., None]

    def part(self, colour, x0, y0, x1, y1, mask_of):
        """As blend, on the rectangle only; mask_of(X, Y) gives its mask."""
        x0, y0, x1, y1 = max(0, int(x0)), max(0, int(y0)), min(S, int(x1) + 1), min(S, int(y1) + 1)
        if x0 < x1 and y0 < y1:
            box = np.s_[y0:y1, x0:x1]
            m = np.clip(mask_of(X[box], Y[box]), 0, 1)
            self.a[box] += (np.asarray(colour, np.float32) - self.a[box]) * m[..., None]

    def below(self, ys, colour, opacity=1.0):
        """Everything under the line ys(x)."""
        self.blend(colour, np.clip(Y - ys[None] + 0.5, 0, 1) * opacity)

    def disc(self, x, y, q, colour, opacity=1.0, squash=1.0, soft=1.0):
        """Ellipse of radius q wide, q * squash high; `soft` px of edge."""
        self.part(colour, x - q - 2 - soft, y - q * squash - 2 - soft, x + q + 2 + soft, y + q * squash + 2 + soft,
                  lambda X, Y: np.clip((q - np.hypot(X - x, (Y - y) / squash)) / soft + 0.5, 0, 1) * opacity)

    def glow(self, x, y, q, colour, opacity):
        self.part(colour, x - 3 * q, y - 3 * q, x + 3 * q, y + 3 * q,
                  lambda X, Y: opacity * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (q * q)))

    def streak(self, x, y, w, colour, opacity=1.0, h=0.6):
        """A thin horizontal lens: ripples, mist, reflections."""
        self.part(colour, x - w, y - 3 - h, x + w, y + 3 + h,
                  lambda X, Y: opacity * np.clip(1 - ((X - x) / w) ** 2, 0, 1) * np.exp(-((Y - y) / h) ** 2))

    def mist(self, y, h, colour, opacity):
        self.blend(colour, opacity * np.exp(-((Y - y) / h) ** 2))

    def pine(self, x, base, h, colour, opacity=1.0):
        top = base - h

        def mask(X, Y):
            t = (Y - top) / h
            w = h * (0.05 + 0.17 * t + 0.13 * ((t * 3.3) % 1.0)) * (t < 0.92) + 0.035 * h * (t >= 0.92)
            return np.clip(w - np.abs(X - x) + 0.5, 0, 1) * np.clip(Y - top + 0.5, 0, 1) * np.clip(base - Y + 0.5, 0, 1) * opacity

        self.part(colour, x - 0.4 * h, top - 1, x + 0.4 * h, base + 1, mask)

    def tree(self, x, base, h, leaf, trunk):
        self.part(trunk, x - 3, base - h * 0.5, x + 3, base,
                  lambda X, Y: np.clip(h * 0.05 + 0.3 - np.abs(X - x) + 0.5, 0, 1))
        for dx, dy, q in ((-0.18, 0.52, 0.24), (0.18, 0.52, 0.24), (0, 0.72, 0.27)):
            self.disc(x + dx * h, base - dy * h, q * h, leaf)
        self.disc(x - 0.06 * h, base - 0.78 * h, 0.13 * h, mix(leaf, (255, 255, 220), 0.22), 0.8, soft=2.0)

    def paste(self, sprite: np.ndarray, x, y):
        """`sprite`: premultiplied RGBA floats 0..255, its top left corner at (x, y), whole px."""
        h, w = sprite.shape[:2]
        x, y = int(round(x)), int(round(y))
        x0, y0, x1, y1 = max(0, x), max(0, y), min(S, x + w), min(S, y + h)
        if x0 < x1 and y0 < y1:
            s, box = sprite[y0 - y:y1 - y, x0 - x:x1 - x], np.s_[y0:y1, x0:x1]
            self.a[box] = self.a[box] * (1 - s[..., 3:] / 255) + s[..., :3]

    def bytes(self) -> np.ndarray:
        return np.clip(np.rint(self.a), 0, 255).astype(np.uint8)
