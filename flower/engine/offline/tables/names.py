"""Words by which a name shows what it names. Data only."""

from __future__ import annotations

from flower.engine.offline.grammar import word_set

TITLES = word_set(
    """
    Captain Mother Father Sister Brother Old Young Lady Lord Master Mistress Warden Doctor Dr Mr
    Mrs Ms Miss Sergeant Widow Uncle Aunt Prior Abbot Elder Queen King Prince Princess Judge
    Officer Steward Deacon Provost Reeve Reverend Constable Granny Big Mister Goodwife Navigator
    Engineer Speaker Marshal Professor Inspector
    """
)

PLACE_WORDS = word_set(
    """
    street lane road row alley square gate bridge tower hall house inn market quarter deck ring
    bay hold yard quay pier harbour harbor point head island isle river lake hill mountain pass
    valley forest wood field steps stairs stair cove sands reef causeway chapel church temple
    mill well spire garden gardens station port dock docks room chamber court keep fort wall sea
    marsh moor flats mere spoke hub cathedral library kitchen stables ford crossing cellar
    cellars light lighthouse school infirmary nursery orchard vault cross barn stead reach arms
    tavern locks sluice weir ridge window camp stones stone weighhouse stairwell
    """
)

GROUP_WORDS = word_set(
    """
    guild company order council wardens watch league circle society brotherhood sisterhood
    family clan crew union board office assembly choir bank commission committee cult tribe
    pilots keepers brokers tellers menders gardeners stewards turners weighers carters hoods
    daughters sons cartel party oath
    """
)

# Words that open a sentence with a capital and are no part of a name behind them.
OPENERS = word_set(
    """
    People Children Nobody Everybody Strangers Visitors Most Many Few Two Three Four Five Six
    Seven Eight Nine Ten Twelve Twenty Half New Last Years Today Tonight Yesterday Every Between
    During Despite Below Ask Anyone Whoever Nights Days Winter Summer Spring Autumn Men Women
    Ships Money Debt Salt Water Bread Behind Officially Otherwise Scraps Talk
    """
)

# Before a place, hardly ever before a person.
PLACE_BEFORE = word_set("in at near through beyond into across outside inside towards")

# End like adverbs and are none.
LY_NAMES = word_set(
    """
    emily molly polly sally kelly holly lily billy tilly willy milly dolly nelly elly kimberly beverly
    carly shelly cecily lesly italy july family belly jelly bully ally reply supply assembly butterfly
    daily early only ugly lovely lonely holy elderly friendly likely lively silly chilly deadly orderly
    """
)

CALENDAR = word_set(
    """
    January February March April May June July August September October November December Monday
    Tuesday Wednesday Thursday Friday Saturday Sunday Christmas Easter Michaelmas Candlemas
    """
)

# What a blow lands on, rather than whom it is meant for.
BODY_PARTS = word_set(
    "face head arm leg chest nose throat back hand eye eyes stomach gut jaw knee neck shoulder"
)

# Nouns that can be spoken to.
PEOPLE = word_set(
    """
    man woman girl boy child guard keeper clerk barman barkeep bartender innkeeper sailor soldier
    captain priest stranger doctor nurse driver cook baker smith farmer merchant seller guide
    servant maid messenger beggar thief knight king queen witch wizard teacher officer pilot
    mechanic robot android stewardess steward shopkeeper waiter waitress hunter ferryman old
    """
)
