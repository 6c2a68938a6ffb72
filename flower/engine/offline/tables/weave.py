"""Joints: how lore enters a paragraph, and how a reply ends. Data only.

Slots: {fact} a whole sentence, {fact_lc} the same after "that", {fact_said} inside quotes before a
tag, {stranger} somebody without a name, {other} a named person, {other_place} a named place.
"""

from __future__ import annotations

FACT = (
    "{fact}",
    "{fact} [You had known it without thinking about it|It had not seemed to matter until now].",
    "You have heard it said, more than once, that {fact_lc}",
    'Two people go past in the middle of an argument. "{fact_said} says one. The other only laughs.',
    "It is common talk that {fact_lc}",
    "You find yourself thinking of what you were told on your first day: {fact_lc}",
    'Behind you somebody is explaining it to a child. "{fact_plain}"',
    "{fact} [Nobody says so in front of strangers|People will tell you so with some pride].",
    "There is a thing everyone here grows up knowing, that {fact_lc}",
    'Scraps of talk come by. "{fact_plain} And don\'t let anyone tell you different."',
    "{fact} [You keep it in mind|You put that next to the other things you know].",
    "A saying of the place comes to you, or what passes for one: {fact_lc}",
    "You wonder who first told you. {fact}",
    'Someone reads it out from a scrap of paper, slowly, for someone who cannot. "{fact_plain}"',
    "If you know one thing about this place, it is that {fact_lc}",
    '"{fact_said} somebody says, "as my mother used to tell us."',
    "It crosses your mind, for no reason you can put a name to. {fact}",
)

# Only when the fact is about what the player is dealing with.
FACT_NEAR = (
    "{telling}",
    "{telling} You keep that in mind.",
    "You know what is said. {telling}",
    "{telling}",
    "It is well known, at least, that {fact_lc}",
    "{telling}",
    "You call to mind what you have been told. {telling}",
    "They did tell you that {fact_lc}",
)

# When nothing else in the reply has named anything of the world.
TOUCH = (
    "Your thoughts go, as thoughts do here, to {any_name}.",
    "Somewhere in this there is a road that leads to {any_name}.",
    "You can't help wondering what it would look like from where {any_name} stands.",
    "Sooner or later everything here has to do with {any_name}.",
    "You catch one word of what somebody mutters, and the word is {any_name}.",
    "It is the second time today that something has put you in mind of {any_name}.",
    "If this is about anything, it is about {any_name}.",
    "Somebody has written it small on the wall, and nobody has wiped it off: {any_name}.",
    "What this has to do with {any_name} you cannot say yet. That it has, you would bet on.",
    "You are being looked at, you realise, as people look at whoever has dealings with {any_name}.",
    "Between here and {any_name} there is a thread, and you have just felt it move.",
    "One could live here a long while and hear no name more often than {any_name}.",
)

HOOK = (
    "{Stranger} has stopped to watch you, and makes no secret of it.",
    "Somebody says your name, not loudly, from the side you are not looking at.",
    "Somebody has left in a hurry and gone towards {other_place}.",
    "You have perhaps as long as it takes to boil water before you are missed.",
    "You have the sense that {other} ought not to hear of this from anybody but you.",
    "{Stranger} holds something out to you, and does not say what it is for.",
    "If you mean to do something about it, now is when it would be cheapest.",
    "What would you give to know? It is not an idle question. {Stranger} has just asked it.",
    "Behind you, somebody is coming who walks like {other}.",
    "From the direction of {other_place} comes a sound you have not heard before today.",
    "You could leave it there. The way you came by is still open, and will not be for long.",
    "A word to {other} would settle it, one way or the other.",
    "One question would open this up. You have it on your tongue. To whom do you put it?",
    "They are waiting to see which way you go: towards {other_place}, or back.",
    "It would be a good moment to look in your pockets and see what you have.",
    "{Stranger} has seen, and is making up a face about it. You could still get in the first word.",
    "Two people look up, look at each other, and one of them starts for {other_place}.",
    "There is something you meant to ask {other}, and it comes back to you now.",
    "Whoever was going to come has come. You can hear them being told to wait.",
    "Nobody has told you not to. That will change in a minute.",
)

# What comes to somebody who listens.
OVERHEARD = (
    'At first it is only noise. Then a sentence comes free of it, whole. "{fact_plain}" And '
    "somebody hushes somebody.",
    'Two people, close, not troubling to whisper. "{fact_plain}" "So you say." "So everyone says."',
    'You catch the tail of a quarrel. "{fact_plain} I had it from one who was there."',
    'A voice you do not know is saying, patiently, as to a foreigner, "{fact_plain}"',
    'One voice only, telling it to somebody who does not reply. "{fact_plain}" Then a chair, and steps.',
    'Through a wall, or a door not quite shut: "{fact_plain}" You wait for the rest, and there is no rest.',
)

# Endings that fit one kind of act.
HOOK_BY_KIND = {
    "search": (
        "Put it back, or put it in your coat? There are steps outside.",
        "Whoever hid it will come to see if it is still there. They may be on their way.",
        "There is one place left that you have not looked, and it is locked.",
        "Everything is as you found it, or near enough. Near enough for most people. Not for {other}.",
        "You have it in mind to show it to someone. {Other} would be the obvious choice. So "
        "obvious that you hesitate.",
    ),
    "move": (
        "From here you could go on to {other_place}, or wait and see who else arrives.",
        "There are two ways in, the one people use and the one they don't.",
        "Somebody has got here just ahead of you; the door is still swinging.",
        "{Stranger} steps aside to let you by, a moment later than is polite.",
        "A hand is raised to you from the far side. You do not know whose.",
    ),
    "fight": (
        "You can finish this, or you can ask who sent them. There is breath for one.",
        "{Stranger} has picked up something heavy and is looking from one of you to the other, "
        "choosing.",
        "A whistle, outside. You know what that is, and so do they.",
        '"Enough," says somebody behind you, in the voice of a person used to being minded.',
    ),
    "risk": (
        "No one has raised the alarm. It is only a question of how long.",
        "You are where you wanted to be. It has just one door, and there is a light under it.",
        "Go on, or go back while there is a back to go to?",
        'A voice says, quite close, "Did you hear that?" and another, after a moment, "No."',
    ),
    "trade": (
        '"And what else," you are asked, "since you are buying?"',
        "There is one more thing on offer. It is kept under the counter, and it has been moved to "
        "where you can see it.",
        "{Stranger} has watched all this, and now makes you an offer for it, at once, at double.",
        'You turn to go. "{Other} paid more," says somebody, "for the same."',
    ),
    "know": (
        "There is somebody who knows more than this, and who would rather not be asked.",
        "It is an answer of a sort. It has a door at the back of it.",
        "You have the feeling of having been told everything but the one thing.",
        "Is that enough to act on? It will have to be, or you will have to get more.",
        "It leaves you with one thing to find out, and you know where you would begin: with {other}.",
        "That is what is known. What is guessed you would have to hear from {other}.",
        "And nobody asks why you want to know. They will be asking each other.",
        "Something about it does not add up. You could take it to {other_place} and see whether it "
        "adds up there.",
    ),
    "rest": (
        "When you look up, there is {stranger}, who has been waiting for you to finish.",
        "You have rested as long as you can afford. Now then.",
        "Somebody has put a cup by your hand while you were not looking. It is still warm.",
        "Something has changed while you were still. You can't yet say what, but it was not there "
        "before.",
    ),
}

ENTER = (
    "{Other} is here, [in talk with someone who keeps looking at the floor|a little apart, and has "
    "been for some time].",
    "You see {other} before you are seen. [It is the wrong way round, usually|It gives you the "
    "length of a breath].",
    "{Stranger} goes by with a message, and the message, from the sound of it, is for {other}.",
    "Talk stops as you come near and starts again too loudly. You catch the end of a name: {other}.",
    "{Other} crosses your path, not stopping, and gives you a look with a question folded in it.",
    "At the edge of things stands {stranger}, minding somebody's business. By the look of it, yours.",
    "Someone has been asking after you. {Stranger} tells you so, and holds out a hand for the telling.",
    "{Other} comes in by the other way, sees you, and decides after all to stay.",
    '"You\'re wanted," says {stranger}, "by {other}, and I was to say now."',
    "Something was left for you, says {stranger}, and brings it out: a parcel the size of a fist, "
    "tied with string.",
    "Two people part as you look up. One of them is {other}. The other pulls a hood down and is no "
    "one.",
    '{Stranger} sits down beside you uninvited. "Don\'t turn your head," you are told. "Who is '
    'that, over there?"',
    "There is a stir close by. {Other} has come, and is looking for somebody, and it is you.",
    "For the third time today you notice {stranger}. For the first time you are noticed back.",
)
