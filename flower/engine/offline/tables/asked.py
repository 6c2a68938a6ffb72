"""Answers to questions: fate, knowledge, memory, dice. Data only; see ``picker`` for the language.

Slots: {restated} the question as a statement, {fact} {telling} {fact_lc} from the lore, {memory}
{memory_lc} {memory_quoted} from the past, {other} {other_place} names to go on with.
"""

from __future__ import annotations

DICE_HIGH = (
    "High enough. Whatever you were trying, it goes your way, and a little further than you meant.",
    "The dice are kind. Say what it was for, and have it.",
    "That would do it, with room to spare.",
)
DICE_MIDDLE = (
    "Neither one thing nor the other. You get it, but there is a bill.",
    "It will serve. Somewhere in it there is a catch, and you will know it when it closes.",
    "Enough to go on with, not enough to boast about.",
)
DICE_LOW = (
    "Low. Whatever leaned on that throw is already beginning to slide.",
    "The dice have no love for you just now. Something goes the other way.",
    "Not that, then. And the failing of it makes a sound.",
)

ORACLE = {
    "yes_and": (
        "Yes, and more than that. {restated} [It is not even hidden|You would have seen it sooner "
        "had you been looking up].",
        "{restated} It goes further than you asked, too.",
        "Yes. So much so that you wonder who wanted it that way.",
    ),
    "yes": (
        "Yes. {restated}",
        "{restated} There is no doubt about it, once you look.",
        "It is so. You check, and check again, and it goes on being so.",
        "Yes, as far as you can tell, and you can tell pretty far.",
    ),
    "yes_but": (
        "Yes, though not in a way that helps you. {restated}",
        "{restated} But there is a condition, and you will not like it.",
        "Yes, just barely, and not for long.",
        "It is so for the moment. The moment is not going to last.",
    ),
    "no_but": (
        "No. {restated} Still, something near it will serve.",
        "Not quite. {restated} But the next best thing is close at hand.",
        "No, but you see at once why you thought so, and that is worth having.",
    ),
    "no": (
        "No. {restated}",
        "{restated} It is as plain as that.",
        "No. You look for a way round the answer and there is none.",
        "It is not so, whatever you were told.",
    ),
    "no_and": (
        "No, and it is worse than no. {restated}",
        "{restated} And someone has gone to some trouble to make sure of it.",
        "No. The very asking has been noticed.",
    ),
}

KNOW = (
    "{telling}",
    "You know some of it already; anybody here does. {telling}",
    "Put together from what you have overheard, it comes to this. {telling}",
    "There is an answer, and it has been in front of you. {telling}",
    "You ask around, a word here and a coin there. {telling}",
    "People will tell you, if you stand still for it. {telling}",
    "That much is no mystery. {telling}",
)
KNOW_ALSO = (
    "There is this besides: {fact_lc}",
    "And {fact_lc}",
    "Whether it belongs to the same tale or not, {fact_lc}",
    "It may mean nothing that {fact_lc}",
    "Then somebody adds, as people do, that {fact_lc}",
)
KNOW_SECRET = (
    "One thing more you get only because you happen to be standing where it is whispered. {fact}",
    "What comes next is said with the mouth hardly moving. {fact}",
    "And then there is the part people leave out. {fact}",
)
KNOW_NONE = (
    "You ask. You get four answers, no two alike, and every one of them told with a hand on the heart.",
    "Nobody can say. The curious thing is how quickly they are sure that nobody can.",
    "It is not a thing you can know from where you stand. It may be a thing you could find out.",
    "The question goes out and comes back empty. It has been somewhere, though; it smells of smoke.",
    "If there is an answer it is not lying about in the open. Someone would have sold it by now.",
    "No one has told you. It may be that no one has thought to, or that someone has thought not to.",
    "You turn it about and there is no handle on it. Not yet.",
)
KNOW_WHO = (
    "If anyone can tell you it will be {other}.",
    "The name you keep being given is {other}.",
    "They all look, without meaning to, in the direction of {other_place}.",
    "You would do well to begin with {other}, and better to begin before dark.",
)

HERE_WHERE = (
    "You look about you, to be sure of it. {scene}",
    "Where you were, unless somebody has moved it. {scene}",
    "There is only one place it could be. {scene}",
    "[In|Somewhere in] {world}, and not in the middle of it.",
    "Still in {world}, as far as anybody will say.",
)
HERE_WHO = (
    "You count heads. {companion} is one of them, and then there is {stranger}.",
    "{companion} is with you. Nearer the door stands {stranger}, who was not there before.",
    "Nobody you would call a friend, if {companion} is not one; and {stranger}, who looks away.",
    "You, to begin with. And {stranger}, making a show of being busy.",
    "Fewer people than it sounded like: you can see {stranger}, and somebody's shadow.",
)

MEMORY = (
    "You remember it well enough. {memory}",
    "It comes back to you, place and hour and all. {memory}",
    "You do not have to reach far for it. {memory}",
    "Yes: there it is, where you left it. {memory}",
    "You said it yourself, in so many words: {memory_quoted}",
    "You go back over it and it holds. {memory}",
)
MEMORY_TOLD = (
    "You can still hear how it went: {memory_quoted}",
    "It was like this, or near enough: {memory_quoted}",
    "You remember it, almost to the word: {memory_quoted}",
)
RECAP = (
    "You let it run back past you, the way one checks one's pockets.",
    "You tell it over to yourself, in order, as you would have to tell it to a judge.",
    "It can be said in a few words, which is a little alarming.",
)
RECAP_JOIN = ("Then", "After that", "Next", "And then", "Later")
MEMORY_VAGUE = (
    "You are not sure of it. The nearest thing you can find is this. {memory}",
    "It will not come clear. What comes in its place is something else. {memory}",
    "You reach for it and get hold of another thing. {memory}",
)
MEMORY_AFTER = (
    "That much you are sure of. What has happened to it since is another question.",
    "You had not thought it would matter again so soon.",
    "It seems a good while ago. It is not as long ago as it seems.",
    "You would swear to it. You hope nobody asks you to.",
    "Remembering it now, one thing strikes you that did not strike you then: who else was in earshot.",
    "There was something else, just after. It does not come.",
    "Nobody else knows that. You go over the list of people who might, and it is longer than you would like.",
    "So that is one thing you can stand on.",
)
MEMORY_NONE = (
    "You search your memory and come up with the feeling of it but not the thing.",
    "You have no clear picture of that. Either it did not happen, or you were looking the other "
    "way when it did.",
    "It slips off as you reach for it. You could swear you knew.",
    "Nothing comes. It may be that you never said it aloud, and things unsaid are the first to go.",
)
MEMORY_LINK = (
    "It puts you in mind of something. {memory}",
    "You have not forgotten: {memory_lc}",
    "Some part of you has been keeping count. {memory}",
    "Earlier words of yours come back: {memory_quoted}",
)

FOREIGN = (
    "(I follow English only, so I take that as a gesture and play on. Write in English and I can "
    "do more with it.)",
)
ASIDE_HELP = (
    "(Narrator's aside: no AI model is at work here. I play from the world's lore, what you said "
    "before, and dice. "
    "Say what you do, put speech in quotes, ask about people and places, ask yes-or-no questions "
    "of fate, or write "
    '"roll 2d6". Now, back to it.)',
    "(Narrator's aside: noted. I cannot change the rules, but I can be led: name a person or a "
    "place and I will bring "
    "it forward; ask what you remember and I will look. The story goes on when you do.)",
)
