"""What a player does, by the verb they use. Data only."""

from __future__ import annotations

from flower.engine.offline.grammar import word_set

_BY_KIND = {
    "move": (
        "go walk run head enter leave follow return descend cross travel approach step wander sail "
        "row ride crawl march stroll hurry exit proceed turn board climb ascend cycle drive move"
    ),
    "look": (
        "look examine inspect watch observe study listen smell sniff read peer glance stare gaze "
        "check touch taste count survey scan regard notice eye see hear"
    ),
    "search": "search rummage hunt seek explore dig investigate scour track find comb probe ransack",
    "fight": (
        "attack hit strike stab shoot punch kick fight kill swing slash tackle wrestle shove charge "
        "choke slap bite grapple ambush fire throttle club"
    ),
    "risk": (
        "sneak steal jump leap hide force break swim dodge flee escape bluff disarm balance hack "
        "creep pry smash vault dive sabotage forge pickpocket resist dash slip squeeze dare"
    ),
    "use": (
        "open close shut push pull light use press lift put place tie cut unlock lock knock ring pour "
        "write draw fix repair mend fold wear remove clean cook build set raise lower drop throw toss "
        "wipe wash untie unwrap hang fill empty switch help carry hold burn bury wake "
        "mix hammer sharpen wind stamp sign"
    ),
    "take": "take grab pick collect pocket keep gather catch fetch accept snatch seize draw",
    "trade": "buy order sell pay trade bargain haggle offer bet hire rent bribe barter",
    "other": "give hand lend show",  # a present is no bargain
    "rest": (
        "rest sleep sit wait eat drink camp lie relax breathe pause stand stay pray linger kneel lean "
        "nap settle bathe smoke"
    ),
    "think": (
        "think wonder remember feel hope consider decide know believe recall imagine ponder reflect "
        "worry realise realize doubt guess suspect"
    ),
    "speech": (
        "swear vow say tell ask shout whisper reply answer call greet thank warn beg promise threaten explain "
        "talk speak chat introduce apologise apologize question demand insist admit confess mutter "
        "sing laugh nod smile wave shrug bow cry yell joke flirt argue agree refuse inform address "
        "hug kiss comfort frown sigh hum invite"
    ),
}

VERBS: dict[str, str] = {verb: kind for kind, verbs in _BY_KIND.items() for verb in verbs.split()}

# Verb and particle that together mean another kind of act than the verb alone.
PHRASES: dict[tuple[str, str], str] = {
    ("look", "for"): "search",
    ("look", "through"): "search",
    ("look", "under"): "search",
    ("look", "behind"): "search",
    ("look", "inside"): "search",
    ("pick", "lock"): "risk",
    ("run", "away"): "risk",
    ("break", "in"): "risk",
    ("lie", "to"): "risk",
    ("go", "through"): "move",
    ("shake", "hands"): "speech",
    ("set", "off"): "move",
    ("set", "out"): "move",
    ("make", "camp"): "rest",
    ("take", "look"): "look",
    ("take", "a look"): "look",
    ("have", "a look"): "look",
    ("draw", "my"): "fight",
    ("get", "up"): "move",
    ("get", "out"): "move",
    ("catch", "up"): "move",
    ("hold", "breath"): "rest",
    ("fall", "asleep"): "rest",
    ("push", "through"): "move",
    ("push", "past"): "move",
    ("keep", "going"): "move",
    ("keep", "watch"): "look",
    ("hand", "over"): "trade",
    ("try", "on"): "use",
    ("work", "out"): "think",
}

# In a line with several verbs the first of these that occurs gives the kind; else the last verb does.
WEIGHT = ("fight", "risk", "speech", "trade", "search")

# Verbs that are risky on their own and plain work when done to a thing: "hide" and "hide the page".
RISKY_ALONE = frozenset({"hide", "slip", "force"})

# What a question about the past is about is not in these.
ASKING_WORDS = word_set(
    """
    remind remember recall forget forgot say said tell told ask asked mean thing time do did
    what
    """
)

STOP_WORDS = word_set(
    """
    first second two three four five six seven eight nine ten times
    a about above across after again against all almost along also am an and another any anyone
    anything are around as asked at away back be because been before behind being below beside
    between both but by can cannot could did do does doing done down each either else even ever
    every everyone everything few for from further get gets go goes going had has have having he
    her here hers herself him himself his how i if in inside into is it its itself just know let
    like little lot make many may maybe me might mine more most much must my myself near need
    neither never no nobody none nor not nothing now of off often on once one only onto or other
    others our ours out outside over own perhaps please quite rather really right said same say
    see shall she should since so some somebody someone something soon still such take tell than
    thank that the their theirs them themselves then there these they thing things this those
    though through till time to too towards try under until up upon us very want was way we well
    were what whatever when where whether which while who whom whose why will with within
    without would yes yet you your yours yourself
    """
)
