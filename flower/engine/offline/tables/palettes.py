"""What the air is made of, by kind of world. Data only.

A palette is chosen by counting its words in the scene, the lore and the last reply. Every sentence
has to be true indoors and out, by day and by night, because nobody tells the narrator which it is.
"""

from __future__ import annotations

from msgspec import Struct


class Palette(Struct, frozen=True):
    """Ambient sentences, people without names, things to find, and turns of the hour."""

    key: str
    words: frozenset[str]
    air: tuple[str, ...]
    strangers: tuple[str, ...]
    finds: tuple[str, ...]
    shifts: tuple[str, ...]


def _palette(
    key: str,
    words: str,
    air: tuple[str, ...],
    strangers: tuple[str, ...],
    finds: tuple[str, ...],
    shifts: tuple[str, ...],
) -> Palette:
    return Palette(key, frozenset(words.split()), air, strangers, finds, shifts)


COAST = _palette(
    "coast",
    "tide tides tidal sea harbour harbor lighthouse boat boats fishing quay pier island gull gulls "
    "causeway sand "
    "sands wreck ferry wave waves shore beach anchor sailor fishermen pilot seaward coast strand "
    "net nets",
    (
        "Somewhere below, water is moving stones about, patiently, like someone looking for one in "
        "particular.",
        "The air tastes of salt and iron and of other people's fires.",
        "A gull says something that sounds very like a word, and is answered.",
        "There is tar on everything, and under the tar the older smell of weed drying.",
        "The damp gets in at cuffs and collar, unhurried, as if it had an appointment.",
        "Far out a bell buoy tolls once, thinks better of it, and tolls again.",
        "Light comes and goes, comes and goes, on a count your breath has begun to keep.",
        "A rope creaks, takes the strain, and creaks.",
        "Wind worries at a loose shutter, lets it be, and comes back to it.",
        "Wet footprints cross the boards and stop where there is nothing to stop for.",
        "Fog has taken the far end of everything. Voices come out of it without their owners.",
        "The tide has turned. You can tell by how the talk gets quicker.",
        "From the net lofts comes a song with too many verses, sung by someone who knows them all.",
        "Every board here has been something else first: a hatch, a keel, a name in faded paint.",
        "Something drips, four times, and holds the fifth back.",
        "Far down, where the swell comes in under the rock, there is a sound like a heavy door "
        "being tried.",
        "A smell of frying herring goes by and takes half your attention with it.",
        "The wind drops. For a moment you can hear a clock, and then another, not agreeing with it.",
        "Salt has dried white in every crack, like frost that has forgotten how to leave.",
        "A length of chain runs out somewhere in the harbour, link by link, and stops short.",
        "Lamplight slides over the wet and goes on out to sea.",
        "Somebody's cat looks at you as if you owed it for lodging.",
    ),
    (
        "a boy with a bucket of lugworms",
        "a woman mending net without looking at her hands",
        "a pilot in a coat still wet to the knee",
        "an old man with a spyglass and nothing to point it at",
        "a girl who sells tide tables",
        "a customs clerk with ink on his chin",
        "a fishwife with a gutting knife",
        "a sailor in another port's colours",
    ),
    (
        "a tide table with one line of it cut out",
        "a brass key, green at the teeth, on a loop of tarred cord",
        "a lamp wick trimmed for a signal nobody uses now",
        "a page of a ship's log, in a hand that gets worse as it goes",
        "half a medal, sawn straight through the saint",
        "a child's shoe stuffed with coins of three countries",
        "a bottle with sand in it, and a number scratched in the glass",
        "a wax seal pressed with a bell and a wave",
        "a knot of hair and fishing line, nine turns, cut once",
        "a pilot's whistle with a pea of bone",
        "a receipt for lamp oil in another man's name",
        "a map of the rocks with one rock too many",
    ),
    (
        "The light has gone the colour of slate while you were busy, and the water with it.",
        "A horn sounds from the seaward side, long, short, long, and all along the front doors are "
        "shut.",
        "Rain arrives from one side, all at once, like a thrown basin.",
        "The tide is making. What was a road an hour ago has a shine on it now.",
    ),
)

SHIP = _palette(
    "ship",
    "deck decks hull ring thrust orbit generation corridor bulkhead airlock reactor vacuum "
    "starship stars spoke "
    "hydroponics recycler aboard colony habitat module engine algae shift spine voyage colonists "
    "spacecraft starport",
    (
        "The air moves, as it always moves, from the left, with somebody else's cooking in it.",
        "Under your soles the deck hums its one low note, a shade flatter than last year.",
        "A strip of lamp stutters, considers, and comes on again.",
        "Behind the panel a pipe ticks as it cools, like a slow clock with one hand.",
        "There is the smell of warm dust and wet roots that means a filter nobody has had time for.",
        "Someone has worn a path in the deck paint here, generations of someone.",
        "A speaker clears its throat and gives the hour to people who already know it.",
        "Water knocks in the wall, twice, on its way to somewhere more important.",
        "Children's chalk runs along the bulkhead: a line of little suns, none of them drawn from "
        "life.",
        "Every handle in reach is polished, every bolt above reach is furred with lint.",
        "The lamps have begun to lean towards amber. On this shift that passes for evening.",
        "Weight is a little wrong here, enough to make your next step land late.",
        "Somewhere a pump stops, and for two breaths everybody in earshot stops with it. Then it "
        "goes on.",
        "A vine has found its way out of a grating and been left alone, in defiance of three notices.",
        "A fan changes its mind about its speed. You had not noticed it until it did.",
        "Somewhere bread is being made; the yeast comes down the ducts ahead of the news.",
        "Someone has tied a knot in the emergency cord, to show that it was tested, or to show "
        "that it was not.",
        "The walls give a long slow creak, the kind that everyone aboard has learned to sleep through.",
        "A hen walks past with great self-possession, followed after a time by a boy.",
        "The grating carries voices from two decks down, whole sentences, with the answers left out.",
        "There is a patch on the patch on the wall, and a date beside each.",
        "Your ears press and clear. A big door has been opened, or has been shut.",
    ),
    (
        "a boy in a patched suit liner",
        "a filter hand with a coil of wet hose on her shoulder",
        "an old woman with a tin of beans",
        "a clerk with a slate held against his chest",
        "a welder with her mask pushed up and one eye red",
        "an apprentice carrying half a door",
        "a gardener with soil to the elbows",
        "a night-shift steward with a lamp on a cord",
    ),
    (
        "a maintenance tag signed by someone dead these sixty years",
        "a data wafer in a twist of seed paper",
        "a valve key filed to fit a lock it was not made for",
        "a strip of film with eleven frames of a blue sky",
        "a ration book with the name cut out, all its hours unspent",
        "a hand-drawn plan with a room on it that is on no other plan",
        "a small brass gear from a machine nobody here can make",
        "a recorder no bigger than a thumb, its light still on",
        "a pear, real, with one bite out of it",
        "a square of painted canvas that turns out to be a view",
        "a card of door codes, all crossed through but the last",
        "a child's drawing of a face, signed with a frame number",
    ),
    (
        "The shift bell goes. Doors open all along the way, and for some minutes there are too "
        "many people to be private.",
        "The lamps drop to half without warning. Nobody speaks of it. Everybody looks up.",
        "A tremor comes up through the deck, gentle, long, from very far aft. It is not on the "
        "schedule.",
        "The speaker begins the evening names, the born and the dead. You know none of the first "
        "and two of the second.",
    ),
)

MARKET = _palette(
    "market",
    "market stall stalls toll border caravan mule mules cart carter carters inn tavern guild "
    "merchant merchants "
    "sword swords horse horses goat weights scales scale oath smith reeve kingdom kingdoms clerk "
    "knight castle wagon",
    (
        "Smoke, onions, wet wool and mule: the place announces itself in that order.",
        "Someone is selling something at the top of his voice and someone else is being sold it in "
        "a whisper.",
        "A dog lies across the way and has to be stepped over by everybody, and is.",
        "Scales tip, pause, tip back. It is the commonest sound here after swearing.",
        "Bells on harness go by, and by, and take a long time to be gone.",
        "There is straw underfoot, and under the straw, older straw.",
        "A hammer keeps time somewhere near. When it misses a beat, people look up.",
        "The cold comes off the stones, even now, as if they were saving it for someone.",
        "Chalk marks on the doorpost tell those who can read them what the last guest was worth.",
        "A child runs past, changes its mind, runs back.",
        "Bread is being taken out of an oven close at hand. For a moment nobody is anybody's enemy.",
        "Three languages are being used at once to say the same number.",
        "Somewhere a window is pushed up and a basin emptied without a warning, and then a warning "
        "given.",
        "Dust turns slowly in a bar of light, with a scrap of down in it, going nowhere.",
        "A mule screams like a hinge. No one so much as turns round.",
        "Meltwater runs in the gutter, talking quickly.",
        "Somebody is frying dough, and a line has formed without anyone deciding to.",
        "An argument about a bucket has gone so far back that it has reached somebody's grandfather.",
        "Coins are being counted behind a shutter, and then, after a silence, counted again.",
        "The wind brings a breath of high snow, clean as a slate, and takes it away.",
        "A rope of garlic, a rope of bells, a rope of rope: all one price.",
        "Wheels stop. A voice says two words in the tongue of the other side, and wheels go on.",
    ),
    (
        "a carter with one boot unlaced",
        "a woman selling needles off her own coat",
        "a boy holding six mules and his temper",
        "a scribe with a board round her neck",
        "a guard without his helmet",
        "a pilgrim with bandaged feet",
        "an old soldier minding a brazier",
        "a tinker with a laugh like a dropped tray",
    ),
    (
        "a weight of brass, hollow, a third lighter than its stamp",
        "a letter folded small enough to be swallowed",
        "a ring of the kind lent against debts, its thread still on",
        "a knife with a border mark on each side of the blade",
        "a tally stick, split, the other half elsewhere",
        "a twist of grey salt in blue paper",
        "a toll token from a gate that was pulled down before you were born",
        "a strip of cloth in a pattern one family only may weave",
        "a horn button with a needle inside it",
        "a page from an account book, added up wrong on purpose",
        "a mule shoe, hollowed, with wax in the hollow",
    ),
    (
        "A gust takes the awnings and for a moment everyone is holding on to something. When it "
        "drops, the light is older.",
        "A horn from the wall: riders. People begin, without haste, to put the better goods away.",
        "Lamps are being lit along the row, one from the next, by a child with a taper and great "
        "solemnity.",
        "It begins to snow, or to think about it. Prices go up by a copper as far as you can hear.",
    ),
)

WILD = _palette(
    "wild",
    "forest tree trees wood woods river lake moss wolf wolves bear deer trail track camp ridge valley cave "
    "hunter ranger marsh swamp desert dune leaf leaves root roots beast wilderness snow thicket",
    (
        "Something small goes through dry leaves and stops when you stop.",
        "The wind moves along the tops without coming down.",
        "Water is talking somewhere under the stones.",
        "A bird calls twice, and what answers is not quite a bird.",
        "It smells of rain that fell a week ago and has not been let go.",
        "The light lies in pieces, and the pieces move.",
        "There are tracks here, some going, some coming, one only arriving.",
        "For a moment every insect falls silent, as at a word.",
        "A branch gives way far off, unhurried, with a noise like a door.",
        "Cold comes up out of the ground and takes hold of the ankles.",
        "High up, two trunks lean on each other and complain of it.",
        "Seeds drift past on no wind at all.",
        "There is a smell of fox, rank and recent.",
        "The ground gives a little underfoot, like the back of something asleep.",
    ),
    (
        "a charcoal burner with pale eyes",
        "a girl with a hare over her shoulder",
        "a hunter in grey",
        "an old man gathering sticks one at a time",
        "a rider leading a lame horse",
        "a woman with a basket of something covered",
    ),
    (
        "an arrowhead of a stone that is not from here",
        "a loop of red thread tied at the height of a child's hand",
        "a tooth, drilled for a string",
        "a cold firepit with a whole loaf in it, untouched",
        "a boot, good leather, laced to the top and empty",
        "a map on birch bark with no north",
    ),
    (
        "The sun goes behind something and does not come out on the other side.",
        "Mist stands up out of the low ground, all of it at once.",
        "The first drops fall, wide apart and heavy, and the place begins to smell of iron.",
    ),
)

CITY = _palette(
    "city",
    "street streets car cars phone police apartment office train subway tram neon detective bar hotel club "
    "newspaper gun rain taxi elevator radio station bus concrete wire computer camera city district",
    (
        "Tyres hiss past on a wet road, one set, then none for a while.",
        "Behind a wall someone turns a radio up to cover talk, and the talk gets louder.",
        "A light two floors up goes out just as you look at it.",
        "The place smells of coffee, old heating and somebody's hurry.",
        "A telephone rings and rings and is not picked up.",
        "Footsteps overhead cross the ceiling, stop at the middle, and do not go on.",
        "Pipes bang. Somewhere a lift door opens and shuts with nobody in it.",
        "Sirens go by on another street with another person's trouble.",
        "Neon buzzes, drops a letter, finds it again.",
        "A newspaper has been left folded to a page, with a coin on it.",
        "Somebody is typing on the other side of a wall, fast, and stops when you do.",
        "A bus goes by with all its lights on and nobody in it.",
        "The air has the taste of a storm that the radio did not mention.",
        "From a doorway comes the end of a joke and the start of a cough.",
    ),
    (
        "a cab driver waiting for no fare",
        "a woman with a dog and dark glasses",
        "a kid with a skateboard and a stranger's watch",
        "a man in a good coat and bad shoes",
        "a caretaker with forty keys",
        "a nurse just off nights",
    ),
    (
        "a matchbook with four digits inside the flap",
        "a photograph torn so that only one hand is left, on your shoulder",
        "a receipt for two, paid by one",
        "a door card with the name scratched off",
        "a roll of notes held by a hair tie",
        "a cassette labelled with tomorrow's date",
    ),
    (
        "The lights go, block by block, towards you, and come on again behind.",
        "It starts to rain in earnest, and the street empties of everyone who has somewhere to be.",
        "A car pulls up, keeps its engine going, and nobody gets out.",
    ),
)

PLAIN = _palette(
    "plain",
    "",
    (
        "It is quiet enough to hear the quiet being kept.",
        "Somewhere near a door opens, waits, and closes.",
        "The light has a worn look, like cloth that has been washed too often.",
        "There is a smell of smoke, old and homely, and under it something you cannot place.",
        "Voices come from not far off, two of them, not agreeing.",
        "Somebody laughs, briefly, at the wrong moment.",
        "A draught finds the back of your neck.",
        "Things have been moved here, and moved back a finger's breadth out.",
        "Your own shadow seems to have got there a little before you.",
        "For a moment everything holds as still as a picture. Then a fly crosses it.",
        "Something has been spilt and wiped up, and not well.",
        "The clock, if that is a clock, is in no hurry.",
        "Someone has been eating an orange.",
        "There is the sound of a key being tried in a lock, patiently, one key after another.",
        "The warmth goes out of the place by about one coat.",
        "There is music somewhere, or somebody remembering music.",
        "A board gives under you, with a note you will know again.",
        "The place has the air of having been talked about a moment before.",
    ),
    (
        "a child with a serious face",
        "a woman in a travelling coat",
        "an old man with his hat in his hands",
        "a messenger out of breath",
        "somebody's servant on an errand",
        "a stranger with a friendly manner and watchful eyes",
    ),
    (
        "a key with a paper tag and nothing written on the tag",
        "a folded letter, much handled, with no name on it",
        "a ring too small for any grown hand",
        "a coin worn smooth on one side only",
        "a lock of hair in a twist of paper",
        "a list of names, half of them struck out",
    ),
    (
        "The hour has changed while you were about it. Shadows lie where there were none.",
        "A bell, not near. People who were in no hurry are suddenly in one.",
        "The air turns, as it does before weather, and everyone feels it and nobody remarks on it.",
    ),
)

PALETTES = (COAST, SHIP, MARKET, WILD, CITY)
