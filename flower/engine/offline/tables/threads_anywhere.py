"""Complications that fit any world; see ``threads``. Data only."""

from __future__ import annotations

from flower.engine.offline.tables.thread import Thread

ANYWHERE = (
    Thread(
        "three knocks",
        "knock door open answer",
        "Then three knocks, evenly spaced, where you would not have said there was anything to "
        "knock on.",
        'You go to the sound, and it is {stranger}, alone, with a message learned by heart. "I was to say that '
        'it is tonight and not tomorrow. I was to say you would know what." The messenger waits for payment or '
        "for an answer, it is hard to tell which.",
        "The knocking is not repeated. When you next look that way, something has been pushed through: a slip "
        "of paper with your name on it and one word. Tonight.",
    ),
    Thread(
        "the same tune",
        "tune song whistle music listen who whistling singing",
        "Someone passing is whistling. It is the same tune you had in your own head a moment ago, "
        "from the same bar.",
        "You follow the tune and it leads, without hurrying, to {stranger}, who stops when you "
        'stop. "Learned it '
        'from a friend of yours," comes the answer, "who said that you\'d ask. Who said I was to '
        "tell you: count "
        'the doors."',
        "The tune goes off, and comes back on the other side, nearer, and this time there are two "
        "of them whistling.",
    ),
    Thread(
        "a sealed note",
        "note letter read seal paper open unfold",
        "{Stranger} walks into you, begs your pardon, and is gone. There is now a sealed note in "
        "your pocket.",
        'You break the seal. Five words, in pencil, pressed hard: "Not {other}. Ask who gains." '
        "There is no name "
        "under it, only a smear of lamp oil and the print of a thumb.",
        "The note crackles each time you move. Whoever wrote it must think that by now you have read it, and "
        "will be acting on what they think you know.",
    ),
    Thread(
        "calls you by another name",
        "name who ask what mistake answer me mean another",
        "{Stranger} brightens at the sight of you and calls you by another name, a name you have "
        "never gone by.",
        '"But you were here," you are told, "a week ago, and you paid me, and you said that you would be back '
        'and not to know you." A hand comes out, and on the palm lies a coin. "This was yours. You '
        "said you would "
        'ask for it."',
        "You let it pass. The stranger watches you do it, nods as if that had been the right answer, and goes "
        "away quickly to tell someone.",
    ),
    Thread(
        "has been following you",
        "follow who behind turn wait confront hide lose stop face",
        "You have been sure for some time and now you are certain: someone has been following you, and is no "
        "good at it.",
        "You take the next corner and wait behind it, and what comes round it, straight into your hands, is "
        '{stranger}. "They pay by the hour," the poor creature says. "Nobody told me what for. I '
        "only say where "
        'you go." And who is told? A look over the shoulder. "{Other}. Or somebody who gives that '
        'name."',
        "You go on as if you had noticed nothing. The steps behind you become two pairs of steps.",
    ),
    Thread(
        "a cry, cut short",
        "cry scream help run go see look toward",
        "From close by comes a cry, cut short. Everyone hears it. Everyone goes on with what they were doing, "
        "with great care.",
        "You get there first, because no one else is going. {Stranger} sits on the ground with "
        "both hands round "
        'one ankle and a face the colour of paper. "I saw it," you are told. "I looked in, as I '
        "was told not to, "
        "and I saw it. Don't let them know it was me.\"",
        "Nothing more is heard. Some minutes later {stranger} is helped past between two others, walking quite "
        "well, looking at nothing.",
    ),
    Thread(
        "an empty chair",
        "sit chair who table ask wait whose",
        "A place has been kept for you. There is an empty chair, a cup poured, and nobody near it "
        "owns to having done it.",
        "You sit. The cup is still hot. Under the saucer is a card with a time on it, an hour from now, and on "
        "the back, in another hand: come by yourself, or do not come.",
        "You leave the chair empty. When you glance back {stranger} is sitting in it, drinking your cup, and "
        "raises it to you.",
    ),
    Thread(
        "one of them is lying",
        "ask both lie lying which story question who listen truth",
        "Two people are telling the story of last night to anyone who will stop. The stories do not agree. At "
        "least one of them is lying.",
        "You ask each the same small thing, what the weather was. One says rain; the other, after "
        "a moment, says "
        "the same, and looks for help in the direction of {other_place}. So that is where the "
        "story was made.",
        "By the time you think of it again there is only one story being told, and both of them "
        "are telling it.",
    ),
    Thread(
        "a key on a plate",
        "key plate lock try door pocket",
        "Something is put down beside you with great care, and whoever put it there is gone. It is "
        "a key on a plate.",
        "You try the key wherever there is a lock to try. It fits the fourth, and turns both ways, "
        "and behind the "
        "little door there is another plate, and on that plate, still wet, a second key.",
        "You let it lie. {Stranger} comes by, sees the plate, sees you, takes the key up with a "
        "napkin as if it "
        "were hot, and runs.",
    ),
    Thread(
        "has your handwriting",
        "read paper writing list note page hand",
        "On the wall hangs a list of things to be done today, and the list has your handwriting.",
        "You read it down. Wake early; done. Speak to nobody before noon; not done. The third line is {other}, "
        "underlined. The last says: when you have read this far, look at who is watching you read.",
        "The list stays where it is. An hour on, somebody has ticked off two of the lines, and one of them is "
        "the one with your name in it.",
    ),
    Thread(
        "the lights go down",
        "light lamp dark match candle wait listen feel",
        "Without any hurry at all the lights go down, all of them, to the size of a seed.",
        "You make a light. It shows a ring of faces much nearer than the people had been, and all "
        "of them turned "
        "to you. Then the others come up again and everyone is where they were, in the middle of a word.",
        "In the dark somebody counts to five under their breath. At five the lights come up. There "
        "is one person "
        "fewer, and no two people can agree on who.",
    ),
    Thread(
        "somebody is sobbing",
        "cry crying sob sobbing comfort weep tears",
        "Not far off somebody is sobbing, in the way people do who believe that they are alone.",
        'You find {stranger}, who wipes a sleeve across both eyes and says that it is nothing. "I '
        "told them where "
        'you sleep," comes out, after a time. "They were so polite about it. I didn\'t know then '
        'that you had a face."',
        'It goes on, and then it stops, and a voice quite without tears in it says: "That ought to do."',
    ),
)
