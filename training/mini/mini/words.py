"""Ordinary words from outside the vocabulary: the model must shrug at them, not break."""

ADJECTIVES = """beautiful lovely pretty nice magnificent happy sad cheerful funny cute sweet gentle kind brave proud lonely angry
sleepy hungry lucky young old ancient modern new fresh strange mysterious magical wonderful amazing fantastic elegant fancy simple
quiet noisy famous friendly shy clever lazy wild tame noble royal golden silver shiny soft warm cool cold dreamy peaceful calm
serene majestic colorful colourful vivid bright adorable charming delicate strong mighty fluffy furry fat thin round perfect
single solitary distant realistic detailed stunning gorgeous graceful playful curious smiling laughing jolly""".split()

NOUNS = """accordion airport alarm album ambulance anchor angel apron arrow artist attic auction author avocado badge bakery
ballerina bandage banjo barrel basket battery beard bench blanket blender bottle bracelet brain bread bridge broom brush bucket
butter button cabbage cabinet cafeteria camera candle candy canoe cannon carpet carrot cello chair chandelier cheese chess chimney
chocolate church cinema circus coat coin compass computer concert cookie corn couch cowboy cradle crayon cucumber cupboard curtain
dancer dentist desk detective diary dictionary dinner diploma doctor doll door doorbell dress drum eagle earring easel egg elevator
emperor engine engineer envelope eraser factory farmer feather fence fiddle firefighter flag flute fork fountain freedom fridge
friendship furniture garage garlic gate giant glove goat grandmother grapes gymnasium hammer hamster harbor harp hat helicopter
helmet hospital hotel idea insect iron island jacket jar jazz jeans judge juice jungle kangaroo kettle keyboard kitchen kite knife
knight ladder lamp laptop lawyer lemon leopard letter library lighthouse lizard lobster love luggage machine magazine magician
mailbox map marble market mask meeting melody memory microscope milk mirror money motorcycle museum music musician nail necklace
needle newspaper noodle notebook nurse ocean-liner office onion opera orchestra oven oyster painter pancake paper parade parrot
passport peacock peanut pen pencil pepper philosopher phone piano pillow pilot pineapple pipe pirate plate police potato pottery
prison professor puppet puzzle queue radio raccoon razor recipe refrigerator restaurant ribbon ring road rope sailor salad salmon
sandwich saxophone scarf school scientist scissors scooter sculpture shelf shirt shoe shovel skateboard skirt sofa soldier soup
spider spoon squirrel stadium staircase statue stove student submarine suitcase sword table taxi teacher telephone telescope
television theater ticket tiger-lily toaster tomato toothbrush towel tower tractor trumpet truck typewriter uncle university
vacuum vase village violin volcano waiter wallet warrior watch wedding wheel whistle wizard worm yacht zebra zipper
art beauty dream dreams peace hope wisdom time silence poem poetry story song dance life future past world universe
heaven nature eternity joy sadness courage mystery wonder spring autumn summer morning afternoon weekend holiday birthday
something anything picture-book masterpiece wallpaper abstract shape pattern texture portrait""".split()

NAMES = """alice john mary peter paris london tokyo beijing china america europe einstein picasso mozart shakespeare napoleon
cleopatra emma oliver sophia liam noah anna maria robert wilson africa egypt rome japan germany france london-bridge hogwarts
batman superman mickey sherlock li-bai wang su-shi""".split()


def pseudo(r) -> str:
    """A word nobody knows: consonant-vowel syllables."""
    parts = ["".join((r.choice("b c d f g h j k l m n p r s t v w z ch sh th br tr st".split()), r.choice("a e i o u ee ou ai".split())))
             for _ in range(r.randint(1, 3))]
    return "".join(parts) + r.choice(["", "n", "r", "ck", "l", "m", "t"])


def unknown(r) -> str:
    u = r.random()
    word = r.choice(NOUNS) if u < 0.68 else r.choice(NAMES) if u < 0.80 else pseudo(r)
    return word.replace("-", " ")
