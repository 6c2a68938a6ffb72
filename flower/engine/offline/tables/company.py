"""Meeting people, their asides, and how they hand the word back. Data only; see ``picker``.

Slots: {name} {full} {they} {them} {their} of the speaker, {known} a sentence about them, {sample}
{sample_said} a line of their own, {memory_plain} {memory_said} what the player once said.
"""

from __future__ import annotations

from flower.engine.offline.tables.speech import ByRegister

# Asides of a companion who is there but was not spoken to.
ASIDE: ByRegister = {
    "plain": (
        "\"I don't like how quiet it's gone,\" {name} says beside you.",
        '{Name} has stopped a pace behind. "Did you see that? No. Never mind. Look now."',
        '"We can still turn round," says {name}, and plainly knows that you won\'t.',
        '"Say when you want me to do something," {name} says. "I\'d rather that than guess."',
        '{Name} touches your elbow. "Somebody was here before us. Not long before."',
        '"You\'ve got that look," says {name}. "The one that costs us a night\'s sleep."',
    ),
    "dry": (
        '"I only mention it," says {name}, "but that is how the last three stories I heard began."',
        '{Name} studies the scene with distaste. "Charming. Do you suppose it is always like this, '
        'or just for us?"',
        '"I had plans for this evening," {name} says. "Sitting, chiefly."',
        '"By all means," murmurs {name}. "You first. I shall take notes for the inquest."',
        '"Nobody has tried to sell us anything for a quarter of an hour," says {name}. "I find '
        'that sinister."',
        '{Name} coughs. "When you have finished being bold, there is a small matter behind you."',
    ),
    "warm": (
        '"Whatever it is, we\'ll do it in turns," says {name}.',
        "{Name} hums under {their} breath, half a tune, the way people do to keep a child from crying.",
        '"You\'re shaking," says {name}, kindly. "So am I. There, that\'s two of us."',
        '{Name} hands you something to chew on without asking. "Eat. Then be brave."',
        '"Poor soul who has to live here," {name} murmurs. "Or souls. I wonder who does their '
        'washing."',
        '"I was frightened of a place like this once, when I was small," says {name}. "It turned '
        'out to be a cupboard."',
    ),
    "formal": (
        '"I would draw your attention," says {name}, "to what is not here and ought to be."',
        '{Name} notes the hour, the light, and the way out, in that order. "Proceed."',
        '"For the record, I advised against it," says {name}. "I shall come, of course."',
        '"One does not often see it done so openly," {name} observes.',
        '"There is a pattern in this," says {name}. "I lack one piece. Two, perhaps."',
        '{Name} straightens {their} collar, as before an audience. "Whoever is listening, they are '
        'patient."',
    ),
    "blunt": (
        '"Company," says {name}. One word, low.',
        '"Smells wrong," says {name}.',
        '{Name} has moved between you and the dark without seeming to. "Keep on. I\'ve got this side."',
        '"Are we doing it or admiring it?" says {name}.',
        '"If it comes to running," {name} says, "don\'t wait for me to be polite."',
        '"I count two," says {name}. "Don\'t look. Well, now you\'ve looked."',
    ),
}

# Ends a reply: the speaker waits for the player.
PROMPT: ByRegister = {
    "plain": (
        '"So what do you want to do?" {they:asks}.',
        "{Name} waits, and does not pretend to be doing anything else.",
        '"Tell me one thing," {name} says. "Are you doing this for yourself, or for somebody?"',
        '"Your turn," says {name}. "What have you got that I haven\'t heard?"',
        "{Name} pushes the matter back across to you with a look. It is yours to pick up.",
    ),
    "dry": (
        '"I believe this is the place where you say something decisive," {name} says.',
        '{Name} examines {their} fingernails. "Well? I am not getting any younger, and you are not '
        'getting any wiser."',
        '"Shall we?" says {name}. "Or shall we stand here until someone paints us?"',
        '"Which is it to be?" asks {name}. "The sensible thing, or the other?"',
        '"And you," {name} says pleasantly. "What are you not telling me?"',
    ),
    "warm": (
        '"What is it you really need?" {name} asks.',
        '{Name} smiles at you, tired and in earnest. "Say the word and I\'ll follow it."',
        '"Don\'t think too long," {name} says gently. "It only gets heavier."',
        '"Now you tell me something," says {name}. "Fair is fair."',
        '"Would you do it," asks {name}, "if nobody ever found out that you had?"',
    ),
    "formal": (
        '"I await your decision," says {name}.',
        '"The choice is yours," says {name}, "and so, I am afraid, is what follows."',
        '{Name} turns the page, dips the pen, and looks up. "How shall I put it down?"',
        '"Before we go on," says {name}, "I must ask you plainly: whom do you serve in this?"',
        '"You have until I finish this sentence, figuratively speaking," says {name}. "What will '
        'you do?"',
    ),
    "blunt": (
        '"Well?" says {name}.',
        '"In or out," says {name}. "Say it."',
        '{Name} jerks {their} chin at you. "Your move."',
        '"What do you want, and who else knows?" says {name}.',
        '"Talk or walk," {name} says.',
    ),
}

# Meeting somebody of the lore.
MEET = (
    "You find {full} [where people said you would|without much trouble].",
    "{Full} is easier to find than to get alone, but you manage it.",
    "It takes a little asking, and then there is {full}, looking at you as though you were late.",
    "{Full} hears you out with [one hand still on the work|eyes half shut].",
    "You put it to {full}, who does not answer at once.",
)

MEET_STRANGER = (
    "{Full} is the nearest, and has nowhere better to be.",
    "You try {full}, who looks behind to see whom you mean.",
    "{Full} has been waiting to be spoken to, by the look of it.",
    "There is {full}, and there is you, and there is no one else to say it to.",
    "It is {full} who answers.",
)

MEET_AGAIN = (
    "{Name} turns to you.",
    "{Name} has been waiting for you to get to it.",
    "You say it to {name}, and watch it go in.",
    "{Name} listens with {their} head a little lowered.",
    "It is a moment before {name} answers.",
    "{Name} looks at you sidelong.",
    "That gets {name}'s attention.",
    "{Name} stops what {they:is} doing.",
    "You have {name} to yourself for the moment, and you say it.",
    "Something in {name}'s face [closes|opens|shifts].",
    "{Name} hears it through to the end.",
    '"Hm," says {name}, which may mean anything.',
)

SELF = (
    "{Name} takes the question as people do who are seldom asked. {known}",
    "You have been told this much, and what you see bears it out. {known}",
    "There is a pause while {name} picks which part to give you. {known}",
    "It is all there to be read, if you read people. {known}",
)

SAMPLE = (
    '"{sample_said} says {name}.',
    '{Name} looks at what you have done and then at you. "{sample}"',
    '"{sample_said} {name} says, mostly to the air.',
    '"{sample}" {Name} does not explain.',
    '{Name} clears {their} throat. "{sample}"',
)

# The speaker's own way of talking, in answer to something.
OWN = (
    '"{sample_said} says {name}.',
    '{Name} gives it some thought. "{sample}"',
    '"{sample}" That seems to be the end of it, for {name}.',
    '{Name} smiles, or does not quite. "{sample}"',
)

# The speaker was told before.
REMINDED = (
    '"You told me yourself," says {name}. "{memory_plain}. Those were your words."',
    '{Name} gives you a strange look. "{memory_plain}. You said so. Have you forgotten?"',
    '"{memory_said} {name} quotes back at you, in something very like your voice.',
)

PROMPT_ANY = (
    "{Name} has finished. It is a waiting sort of finished.",
    '"Is there more?" says {name}. "There is always more."',
    '{Name} tilts {their} head. "You had something else to ask me."',
    '"So," says {name}. Nothing follows it. It is for you to follow it.',
    "{Name} glances at the way out, then at you, leaving you the choice of which to use.",
    '"What will you do now?" {name} asks, as one asks after somebody\'s health.',
    "{Name} holds your eye a moment longer than the talk needed.",
)

ASIDE_ANY = (
    "{Name} says your name, low, and nods at something you had missed.",
    '"I would give a good deal to know who has been here," {name} says.',
    "{Name} keeps close. {They:does} not say why.",
    '"Left or right?" says {name}. "I only ask so that one of us will have been wrong."',
    "{Name} picks something up, frowns, and puts it down exactly as it was.",
)
