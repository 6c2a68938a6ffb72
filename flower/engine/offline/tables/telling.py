"""What people say who are asked something, or tell it unasked. Data only; slots as in ``speech``."""

from __future__ import annotations

from flower.engine.offline.tables.speech import ByRegister

# Before a fact, when the speaker knows.
ANSWER: ByRegister = {
    "plain": (
        '{Name} thinks before answering. "{fact_plain}"',
        '"I can tell you what I know," {name} says. "{fact_plain}"',
        '"{fact_said} says {name}. "That much is no secret."',
        '{Name} scratches at a mark on the table. "{fact_plain} You\'d have heard it sooner or later."',
        '"Somebody should tell you, so it may as well be me," {name} says. "{fact_plain}"',
        '"It goes like this," says {name}. "{fact_plain}"',
    ),
    "dry": (
        '"A fine thing to ask," {name} says. "{fact_plain} Try to look surprised."',
        '"{fact_said} says {name}. "I never said it was a pretty story."',
        '{Name} sighs through {their} nose. "{fact_plain} There. Now we both have to live with it."',
        '"Officially? Nothing at all," says {name}. "Otherwise: {fact_lc}"',
        '"You could have asked anyone," {name} says. "{fact_plain} They would have charged you."',
    ),
    "warm": (
        '{Name} lowers {their} voice and leans in. "{fact_plain} There, now you know as much as I do."',
        '"Bless you, nobody ever asks," {name} says. "{fact_plain}"',
        '"Now, I had this from someone I trust," says {name}. "{fact_plain}"',
        '"{fact_said} {name} says gently. "Be careful who you say it to."',
        '"Oh, that old trouble," says {name}. "{fact_plain} Mind you, it was worse before."',
    ),
    "formal": (
        '"The facts are these," says {name}. "{fact_plain}"',
        '{Name} considers how much you are owed. "{fact_plain} Beyond that I would be guessing."',
        '"{fact_said} says {name}. "I do not offer an opinion. I offer you the record."',
        '"You ask a question with a long answer, and I shall give the short one," {name} says. '
        '"{fact_plain}"',
        '"It is set down where anyone may read it," says {name}. "{fact_plain}"',
    ),
    "blunt": (
        '"{fact_said} {name} says. "Next."',
        '{Name} snorts. "{fact_plain} Everybody knows that. Everybody with ears."',
        '"Fine. {fact_plain}" {Name} spits, or makes the face that goes with it. "Happy?"',
        '"You want it straight?" says {name}. "{fact_plain}"',
        '"Listen, because I\'ll say it once," says {name}. "{fact_plain}"',
    ),
}

# When there is nothing to tell.
UNKNOWN: ByRegister = {
    "plain": (
        '"I don\'t know," {name} says. It seems to trouble {them} more than you expected.',
        '{Name} shakes {their} head slowly. "Never had cause to find out. Why, what have you heard?"',
        '"If I knew that," says {name}, "I would be somewhere warmer."',
        '"Ask me something I can answer," says {name}. "Ask me who was here before you, for one."',
    ),
    "dry": (
        '"What an excellent question," says {name}. "I wish you every success with it."',
        '{Name} spreads {their} hands. "I have three answers to that. I believe none of them."',
        '"People who know that don\'t talk," {name} says, "and people who talk don\'t know. I sell '
        'buttons."',
        '"I could invent something," says {name}. "It would be better than the truth, and you '
        'would come back angry."',
    ),
    "warm": (
        '"I wish I could tell you," {name} says, and means it. "I can tell you who might."',
        "{Name} pats your arm. \"That one's beyond me, love. But I'll listen about for you.\"",
        '"You know, I have wondered that myself on bad nights," says {name}.',
        '"Now don\'t look like that," {name} says. "Not knowing is only the first half of it."',
    ),
    "formal": (
        '"I am not able to say," says {name}. The pause makes it hard to tell which word carries '
        "the weight.",
        '"There is no record of it," {name} says. "That is itself unusual."',
        '{Name} folds {their} hands. "You have come to the edge of what I know. Mind the drop."',
        '"Regrettably, no," says {name}. "I would thank you to tell me, should you learn it."',
    ),
    "blunt": (
        '"No idea," says {name}. "And I\'d keep it that way."',
        "{Name} shrugs. \"Don't know. Don't want to. Don't ask louder.\"",
        '"Who told you to ask me that?" {name} says, suddenly very still.',
        '"Nothing I\'d say for free," says {name}, "and you can\'t pay what it\'s worth."',
    ),
}

# Volunteered, after something that was no question.
TELL = (
    '"Since you\'re here," {name} says, "you may as well know. {fact_plain}"',
    '"And another thing," says {name}. "{fact_plain}"',
    '{Name} drops {their} voice. "{fact_plain} You didn\'t have that from me."',
    '"It\'s not the only trouble," {name} says. "{fact_plain}"',
    '"People here have other things on their minds," says {name}. "{fact_plain}"',
    '{Name} nods towards nothing in particular. "{fact_plain} You\'ll see. Everyone does in the end."',
    '"You want to know how things stand?" says {name}. "{fact_plain}"',
    '"I\'ll give you this for nothing," {name} says. "{fact_plain}"',
    '"{fact_said} says {name}, as though that followed.',
)

# To a question that wants yes or no.
YES_SAID = (
    '"Yes," {name} says, and leaves it there a moment, alone.',
    "{Name} nods before the question is quite out.",
    '"More or less," says {name}. "More, if I am honest."',
    '"I do not see how it could be otherwise," {name} says.',
    '"You know it as well as I do," says {name}.',
)

NO_SAID = (
    '"No," {name} says. Then, after a moment, "No."',
    "{Name} shakes {their} head, not at you but at the idea.",
    '"Whoever told you so was selling something," says {name}.',
    '"Not now, and not for want of asking," {name} says.',
    '"If I said yes I would be lying, and you would know," says {name}.',
)

# A name spoken of, and a speaker who only hints.
HINT = (
    '"Ask {other} about that," {name} says, "but not in front of people."',
    '"{Other} would know," says {name}. "{Other} would also want to know why you ask."',
    '"There is more to it, and {other} is in it up to the neck," {name} says.',
    '"You have not heard this from me," says {name}. "Look at {other}. Look properly."',
    '"That is the sort of question that ends at {other}," says {name}.',
    '{Name} glances round, and says a single name. "{Other}."',
)

# Lines that any speaker may use besides those of their register.
ANSWER_ANY = (
    '{Name} looks past you while telling it. "{fact_plain}"',
    '"That?" says {name}. "{fact_plain}"',
    '"I was told it like this," {name} says, "and I have never had cause to doubt it. {fact_plain}"',
    '"{fact_plain}" {Name} lets you think about that.',
    '"Some of it I know," says {name}. "{fact_plain}"',
)

UNKNOWN_ANY = (
    "{Name} opens {their} mouth, thinks again, and closes it.",
    '"Ask me tomorrow," says {name}. "I may have forgotten why I should not say."',
    '"That is not a thing I carry about with me," {name} says.',
)
