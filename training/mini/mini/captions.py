"""Says in words what a scene shows. Everything is later lower-cased by the tokenizer; full stops, commas,
courtesies and capitals therefore appear here only as often as people use them. `r` is a random.Random."""
from . import words
from .vocab import CONCEPTS

OPENERS = ["", "", "", "", "a picture of ", "a picture of ", "draw ", "draw me ", "draw ", "an image of ", "please draw ", "show me ",
           "paint ", "paint ", "a drawing of ", "a painting of ", "i want ", "make a picture of ", "can you draw ", "can you paint ",
           "could you draw me ", "imagine ", "please draw me a picture of ", "i would like to see ", "i'd like ", "paint me ",
           "paint a picture of ", "create an image of ", "generate ", "make me ", "i would like ", "give me ", "let me see ",
           "an illustration of ", "a photo of ", "there is ", "this is ", "we see ", "please show me ", "please paint ", "draw a picture of "]
INK = ["an ink wash painting of ", "a chinese ink painting of ", "an ink painting of ", "a shan shui painting of ", "a chinese painting of ",
       "a traditional chinese painting of ", "an ink drawing of ", "a black and white ink painting of ", "a shanshui of ", "ink wash "]
INK_TAIL = ["in ink", "as an ink painting", "in ink wash style", "in chinese ink", "in the style of a chinese ink painting", "in shan shui style", "as ink wash"]
IN = {"meadow": ["in a field", "on the grass", "in a meadow", "in a green field", "on a green field", "in the grass", "in the park", "in a garden", "on a meadow", "on grass"],
      "sea": ["at sea", "on the sea", "on the ocean", "on the water", "on a lake", "in the sea"], "beach": ["on the beach", "at the beach", "by the sea", "on the sand", "on a beach"],
      "snow": ["in the snow", "in winter", "on the snow", "in a snowy field"], "desert": ["in the desert", "in a desert", "on sand dunes"],
      "forest": ["in a forest", "in the forest", "in the woods", "among the trees"], "mountains": ["in the mountains", "in front of mountains", "with mountains behind", "in front of a mountain"],
      "city": ["in the city", "in a city", "in town", "in the street", "on the street"], "river": ["by a river", "next to a river", "at the river", "beside a river"],
      "hills": ["in the hills", "on a hill", "on green hills"]}
LANDS = {"mountains": ["mountains", "the mountains", "high mountains", "tall mountains", "a mountain", "big mountains", "a mountain range"],
         "river": ["a river", "a winding river", "flowing water", "the river", "a stream", "water", "rivers"],
         "sea": ["the sea", "the ocean", "a lake", "the water", "sea"], "meadow": ["a meadow", "a green field", "grassland", "a field of flowers", "a garden", "a field"],
         "snow": ["snow", "a snowy field", "a winter landscape", "winter"], "desert": ["a desert", "sand dunes", "the desert"],
         "forest": ["a forest", "the woods", "trees", "a pine forest", "the forest"], "hills": ["green hills", "hills", "rolling hills"],
         "city": ["a city", "a town", "the city", "a skyline", "buildings"], "beach": ["a beach", "the beach", "a sandy beach"],
         "waterfall": ["a waterfall", "a waterfall", "waterfalls"]}
TIME = {"night": ["at night", "at night", "in the night", "under the night sky", "in the dark", "at midnight"],
        "sunset": ["at sunset", "at sunset", "at dusk", "in the evening", "at sunrise", "at dawn", "at sundown"],
        "day": ["by day", "in the daytime", "on a bright day", "in the morning"], "overcast": ["on a cloudy day", "under a gray sky", "on a grey day"]}
LIGHTS = {"sun": ["under the sun", "with the sun shining", "on a sunny day", "in the sunshine", "under a bright sun", "with a yellow sun"],
          "full moon": ["under a full moon", "under a full moon", "under the moon", "with a full moon", "in the moonlight", "under the full moon", "with the moon"],
          "crescent moon": ["under a crescent moon", "with a crescent moon", "under a new moon"],
          "stars": ["under the stars", "under a starry sky", "with many stars", "with stars in the sky"], "planet": ["with a planet", "near a planet"]}
EXTRA = {"rain": ["in the rain", "on a rainy day", "while it rains", "with rain"], "snowfall": ["while snow is falling", "in falling snow", "while it is snowing"],
         "clouds": ["with clouds", "under white clouds", "under a cloudy sky", "with clouds in the sky"], "rainbow": ["with a rainbow", "and a rainbow", "under a rainbow"]}
ALONE = {"full moon": ["a full moon", "the moon", "the full moon in the sky", "the moon at night"], "crescent moon": ["a crescent moon", "a new moon at night"],
         "stars": ["a starry night", "the stars", "stars in the night sky", "the night sky"], "sun": ["the sun", "a sunny day", "the sun in the sky"],
         "rainbow": ["a rainbow", "a rainbow in the sky"], "sunset": ["a sunset", "a sunrise", "the setting sun", "the evening sky"],
         "rain": ["rain", "a rainy day", "falling rain"], "snowfall": ["falling snow", "a snowy day"], "clouds": ["clouds", "clouds in the sky", "a blue sky with clouds"]}
SIZES = {"small": ["small", "little", "tiny"], "big": ["big", "large", "huge", "giant"]}
COUNTS = {2: ["two", "two", "two", "2", "a pair of"], 3: ["three", "three", "three", "3"]}
POSES = ["sitting", "standing", "sitting", "resting", "waiting", "sleeping"]
REL = {"and": ["and", "and", "with"], "left": ["to the left of", "on the left of", "left of"], "right": ["to the right of", "on the right of", "right of"],
       "above": ["above", "over", "on top of"], "under": ["under", "below", "beneath", "underneath"], "next": ["next to", "beside", "near", "by"]}
IRREGULAR = {"fish": "fish", "sheep": "sheep", "deer": "deer", "mouse": "mice", "wolf": "wolves", "man": "men", "woman": "women",
             "child": "children", "person": "people", "cactus": "cacti", "octopus": "octopuses", "lotus": "lotuses"}


def article(n: str) -> str:
    return ("an " if n[0] in "aeiou" and not n.startswith(("un", "uf")) or n.startswith("umb") else "a ") + n


def plural(n: str) -> str:
    if " of " in n:
        head, rest = n.split(" of ", 1)
        return f"{plural(head)} of {rest}"
    for one, many in IRREGULAR.items():
        if n == one or n.endswith(" " + one):
            return n[:-len(one)] + many
    if n.endswith(("s", "sh", "ch", "x")):
        return n + "es"
    return n[:-1] + "ies" if n.endswith("y") and n[-2] not in "aeiou" else n + "s"


def thing(r, key, colour, size=None, count=1) -> str:
    """One object with its adjectives; now and then a harmless one the model need not know."""
    names = CONCEPTS[key]["names"]
    name = names[0] if r.random() < 0.62 else r.choice(names)
    extra = r.choice(words.ADJECTIVES) if r.random() < 0.09 else ""
    adj = [r.choice(SIZES[size]) if size else "", extra, colour or ""]
    full = " ".join(x for x in adj + [plural(name) if count > 1 else name] if x)
    if count > 1:
        return f"{r.choice(COUNTS[count])} {full}"
    return article(full) if r.random() < 0.90 else f"the {full}" if r.random() < 0.6 else full


def landscape(r, m) -> str:
    """The land by itself. A few captions name only its light or weather."""
    t, cel, ext = m["time"], m["cel"], m["ext"]
    if t == "space":
        return r.choice(["outer space", "space", "the galaxy", "the universe", "stars in space"]) + (" with a planet" if cel == "planet" else " with the moon" if cel else "")
    if t == "underwater":
        return r.choice(["the sea floor", "the underwater world", "under the sea", "the deep sea", "the bottom of the ocean"])
    if t.startswith("plain"):
        return f"{article(t[6:])} background"
    if m["alone"]:
        key = next((e for e in ext if e in ALONE), None) or ("sunset" if t == "sunset" else cel)
        return r.choice(ALONE[key])
    lands = list(m["land"])
    if r.random() < 0.35:
        r.shuffle(lands)
    if "snow" in lands and len(lands) > 1 and r.random() < 0.6:
        lands.remove("snow")
        first = r.choice(["snowy ", "snow covered ", "snowy "]) + {"mountains": "mountains", "forest": "forest", "hills": "hills", "city": "city"}.get(lands[0], "landscape")
        named = [first] + [r.choice(LANDS[x]) for x in lands[1:]]
    else:
        named = [r.choice(LANDS[x]) for x in lands]
    if r.random() < 0.08:
        named[0] = f"{r.choice(words.ADJECTIVES)} {named[0]}" if named[0].split()[0] not in ("a", "the") else named[0]
    join = r.choice([" and ", " and ", " with ", ", "])
    return join.join(named) if len(named) < 3 else ", ".join(named[:-1]) + " and " + named[-1]


def subject(r, m) -> str:
    objs = m["objs"]
    if len(objs) == 1:
        s = thing(r, *objs[0], m["size"], m["count"])
        kind = CONCEPTS[objs[0][0]]["kind"]
        if kind == "ground" and r.random() < 0.10:
            s += " " + r.choice(POSES)
        elif kind == "fly" and r.random() < 0.15:
            s += r.choice([" in the sky", " flying"])
        if m["pos"]:
            s += " " + r.choice([f"on the {m['pos']}", f"on the {m['pos']}", f"on the {m['pos']} side", f"at the {m['pos']}"])
        return s
    a, b = (thing(r, *o) for o in objs)
    verb = ""
    if m["rel"] in ("under", "next", "left", "right") and CONCEPTS[objs[0][0]]["kind"] == "ground" and r.random() < 0.4:
        verb = r.choice(POSES) + " "
    if m["rel"] == "above" and CONCEPTS[objs[0][0]]["kind"] == "fly" and r.random() < 0.4:
        verb = "flying "
    return f"{a} {verb}{r.choice(REL[m['rel']])} {b}"


def places(r, m) -> list[str]:
    t, lands = m["time"], [x for x in m["land"] if x in IN]
    if t.startswith("plain"):
        name = t[6:]
        if name == "white":
            return [r.choice(["on a white background", "on white"])] if r.random() < 0.3 else []
        return [r.choice([f"on {article(name)} background", f"on {article(name)} background", f"in front of {article(name)} wall", f"on {name}"])]
    if t in ("space", "underwater") and m["objs"]:
        return [r.choice({"space": ["in space", "in outer space", "among the stars", "in the galaxy"],
                          "underwater": ["under water", "underwater", "in the deep sea", "under the sea", "in the water"]}[t])]
    if not m["objs"] or not lands or r.random() > 0.92:
        return []
    if len(lands) > 1 and r.random() < 0.5:
        first = r.choice(IN[lands[1]])
        return [first, r.choice(["with mountains", "in front of mountains"]) if lands[0] == "mountains" else r.choice(IN[lands[0]])]
    return [r.choice(IN[lands[0] if r.random() < 0.6 else lands[-1]])]


def light(r, m) -> list[str]:
    t, cel, tail = m["time"], m["cel"], []
    if m["alone"] or t not in TIME:
        return [r.choice(LIGHTS[cel])] if cel and m["objs"] and r.random() < 0.6 else []
    if t == "night":
        if cel and r.random() < 0.88:
            tail.append(r.choice(LIGHTS[cel]))
        if not tail or r.random() < 0.4:
            tail.insert(r.randint(0, len(tail)), r.choice(TIME["night"]))
    elif t == "sunset":
        tail.append(r.choice(TIME["sunset"]))
    else:
        if cel and r.random() < 0.75:
            tail.append(r.choice(LIGHTS[cel]))
        elif t == "day" and r.random() < 0.12:
            tail.append(r.choice(TIME["day"]))
        elif t == "overcast" and not m["ext"]:
            tail.append(r.choice(TIME["overcast"]))
    return tail


def caption(r, m) -> str:
    """`m`: the scene's facts, see scenes.py."""
    if m["unknown"]:
        body = words.unknown(r)
        body = article(f"{r.choice(words.ADJECTIVES)} {body}" if r.random() < 0.4 else body) if r.random() < 0.8 else body
        if r.random() < 0.25:
            body += r.choice([" and ", " with ", " of ", " for "]) + words.unknown(r)
        tail = ([r.choice(IN[x]) for x in m["land"][:1] if x in IN] + light(r, m)) if m["told"] else []
    else:
        body = subject(r, m) if m["objs"] else landscape(r, m)
        tail = places(r, m) + light(r, m)
        if not m["alone"]:
            tail += [r.choice(EXTRA[e]) for e in m["ext"] if e in EXTRA and r.random() < 0.85]
    text = " ".join([body] + tail)
    opener = r.choice(OPENERS)
    if m["style"] == "ink":
        if r.random() < 0.7:
            text = r.choice(INK) + text
            opener = opener if opener in ("draw ", "draw me ", "please draw ", "show me ", "paint ", "paint me ", "can you draw ", "i want ") else ""
        else:
            text += " " + r.choice(INK_TAIL)
    text = opener + text
    if r.random() < 0.06:
        text += r.choice([" please", ", please"])
    return text + ("." if r.random() < 0.4 else "?" if text.startswith("can") else "")
