"""How acts begin and turn out. Data only; see ``picker`` for the template language.

Slots: {act} fits behind "you", {object} a noun phrase with its article, {place} a named place,
{find} a thing found, {stranger} somebody without a name, {other} a named person.
"""

from __future__ import annotations

LOOK = (
    "You take your time over {object}.",
    "{Object:rewards} a second look, and then a third.",
    "You let your eyes [settle on|come to rest on] {object} and wait for {it} to stop being ordinary.",
    "From here {object:shows} more than anyone meant to show.",
    "You look at {object} the way a buyer does, hunting for the flaw.",
    "You look, [properly this time|and go on looking], until the small things come forward.",
    "You stand still and let the place [come to you|show itself].",
    "Nobody minds you looking. Nobody, you notice, looks back.",
    "You take stock, left to right, near to far, [as you were once taught|an old habit].",
    "It takes a moment before the eye sorts it into parts.",
    "You give it the kind of look that costs nothing and is seldom refused.",
    "You go slowly from one thing to the next, as one reads a letter in a hard hand.",
    "What you notice first is what you were meant to. So you leave that, and look beside it.",
    "You crouch, and the whole of it changes: from down here there is dust, and there are tracks in the dust.",
    "You shut one eye, as your grandfather did when a horse was for sale.",
    "There is a great deal to see, and nearly all of it is on purpose.",
    "You look up. People forget to tidy what is over their heads.",
    "At the second look there is more of it, and at the third a little less.",
)

DETAIL = (
    "One thing is newer than everything around it, and somebody has taken trouble to dirty it.",
    "There are marks at knee height, where a person has gone past many times carrying something heavy.",
    "The dust is wrong. It lies thick on everything but one corner, and that corner is where a "
    "hand would go.",
    "Somebody has scratched four short lines and a fifth across them, then stopped counting.",
    "It has been mended, and mended well, by someone left-handed.",
    "A piece of thread has been tied across at ankle height. It would only tell its owner one "
    "thing: that you came by.",
    "It is warm to the touch where it should be cold.",
    "Set a little to one side is a cup, half full, still giving off a breath of steam.",
    "Somebody has written a name there and somebody else has rubbed it out. The first letter is left.",
    "All of it faces one way, like chairs turned towards a speaker who has just gone.",
    "It is cleaner than it needs to be. In places it has been scrubbed down to the grain.",
    "There is a gap exactly the size of a hand, and the edges of the gap are polished by use.",
    "What you took for a stain has an edge too straight for an accident.",
    "Two of them match. The third is a very good copy.",
    "Underneath, where nobody was meant to look, runs a row of small neat numbers.",
    "It has your attention because of what it lacks: there is no sign of anyone having left.",
    "Somebody has sat here long enough to wear a shine, and always turned the same way.",
    "There is a second nail beside the nail, bright, with nothing on it.",
    "A smear of wax shows where a light was held close, at about the height of your eyes.",
    "The left side has been handled much more than the right.",
    "There is chalk on it, three small strokes, of the sort that mean something to one person.",
    "It is not old. It has been made to look so by somebody with patience and tea.",
)

CLUE = (
    "There is a name on it, small, in a good hand: {other}.",
    "It has to do with {other}. You could not say how you know; the knowledge is simply there, "
    "like a smell.",
    "Two things about it stay with you. It is worth more than it looks, and it came from "
    "{other_place}.",
    "You have seen its like only once, and {other} was wearing it.",
    "A corner is folded down at one line, and the line speaks of {other}.",
    "Somebody at {other_place} will be missing this.",
)

MOVE = (
    "You {act}.",
    "You {act}, [and nobody stops you|without hurrying|and the way is shorter than you thought].",
    "You {act}, [minding your feet|keeping to the edge of things|with the feeling of being counted].",
    "It is easy enough to {act}. [Easier than it should be, perhaps|The hard part is arriving].",
    "So you {act}, and leave what was here to manage without you.",
    "You {act}. [It is farther than it was the last time|It takes less time than making up your mind to].",
    "You {act}, and the talk changes as you pass, and changes back behind you.",
    "You {act}. On the way you are greeted twice and stared at once, which is about usual.",
    "You {act}, counting your steps for no reason you could give.",
    "You turn your collar up and {act}.",
    "There is no good time for it, so you {act} now.",
)

MOVE_PLAIN = (
    "You go, and the place you were in closes behind you like water.",
    "A few minutes' walk, no more, but the air is different at the end of it.",
    "You set off. Twice you have the sense of somebody keeping pace, and twice there is nobody.",
    "The way takes you past shut doors and one that opens a crack as you go by.",
    "You keep walking until things begin to look as if they were meant for other people.",
    "You get moving. It helps, as it mostly does.",
    "You take the way that looks less used, since you have the time, and someone may not want you to have.",
    "One turn, and another, and you are elsewhere.",
)

ARRIVE = (
    "{Place} is [quieter than|not quite as] you had pictured it.",
    "So this is {place}, [nearer and plainer than the talk about it|whatever they say of it "
    "elsewhere].",
    "{Place} lies before you, [going about its business|giving nothing away].",
    "You know {place} when you come to it. [Everyone does|It could hardly be anything else].",
    "Here {place} begins. There is no line on the ground, but people walk differently on this side.",
    "{Place}, then. You have heard it described so often that the real thing looks like a copy.",
    "You come out at {place} with the light behind you, which is lucky, as you see before you are seen.",
    "There is no mistaking {place}. There is only the question of what it is doing so quiet.",
)

USE_WORKS = (
    "You {act}, [a little clumsily|on the second try|with more care than it needs].",
    "You {act}, [and that is that|and nobody tells you not to].",
    "It takes [both hands|some patience|a few words you would not use in company], but you {act}.",
    "You {act}, and stand back from it.",
    "You {act}. It is a small thing, and it has been noticed.",
    "So you {act}. It goes more easily than you had feared.",
    "You {act}. If it was meant to be hard, whoever meant it did not know you.",
    "You {act}, and wait for something to go wrong, and it does not, yet.",
    "You {act}, humming, so as to look like somebody who does this every day.",
)
# Acts that ask for an answer of their own.
BY_VERB = {
    "open": (
        "You {act}. Stale air comes out to meet you, and a smell of [camphor|cold ash|old paper], "
        "and then you can see in.",
        "You {act}, just far enough. Nothing moves inside, which is not to say that there is "
        "nothing there.",
        "You {act}. Somebody has oiled the hinges, and lately.",
    ),
    "unlock": (
        "You {act}. The lock turns over like a sleeper, and lets you by.",
        "You {act}. It needed no more than a lean; it has been opened often, and by someone in a "
        "hurry.",
    ),
    "knock": (
        "You {act}. Inside, a chair is pushed back. Then nothing, for exactly as long as it takes "
        "to stand and listen.",
        'You {act}. "Who is it?" says a voice, and then, before you can reply, in another tone, '
        '"Who is it really?"',
        "You {act}, and something falls over within, and is set upright. Feet come towards you, "
        "stop, and shift.",
    ),
    "hide": (
        "You {act}, and step back, and look. You would never know. You hope that nobody else will.",
        "You {act}, quickly, and are doing something else by the time anyone could have turned round.",
        "You {act}. You fix the place in your mind: what is above it, what is left of it, how the "
        "light falls.",
    ),
    "light": (
        "You {act}. The corners draw back, and one of them turns out to be farther off than you "
        "thought.",
        "You {act}, and at once you are the easiest thing to see for some way round.",
    ),
    "write": (
        "You {act}. In ink it looks more certain than it did in your head.",
        "You {act}, and blot it, and read it through. One word of it is a lie. You leave it in.",
    ),
    "close": (
        "You {act}. It shuts off more than you thought it would: you had not known how much you "
        "could hear.",
        "You {act}, softly, and feel the place become a room.",
    ),
    "lock": ("You {act}, and try it, and try it again. It would stop most people.",),
    "cook": ("You {act}. For a while there is no world but heat and salt and hunger.",),
    "help": (
        "You {act}. It is taken with a stare, and then with both hands.",
        "You {act}. Nobody thanks you; they are too busy being surprised.",
    ),
    "burn": ("You {act}. It catches at one corner, thinks about it, and goes all at once.",),
    "wake": (
        "You {act}. The eyes open before the face does, and for a moment there is nobody in them.",
    ),
    "read": (
        "You read it once for the sense and once for what has been left out.",
        "You read with a finger under the line. The hand is neat up to the last third, and after "
        "that it hurries.",
    ),
    "listen": (
        "You stand and make yourself into an ear.",
        "You listen past the near noises to the far ones, and past those.",
        "You hold your breath, and the talk nearby comes clear, as if a door had been opened on it.",
    ),
    "smell": ("You breathe in slowly, through the nose, with your eyes shut.",),
    "taste": (
        "You try it on the tip of your tongue. Bitter, then sweet, then a thing you have no word for.",
    ),
    "sleep": (
        "You sleep, and dream of a long stair and someone counting. When you wake it is later than you meant, "
        "and the counting goes on for a moment after the dream has gone.",
        "Sleep comes like a hand laid over your eyes. In the night you wake once, sure that someone has just "
        "stopped speaking. In the morning there is a cup by the bed that was not there.",
        "You sleep badly and then, towards the end, too well. Somebody has been in: your coat "
        "hangs on another nail.",
    ),
    "eat": (
        "You eat. It is plain and hot, and there is nearly enough.",
        "You eat slowly, with your back to something solid, watching who watches.",
    ),
    "drink": (
        "You drink. It is stronger than it smells, and it smells like a warning.",
        "You drink, and set the cup down, and find that it has been filled again.",
    ),
    "pray": (
        "You pray, or do whatever it is you do that has that shape. Nothing replies. It is a "
        "listening sort of nothing.",
    ),
    "follow": (
        "You {act}, a street's length back, stopping when there is a stop.",
        "You {act}. Once there is a look over the shoulder, and you become very interested in a wall.",
    ),
}

USE_MORE = (
    "You {act}, and get more than you asked for. Underneath is {find}.",
    "You {act}. It opens more than you meant: there is a space behind, and in the space {find}.",
    "You {act}, and as you do, {find} drops out and lies at your feet as though it had been waiting.",
)
USE_TROUBLE = (
    "You {act}, and it sticks, gives, and comes away in your hand.",
    "You {act}. It works, but with a noise that carries, and somewhere near a door opens in answer.",
    'You {act}, or nearly. {Stranger} puts a hand on your wrist, not hard. "I would not," says the '
    "owner of the hand.",
)

TAKE = (
    "You {act}. It is heavier than it looks, [and colder|and somebody's thumb has worn a place in it].",
    "You {act}, and nobody cries thief. [It makes you wonder whose it is|Not yet].",
    "It comes away easily. You {act}, and leave a clean shape in the dust to say so.",
    "You {act}. There, now it is yours, with whatever comes attached.",
    "You {act}, and it is as if it had been waiting for a pocket.",
    "You {act}. Turned over, it has another side, and the other side is the interesting one.",
    "You {act}, quickly, as one takes a last biscuit.",
)

TRADE = (
    "The business is done in the usual way: a price, an insult, a silence, a lower price.",
    "You put your side of it on the table and keep a hand on it.",
    "There is a pause in which you are weighed, and not by the pound.",
    "You {act}. The other side looks at it longer than it deserves.",
    "You {act}, [and try to look like someone who could walk away|without saying what it is worth "
    "to you].",
)
HAGGLING = frozenset({"haggle", "bargain", "bribe", "sell", "bet", "barter", "trade"})  # needs luck
TRADE_WORKS = (
    "It is a fair bargain. Nobody is happy, which is how you can tell.",
    "It changes hands without a word, and is yours.",
    "There is change from it, counted into your palm twice, the second time more slowly.",
    "You have it. It is exactly as good as it looked, which is rare, and makes you look again.",
    "Done. A thumb is licked, a mark is made, and the matter is written down somewhere for good.",
    "You get what you came for and one thing more: a look that says the price will be remembered.",
    "The thing changes hands. So, in the next breath, does a piece of news you did not pay for.",
)
TRADE_STUCK = (
    "It is not enough. It may be that no money would be; something else is wanted, and you are "
    "meant to guess.",
    "The price goes up while you are speaking. Somebody else has been asking for the same thing.",
    "You are turned down politely, the way one turns down a person one means to see again.",
)

REST = (
    "You {act}, and for a while nothing is asked of you.",
    "You {act}. An hour goes by, or the part of one that matters.",
    "You {act}, and let the day drain out through your heels.",
    "You give it time. It is the one thing you have not tried.",
    "You {act}. It is astonishing how loud a place becomes when you stop adding to it.",
    "You {act}. Your shoulders come down from where you had been keeping them.",
    "You {act}, and the hour goes on without needing you in it.",
    "For a while you do nothing, and do it well.",
)

THINK = (
    "You turn it over [slowly|once more], looking for the side that opens.",
    "You hold still and let the pieces drift. Two of them touch.",
    "The thought comes, is looked at, and does not go away again.",
    "There is something you have been stepping around. You stop stepping around it.",
    "You lay it out in your mind in the order it happened, which is not the order you heard it in.",
    "Put simply, somebody wants something and somebody else is in the way. It remains to see which "
    "of them you are.",
    "You follow it back, from what happened to what must have happened before that.",
    "It will not lie flat. Whichever corner you press down, another comes up.",
    "You try believing it, to see how that feels, and then you try not.",
)

STATE = (
    "It is true, and saying it makes it a little heavier.",
    "That goes with you into whatever comes next. It would show, to anyone who knew where to look.",
    "You have not put it so plainly before, even to yourself.",
    "There it is, then. The place takes no notice, but you do.",
    "A thing like that changes how a person stands. {Stranger} nearby has seen it change.",
    "You let that stand. It has been standing for some time without being let.",
    "It shows in how you hold your hands, if nowhere else.",
    "Well, there are worse things to be sure of.",
)

OTHER = (
    "You {act}, and see what comes of it.",
    "You {act}. It is not what anyone expected, [least of all you|and for a moment no one has a "
    "face ready for it].",
    "You {act}, and the moment bends a little to make room.",
    "You {act}. A few heads turn, and not all of them turn back.",
    "You {act}, with your whole heart or near it.",
    "You {act}. It will be talked about, in a small way, among people who have little else.",
    "You {act}, and a thing that was about to happen does not, or happens somewhere else.",
    "So you {act}. It seemed a stranger idea before you did it.",
)
OTHER_PLAIN = (
    "You do it, and the moment bends a little to make room.",
    "It is done almost before you have decided on it.",
    "It has an effect, though not where you were looking.",
    "That gets you a long look from {stranger}, and then a nod, as if it settled something.",
    "For a breath or two nothing answers. Then, all at once, everything seems to.",
    "You give it a try. Stranger things have worked here.",
)

CONTINUE = (
    "You wait, and the story does not.",
    "Time moves up a notch.",
    "You let it come.",
    "A minute passes, and it is a different sort of minute from the last.",
    "Nothing is decided, so things begin to decide themselves.",
    "What was going to happen anyway now happens.",
    "The hour gives a sort of lurch and goes on.",
    "Nobody waits for you to decide.",
    "Things have been moving behind your back, and now they come round in front.",
    "For a while it is enough to let it happen.",
)
