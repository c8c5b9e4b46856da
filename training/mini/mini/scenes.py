"""Chooses what a scene shows (its facts), draws it, and has it captioned.

Sprites are never turned or mirrored and stand in a few slots, backgrounds come from a small pool of
variants: what does not vary a small model need not average over, so it draws sharp."""
import random
import zlib
from functools import lru_cache

import numpy as np

from . import captions, ink, land, sky, vocab
from .canvas import Canvas

PLAIN_WEIGHTS = dict(white=5, red=1, orange=1, yellow=1, green=1.2, blue=2, purple=1, pink=1.2, black=0.8, gray=0.8)
LANDSCAPES = [  # land, weight
    (["mountains", "river"], 11), (["mountains"], 5), (["mountains", "waterfall", "river"], 2), (["mountains", "waterfall"], 1.5), (["sea"], 4),
    (["mountains", "sea"], 3), (["forest"], 3), (["meadow"], 2.5), (["hills"], 2), (["desert"], 2), (["snow"], 1.5), (["mountains", "snow"], 2.5),
    (["forest", "snow"], 1.5), (["city"], 2.5), (["beach", "sea"], 2), (["river", "hills"], 1.5), (["mountains", "meadow"], 1.5), (["mountains", "forest"], 2),
    (["forest", "river"], 1.5), (["mountains", "snow", "river"], 1)]
BACKDROPS = [(["meadow"], 5), (["snow"], 2.5), (["desert"], 2), (["beach", "sea"], 2.5), (["mountains", "meadow"], 2.5), (["mountains", "snow"], 1),
             (["forest"], 2.5), (["city"], 2.5), (["mountains", "river"], 2), (["hills"], 1.5)]


def weighted(r, pairs):
    return r.choices([p[0] for p in pairs], [p[1] for p in pairs])[0]


def weather(r, m, landscape: bool) -> None:
    """Sun, moon and weather that go with the time and the land."""
    t, ext = m["time"], []
    if t == "day":
        m["cel"] = "sun" if r.random() < (0.5 if landscape else 0.35) else None
        u = r.random()
        ext = ["rainbow"] if u < 0.06 else ["snowfall"] if "snow" in m["land"] and u < 0.35 else ["clouds"] if u < 0.24 else []
    elif t == "night":
        m["cel"] = r.choices(["full moon", "crescent moon", "stars", None], [5, 1.6, 1.6, 0 if landscape else 1])[0]
        ext = ["snowfall"] if "snow" in m["land"] and r.random() < 0.3 else []
    elif t == "overcast":
        ext = ["snowfall"] if "snow" in m["land"] else ["rain"] if r.random() < 0.85 else []
    m["ext"] = ext


def landscape(r, m) -> None:
    u = r.random()
    if u < 0.05:
        m.update(time="space", cel=r.choice(["planet", None, "full moon"]))
        return
    if u < 0.08:
        m["time"] = "underwater"
        return
    m["land"] = list(weighted(r, LANDSCAPES))
    m["time"] = r.choices(["day", "sunset", "night", "overcast"], [4, 2.6, 4.4, 1.3])[0]
    weather(r, m, True)
    if m["style"] != "ink" and r.random() < 0.10 and (m["ext"] or m["cel"] or m["time"] == "sunset"):
        m.update(alone=True, land=["hills"] if m["time"] != "sunset" else ["sea"])
        m["ext"] = [e for e in m["ext"] if e != "snowfall"]
        if not (m["ext"] or m["cel"] or m["time"] == "sunset"):
            m["cel"] = "sun"
            m["time"] = "day"


def unknown(r, m) -> None:
    """Words nobody taught: a pleasant landscape; half of them do name a place or time, which is obeyed."""
    m.update(unknown=True, told=r.random() < 0.5)
    if m["told"]:
        m["land"] = list(weighted(r, BACKDROPS))
        m["time"] = r.choices(["day", "sunset", "night"], [3, 2, 3])[0]
        weather(r, m, False)
        m["ext"] = []
    else:
        m["land"] = ["mountains", "river"]
        m["time"] = r.choices(["day", "sunset", "night"], [5, 2, 1])[0]
        m["cel"] = {"day": "sun", "sunset": None, "night": "full moon"}[m["time"]]


def surroundings(r, m, kinds) -> None:
    """Where objects of these kinds stand."""
    if m["style"] == "ink":
        m["land"] = ["plain"] if r.random() < 0.35 else list(weighted(r, BACKDROPS))
        m["time"] = r.choices(["day", "night"], [3, 1])[0]
        m["cel"] = r.choice([None, "sun"]) if m["time"] == "day" else "full moon"
        m["cel"] = None if m["land"] == ["plain"] else m["cel"]
        m["time"] = "day" if m["land"] == ["plain"] else m["time"]
        return
    if "swim" in kinds and r.random() < 0.6:
        m["time"] = "underwater"
    elif "boat" in kinds and r.random() < 0.75:
        m["land"] = r.choice([["sea"], ["sea"], ["mountains", "sea"]])
        m["time"] = r.choices(["day", "sunset", "night"], [3, 1.5, 1.8])[0]
        weather(r, m, False)
    else:
        u, spacey = r.random(), any(k[0] in ("rocket", "ufo", "astronaut", "robot", "star") for k in m["objs"])
        if u < 0.30:
            m["time"] = "plain:" + r.choices(list(PLAIN_WEIGHTS), list(PLAIN_WEIGHTS.values()))[0]
        elif u < 0.34 or spacey and u < 0.50:
            m["time"] = "space"
        elif u < 0.36:
            m["time"] = "underwater"
        else:
            m["time"] = r.choices(["day", "sunset", "night", "overcast"], [5, 1.9, 2.6, 0.8])[0]
            m["land"] = list(weighted(r, BACKDROPS))
            weather(r, m, False)


def arrange(r, m, kinds, fixed) -> None:
    """Count, size, side or relation."""
    if len(kinds) == 2:
        m["rel"] = r.choices(["and", "left", "right", "above", "under", "next"], [3, 2, 2, 2, 2, 2])[0]
        if kinds[0] == "fly" and kinds[1] != "fly" and r.random() < 0.5:
            m["rel"] = "above"
        elif kinds[1] == "fly" and kinds[0] != "fly" and r.random() < 0.5:
            m["rel"] = "under"
    elif not fixed:
        u = r.random()
        if u < 0.15:
            m["count"] = r.choice([2, 2, 3])
        elif u < 0.29:
            m["size"] = r.choice(["small", "big"])
        elif u < 0.46:
            m["pos"] = r.choice(["left", "right"])


def crowd(r, m) -> list[str]:
    """Two different things, or two or three of one: all of them things that the UNet is taught."""
    m["count"] = 1 if r.random() < 0.85 else r.choice([2, 3])
    return r.sample(vocab.CORE, 1 if m["count"] > 1 else 2)


def facts(r: random.Random, fixed: bool, crowded: bool = False) -> dict:
    """`fixed`: the easy layout, one object in the middle, one background a kind of scene. `crowded`: several objects always."""
    m = dict(objs=[], time="day", land=[], cel=None, ext=[], style="colour", count=1, size=None, pos=None, rel=None,
             alone=False, unknown=False, told=False, fixed=fixed)
    u, n = 1 if crowded else r.random(), 0
    if r.random() < (0.30 if u < 0.32 else 0.08):
        m["style"] = "ink"
    if u < 0.30:
        landscape(r, m)
        if m["time"] in ("space", "underwater"):
            m["style"] = "colour"
        if m["style"] == "ink":
            m["ext"] = []
    elif u < 0.36:
        unknown(r, m)
    else:
        n = 1 if fixed or u < 0.77 else 2
        keys = crowd(r, m) if crowded else r.sample(vocab.KEYS, n)
        if n == 2 and not crowded and r.random() < 0.25:
            keys[r.randrange(2)] = r.choice(["star", "tree", "house", "bird", "balloon", "heart", "butterfly"])
            if keys[0] == keys[1]:
                keys[0] = "cat"
        for k in keys:
            colours = vocab.CONCEPTS[k]["colours"]
            colour = r.choice(colours) if colours and r.random() < (0.6 if len(colours) > 2 else 0.45) else None
            if colour is None and k in vocab.OWN and r.random() < 0.3:
                colour = vocab.OWN[k]
            m["objs"].append((k, colour))
        kinds = [vocab.CONCEPTS[k]["kind"] for k in keys]
        surroundings(r, m, kinds)
        arrange(r, m, kinds, fixed or m["count"] > 1)
    return m


@lru_cache(maxsize=4000)
def backdrop(t, lands, cel, ext, style, objects: bool, variant: int) -> np.ndarray:
    """The scene without its objects. The same facts and variant give the same picture."""
    r = np.random.default_rng(zlib.crc32(repr((t, lands, cel, ext, style, objects, variant)).encode()))
    if style == "ink":
        return ink.draw(t, lands, cel, ext, r, props=not objects).bytes()
    if t.startswith("plain"):
        return sky.plain(t[6:], r).bytes()
    if t == "space":
        return sky.space(r, cel).bytes()
    if t == "underwater":
        return sky.underwater(r).bytes()
    where = (26 if variant % 2 else 102) + r.uniform(-5, 5) if objects else None
    return land.draw(t, lands, cel, ext, r, frame=not objects, where=where).bytes()


def put(c, m, sprites, obj, x, h, floats=None, base=None) -> None:
    """One sprite, its feet on the ground (px from the top) or, where things float, its middle at `floats`."""
    key, colour = obj
    name = f"{colour} {key}" if f"{colour} {key}" in sprites.full else key
    s = sprites.at(name, int(h))
    if m["style"] == "ink":
        s = ink.tone(s)
    if floats is not None:
        c.paste(s, x - s.shape[1] / 2, floats - s.shape[0] / 2)
    else:
        if not m["time"].startswith("plain") and vocab.CONCEPTS[key]["kind"] != "boat":
            c.disc(x, base - 1, s.shape[1] * 0.42, (20, 30, 40), 0.28, squash=0.16, soft=4)
        c.paste(s, x - s.shape[1] / 2, base - s.shape[0])


def stand(m, kind, h):
    """Keyword for put(): floating or grounded."""
    if m["time"] in ("space", "underwater") or m["time"].startswith("plain") or m["land"] == ["plain"]:
        return dict(floats=66)
    if kind == "fly":
        return dict(floats=56)
    if kind == "boat" and "sea" in m["land"]:
        return dict(base=106)
    return dict(base=min(118, 116 + max(0, h - 66) * 0.2))


def draw(m, sprites, r, variant) -> np.ndarray:
    c = Canvas.of(backdrop(m["time"], tuple(m["land"]), m["cel"], tuple(m["ext"]), m["style"], bool(m["objs"]), variant))
    j = (lambda a: 0.0) if m["fixed"] else (lambda a: r.uniform(-a, a))
    kinds = [vocab.CONCEPTS[o[0]]["kind"] for o in m["objs"]]
    if len(kinds) == 1:
        h = {None: 66, "small": 34, "big": 94}[m["size"]]
        xs = {1: [64], 2: [35, 93], 3: [24, 64, 104]}[m["count"]]
        h = {1: h, 2: 48, 3: 36}[m["count"]]
        if m["pos"]:
            xs, h = [33 if m["pos"] == "left" else 95], 56
        h = round(h * (1 + j(0.04)))
        for x in xs:
            put(c, m, sprites, m["objs"][0], x + j(3), h, **stand(m, kinds[0], h))
    elif len(kinds) == 2:
        if m["rel"] in ("above", "under"):
            up = 0 if m["rel"] == "above" else 1
            put(c, m, sprites, m["objs"][1 - up], 64 + j(3), 52 + j(2), base=119)
            put(c, m, sprites, m["objs"][up], 64 + j(4), 42 + j(2), floats=36)
        else:
            xs = [35, 93]
            if m["rel"] == "right" or m["rel"] in ("and", "next") and r.random() < 0.5:
                xs.reverse()
            for obj, kind, x in zip(m["objs"], kinds, xs):
                place = stand(m, kind, 50) if kind != "fly" or m["rel"] != "next" else dict(floats=70)
                put(c, m, sprites, obj, x + j(3), 50 + j(2), **place)
    return c.bytes()


def scene(seed: int, sprites, fixed: bool, crowded: bool = False):
    """-> picture, caption, facts; all three from the seed alone."""
    r = random.Random(seed)
    m = facts(r, fixed, crowded)
    variant = r.randrange(2 if fixed else 6 if m["objs"] else 60)
    return draw(m, sprites, r, variant), captions.caption(r, m), m
