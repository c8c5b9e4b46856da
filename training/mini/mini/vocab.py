"""What the model can draw: concept -> icon, names, where it lives, which recolourings exist."""

# One row a concept: icon | names, first the main one | colours it may take (c: all nine; b: black and
# white; h: house colours). Groups say where a thing naturally stands.
_ROWS = {
    "ground": """cat-face|cat,kitten,kitty|b
dog-face|dog,puppy|b
horse|horse,pony|b
rabbit-face|rabbit,bunny,hare
tiger-face|tiger
lion|lion
panda|panda,panda bear
bear|bear,brown bear
fox|fox
frog|frog,toad
elephant|elephant
cow-face|cow,bull
pig-face|pig,piglet
ewe|sheep,lamb
monkey-face|monkey,ape
penguin|penguin
owl|owl
duck|duck
chicken|chicken,hen,rooster
turtle|turtle,tortoise
dragon|dragon
unicorn|unicorn
t-rex|dinosaur,t-rex
deer|deer
camel|camel
giraffe|giraffe
wolf|wolf
mouse-face|mouse
boy|boy,man,person,child
girl|girl,woman,lady
princess|princess,queen
astronaut|astronaut,spaceman
automobile|car,automobile|c
bus|bus
bicycle|bicycle,bike|c
locomotive|train,steam train,locomotive
house|house,cottage,home,cabin|h
castle|castle,palace
japanese-castle|pagoda,temple,japanese castle
tent|tent
deciduous-tree|tree
evergreen-tree|pine tree,fir tree,pine,christmas tree
palm-tree|palm tree,palm
cactus|cactus
sunflower|sunflower
tulip|tulip,flower|c
rose|rose|c
lotus|lotus,lotus flower,water lily
mushroom|mushroom|c
snowman|snowman
robot|robot,android
ghost|ghost
jack-o-lantern|pumpkin,jack-o-lantern
fire|fire,campfire,flame
teddy-bear|teddy bear,teddy""",
    "fly": """bird|bird|c
butterfly|butterfly|c
honeybee|bee,honeybee
airplane|airplane,plane,aeroplane
balloon|balloon|c
rocket|rocket,spaceship,space ship
flying-saucer|ufo,flying saucer
star|star|c
red-heart|heart|c""",
    "boat": """sailboat|sailboat,boat,sailing boat,sailing ship,ship""",
    "swim": """spouting-whale|whale
dolphin|dolphin
fish|fish|c
octopus|octopus
crab|crab|c
shark|shark""",
    "thing": """red-apple|apple|c
banana|banana
tangerine|orange,tangerine,orange fruit
strawberry|strawberry
watermelon|watermelon,slice of watermelon
pizza|pizza,slice of pizza
birthday-cake|cake,birthday cake
soft-ice-cream|ice cream,ice cream cone
hot-beverage|cup of coffee,cup of tea,coffee,coffee cup
teapot|teapot,tea pot
guitar|guitar|c
soccer-ball|ball,soccer ball,football
umbrella|umbrella|c
crown|crown
wrapped-gift|gift,present,gift box
gem-stone|diamond,gem,jewel|c
red-paper-lantern|lantern,red lantern,paper lantern
alarm-clock|clock,alarm clock""",
}
# Hues in turns; None: by lightness instead.
COLOURS = {"red": 0.99, "orange": 0.075, "yellow": 0.145, "green": 0.34, "blue": 0.59, "purple": 0.76, "pink": 0.90,
           "black": None, "white": None}
SETS = {"c": tuple(COLOURS), "b": ("black", "white"), "h": ("red", "blue", "yellow", "green", "white", "pink"), "": ()}
# The colour an icon has by itself: said aloud now and then, never recoloured to itself.
OWN = {"butterfly": "orange", "balloon": "red", "fish": "blue", "car": "red", "bicycle": "red", "rose": "red", "bird": "red",
       "mushroom": "red", "apple": "red", "guitar": "red", "heart": "red", "star": "yellow", "diamond": "blue", "crab": "red",
       "banana": "yellow", "strawberry": "red", "frog": "green", "turtle": "green", "dragon": "green",
       "dinosaur": "green", "fox": "orange", "pig": "pink", "cat": "orange", "whale": "blue", "tree": "green", "cactus": "green",
       "lantern": "red", "umbrella": "purple", "tulip": "pink", "robot": "purple", "teapot": "red", "bus": "yellow"}

CONCEPTS = {}
for _kind, _rows in _ROWS.items():
    for _row in _rows.split("\n"):
        _icon, _names, *_flag = _row.split("|")
        _names = _names.split(",")
        CONCEPTS[_names[0]] = dict(icon=_icon, names=_names, kind=_kind, colours=SETS[_flag[0] if _flag else ""])
KEYS = list(CONCEPTS)
# Left out of the UNet's lessons when an hour of one core is all there is: fewer things, drawn sharper.
SPARE = set("""sheep,monkey,chicken,deer,camel,giraffe,wolf,mouse,princess,bicycle,tent,fire,teddy bear,bee,dolphin,octopus,crab,shark,
orange,pizza,cup of coffee,clock,bear,ghost,diamond,mushroom,ball""".replace("\n", "").split(","))
CORE = [k for k in KEYS if k not in SPARE]
assert SPARE <= set(KEYS)


def sprite_names():
    """Every drawing needed: (key, concept, recolouring or None)."""
    for k, c in CONCEPTS.items():
        yield k, k, None
        for colour in c["colours"]:
            if colour != OWN.get(k):
                yield f"{colour} {k}", k, colour
