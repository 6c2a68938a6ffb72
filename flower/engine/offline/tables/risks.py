"""How acts turn out that dice decide: searches, fights, risks. Data only; slots as in ``acts``."""

from __future__ import annotations

SEARCH = (
    "You go over {object} [a hand's breadth at a time|patiently, corner by corner].",
    "You [start at the edges|begin where you would have hidden it] and work inward.",
    "It is slow work, and you do it [without a sound|properly]: lift, look, put back.",
    "You turn out {object} and put it all back as it was, nearly.",
    "You search the way thieves do, [low places first|bottom drawer to top, so as not to close any].",
    "You put your hands where your eyes won't reach.",
    "You begin with what is dusty and go on to what is not.",
    "You lift what can be lifted and tap what cannot.",
    "You think of where a careful person would put it, and then of where a frightened one would.",
)

SEARCH_STRONG = (
    "And there it is: {find}. [It was not hidden so much as kept|Whoever put it there meant to "
    "come back].",
    "Your fingers find the edge before your eyes do, and then it is in your hand, {find}.",
    "Behind the obvious thing is the real one: {find}.",
    "You are about to give up when something shifts, and you draw out {find}.",
    "It takes a while. It is worth a while: {find}, wrapped in a rag gone stiff with age.",
    "What you find is not what you were looking for. It is better. It is {find}.",
)

SEARCH_MIXED = (
    "You come away with {find}, and with the certain knowledge that you were heard.",
    "There is {find}. There is also, quite clear in the dust, the print of your own hand where you "
    "leaned.",
    "You find {find}, but something gives with a crack as you pull it free, and there is no hiding "
    "that.",
    "{Find}. You have it. The hiding place will not close again, however you press.",
    "You find the place where a thing was kept, and only {find} left behind in it by somebody in a "
    "hurry.",
)

SEARCH_MISS = (
    "Nothing. It is a thorough sort of nothing, and someone has been here ahead of you to make it so.",
    "You find dust, and string, and a button, and at the end of it {stranger} in the doorway "
    "asking if you have lost something.",
    "There is nothing there, and by the time you are sure of it you have been at it far too long.",
    "Whatever it was, it has gone, and not long since: the place where it lay is still a different "
    "colour.",
)

FIGHT_STRONG = (
    "You {act}, and it is over before it has properly become a fight. {Foe} goes down on one knee "
    "and stays there, breathing.",
    "You are quicker. You {act}, something breaks that is not yours, and {foe} gives ground all at "
    "once.",
    "There is a moment to stop and you do not take it. When the moment is past, {foe} is on the "
    "floor and the room belongs to you.",
    "You do it cleanly, the way it is done when there is no anger in it. {Foe} looks more "
    "surprised than hurt.",
)

FIGHT_MIXED = (
    "You {act}, and you both pay. {Foe} reels; so do you, with a hot line opening along your forearm.",
    "It lands, but {foe} has hold of your sleeve and takes you along. You get up first. Only just.",
    "You win the yard of ground you wanted and lose something doing it: your balance, your temper, "
    "the element of surprise.",
    "You {act}. {Foe} backs off out of reach, bleeding a little, smiling a little, and calls out "
    "to somebody you can't see.",
)

FIGHT_MISS = (
    "You {act}, or begin to. {Foe} is not where you left {foe_them}, and then the wall is much "
    "nearer than it was.",
    "It goes wrong in the first half second. You are down, there is grit in your teeth, and {foe} "
    "is standing on your good hand.",
    "{Foe} has done this before. You learn it in the ribs.",
    "You swing at where {foe} was. What comes back takes your breath, your footing, and for a "
    "moment the sound out of the world.",
)

FIGHT_AFTER = (
    "People have stopped to see. Nobody has stopped to help, either side.",
    "In the quiet afterwards you can hear your own heart and somebody running, away or towards.",
    "Whatever this was about, it is about something else now.",
    "It will be all over the place by nightfall, with your name in it.",
    "There is time for one more thing before others come. One.",
)

RISK_STRONG = (
    "You {act}, and it goes as it goes in the telling: no noise, no slip, no witness.",
    "Your body knows the way of it before you do. You {act}, and there you are on the far side of "
    "it, alone and unseen.",
    "One breath, one movement, done. You {act} and not so much as a shadow objects.",
    "It should not have worked. You {act} all the same, and luck, for once, keeps her end of the "
    "bargain.",
)

RISK_MIXED = (
    "You {act}, mostly. Something of yours stays behind: a thread, a footprint, a word you should "
    "have kept.",
    "You {act}, but it costs time you had not meant to spend, and the way back is no longer the "
    "way you came.",
    "It holds long enough. You {act}, and behind you something topples, rolls, and goes on rolling.",
    "You {act}. The one witness is {stranger}, who has not decided yet what to do about you.",
)

RISK_MISS = (
    "You {act}, and there is a moment in which it might still go well. Then there is the next moment.",
    "You misjudge it by the width of a hand. The noise seems to go on for a very long time.",
    "It goes wrong, plainly and in front of {stranger}.",
    "You are halfway when you see that halfway is as far as it goes. There is no good way back, "
    "either.",
)

DICE_WORK = (  # before a reply to a line that is no act, when the player's dice fell well
    "It works, and better than it had any right to.",
    "It comes off, cleanly, and there is a moment of surprise before you trust it.",
    "That goes your way. You would not have bet on it.",
)

DICE_FAIL = (
    "It does not work, and it is not the kind of failure that nobody notices.",
    "It goes wrong, and it costs you: there is a sound, a pain, and then a silence in which you count "
    "what is left.",
    "No. It slips from you, and something that was open a moment ago is open no longer.",
)
