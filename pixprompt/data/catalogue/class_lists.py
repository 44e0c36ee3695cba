"""Class names of data sets whose files hold none, or whose order is to be checked."""

from __future__ import annotations

from ..readers.official.digits import NUMBER_WORDS

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "DIGITS",
    "DTD",
    "EUROSAT",
    "FASHION",
    "FMOW",
    "GTSRB",
    "OBJECT_COUNTS",
    "RESISC45",
    "STL10",
    "numbered",
]


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in " ".join(text.split()).split(","))


def numbered(count: int, what: str) -> tuple[str, ...]:
    """Returns names of classes that are bins: "what 0", "what 1", ..."""
    return tuple(f"{what} {number}" for number in range(count))


DIGITS = tuple(str(number) for number in range(10))
OBJECT_COUNTS = NUMBER_WORDS[3:11]
CIFAR10 = _split("airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck")
CIFAR100 = _split("""
    apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, butterfly,
    camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, crocodile, cup,
    dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn mower,
    leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak tree, orange, orchid,
    otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray, road,
    rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar, sunflower,
    sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip, turtle, wardrobe, whale,
    willow tree, wolf, woman, worm
""")
DTD = _split("""
    banded, blotchy, braided, bubbly, bumpy, chequered, cobwebbed, cracked, crosshatched, crystalline, dotted, fibrous,
    flecked, freckled, frilly, gauzy, grid, grooved, honeycombed, interlaced, knitted, lacelike, lined, marbled, matted,
    meshed, paisley, perforated, pitted, pleated, polka dotted, porous, potholed, scaly, smeared, spiralled, sprinkled,
    stained, stratified, striped, studded, swirly, veined, waffled, woven, wrinkled, zigzagged
""")
EUROSAT = _split("""
    annual crop, forest, herbaceous vegetation, highway, industrial, pasture, permanent crop, residential, river,
    sea lake
""")
FASHION = ("t shirt top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
FMOW = _split("""
    airport, airport hangar, airport terminal, amusement park, aquaculture, archaeological site, barn,
    border checkpoint, burial site, car dealership, construction site, crop field, dam, debris or rubble,
    educational institution, electric substation, factory or powerplant, fire station, flooded road, fountain,
    gas station, golf course, ground transportation station, helipad, hospital, impoverished settlement, interchange,
    lake or pond, lighthouse, military facility, multi unit residential, nuclear powerplant, office building,
    oil or gas facility, park, parking lot or garage, place of worship, police station, port, prison, race track,
    railway bridge, recreational facility, road bridge, runway, shipyard, shopping mall, single unit residential,
    smokestack, solar farm, space facility, stadium, storage tank, surface mine, swimming pool, toll booth, tower,
    tunnel opening, waste disposal, water treatment facility, wind farm, zoo
""")
RESISC45 = _split("""
    airplane, airport, baseball diamond, basketball court, beach, bridge, chaparral, church, circular farmland, cloud,
    commercial area, dense residential, desert, forest, freeway, golf course, ground track field, harbor,
    industrial area, intersection, island, lake, meadow, medium residential, mobile home park, mountain, overpass,
    palace, parking lot, railway, railway station, rectangular farmland, river, roundabout, runway, sea ice, ship,
    snowberg, sparse residential, stadium, storage tank, tennis court, terrace, thermal power station, wetland
""")
STL10 = _split("airplane, bird, car, cat, deer, dog, horse, monkey, ship, truck")
_SPEEDS = ("20", "30", "50", "60", "70", "80")
GTSRB = (
    *(f"speed limit {speed}" for speed in _SPEEDS),
    *_split("""
    end of speed limit 80, speed limit 100, speed limit 120, no overtaking, no overtaking by trucks,
    right of way at the next crossing, priority road, yield, stop, no vehicles, no trucks, no entry, general danger,
    dangerous curve to the left, dangerous curve to the right, double curve, bumpy road, slippery road,
    road narrows on the right, road works, traffic signals, pedestrians, children crossing, bicycles crossing,
    ice or snow, wild animals crossing, end of all limits, turn right ahead, turn left ahead, ahead only,
    straight ahead or right, straight ahead or left, keep right, keep left, roundabout, end of no overtaking,
    end of no overtaking by trucks
"""),
)
