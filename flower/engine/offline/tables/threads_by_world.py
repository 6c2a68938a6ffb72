"""Complications for one kind of world each; see ``threads``. Data only."""

from __future__ import annotations

from flower.engine.offline.tables.thread import Thread

BY_WORLD = (
    # --- coast --------------------------------------------------------------------------------------
    Thread(
        "a lantern is swinging",
        "lantern light signal answer look watch boat who swing",
        "Out past the last of the stones a lantern is swinging, low and slow, left to right and back. There is "
        "no boat under it that you can see.",
        "You give it your whole attention and it seems to feel that, for it changes: two short, "
        "one long. Then it "
        "drops straight down and the dark shuts over it like a lid. Whoever held it has let go, or "
        "been let go of.",
        "Nobody answers the lantern. After a while it goes out. A little later one just like it is lit, a good "
        "deal nearer.",
        "coast",
    ),
    Thread(
        "the water is wrong",
        "water tide sea look watch run climb high why",
        "It is the dog that notices first, and then everybody: the water is wrong. It is going out "
        "when it should "
        "be coming in.",
        "You go down as far as is wise. The sand lies bare where you have never seen sand, and on "
        "it, in a row, "
        "stand eleven posts, black and old and evenly spaced, with iron rings at the height of a "
        "wrist.",
        "Nobody goes down to look. Presently it comes back, quite gently, a hand's breadth higher than before, "
        "and takes up its place as though nothing had been seen.",
        "coast",
    ),
    Thread(
        "wet to the chest",
        "help who man ask blanket talk him stranger come sea",
        "A man comes in wet to the chest and stands dripping. He does not seem to know that it is "
        "cold. He asks "
        "what year it is.",
        "You ask him the name of his ship, since it is what one asks. He tells you. It takes a "
        "moment for somebody "
        'to say it aloud: "She went down before my mother was born." The man looks at you, only at '
        'you. "Then who '
        'has been ringing for us?"',
        "They put a blanket round him and sit him by the fire, and when next anyone looks there is "
        "the blanket, "
        "and the chair, and the wet.",
        "coast",
    ),
    Thread(
        "rung from below",
        "bell ring listen down below under where count sound",
        "A bell sounds, once. It is not from the tower and not from the water. You would say, if "
        "you had to, that "
        "it was rung from below.",
        "You put your palm to the ground and wait. It comes again, and you feel it before you hear "
        "it. There is a "
        "hollow under here, and someone in it with time on their hands. From the far side comes a "
        "scrape, and a "
        'breath, and then a voice, very hoarse: "Is it slack water yet?"',
        "People count under their breath, all of them, and stop at the same number. Then they look "
        "round to see "
        "who here did not know to count.",
        "coast",
    ),
    Thread(
        "a boat nobody owns",
        "boat look board search take row whose climb rope",
        "Knocking against the steps is a boat nobody owns. It was not there at the last light. "
        "There is bread in "
        "it, still soft.",
        "You step down into it. Under the thwart, in oilcloth, is a chart with one line drawn "
        "across it in red, "
        "from here to a place where the paper shows only water, and beside the line are times for "
        "the next three "
        "tides. The last of them is today.",
        "The boat knocks and knocks. When it stops, and you look, the painter hangs slack: it has "
        "not been untied. "
        "It has been cut, from inside.",
        "coast",
    ),
    Thread(
        "eleven candles",
        "candle candles window house count look who blow",
        "In a house that you know to be empty, somebody has set eleven candles in the seaward window.",
        "The door is on the latch. Upstairs the wax has hardly begun to run. There is a chair at "
        "the window, and "
        "on the sill, in the dust, a finger has written a time of tide, and beneath it a twelfth "
        "candle lies unlit.",
        "When you pass again the window is dark. There are eleven small rings of wax on the sill, "
        "quite cold, and "
        "the dust on them is a year old.",
        "coast",
    ),
    Thread(
        "your name on an oar",
        "oar boat name read wood take look carve",
        "An oar has come in on the tide, blade first. Burnt into the loom of it, neat and not new, "
        "is a name. It is "
        "your name on an oar from a ship you have never seen.",
        "You turn it over. On the other face is a date, and it is your own birthday, and after it "
        "the little cross "
        "that they put here for those who did not come back. {Stranger} has taken off a cap to you.",
        "Somebody picks up the oar in the end and carries it off to burn. It will not burn, you hear. It is in "
        "the back yard of an inn, propped against a wall, dripping.",
        "coast",
    ),
    Thread(
        "the gulls have stopped",
        "gull gulls bird birds look listen sky quiet silent",
        "You notice it by the ache it leaves in the ears: the gulls have stopped. They sit along "
        "every ridge, all "
        "facing in, silent as crockery.",
        "You go where they are looking. It is a yard, with a well in it, and the lid of the well "
        "has been lifted off "
        "and set down tidily to one side. A rope goes over the edge. It is moving a little, as a "
        "line does with a fish on it.",
        "All at once they go up, every one, with a noise like a sheet being torn. On the ground "
        "where the shadow of "
        "them has passed there is a single wet glove.",
        "coast",
    ),
    # --- ship ---------------------------------------------------------------------------------------
    Thread(
        "a door that should not be open",
        "door go enter look inside close through open step",
        "Ahead is a door that should not be open. Its seal was painted over before your parents met. The paint "
        "lies in curls on the deck.",
        "You go in with your hand on the frame. Beyond is a small round room with six seats, all "
        "facing inwards, "
        "and a lamp that comes on because you are there. Five of the seats have dust on them. The "
        "sixth is warm.",
        "You leave it. From then on there is a thread of cold in the air, and it smells of "
        "somewhere no one has "
        "breathed in for a hundred years.",
        "ship",
    ),
    Thread(
        "your own voice",
        "voice listen speaker answer record who play hear said",
        "The speaker in the wall crackles, and out of it, thin and a little fast, comes your own voice, saying "
        "something you have not said.",
        'You make it repeat. It is a list: numbers, a deck, a name, and then, quite clearly, "if I am hearing '
        'this I have gone through with it, so leave the sealed door alone." The date stamp on the recording is '
        "eleven days from now. Clocks have been wrong before. Have they not?",
        "Someone else has heard it. {Stranger} is looking from the speaker to you, and slowly putting two and "
        "two together in the wrong order.",
        "ship",
    ),
    Thread(
        "an extra name",
        "name list roll count who check ask read slate",
        "The roll on the wall has an extra name. It was not there at last count, and the hand that "
        "wrote it has "
        "made it look old.",
        "You trace it back through the sheets. The name draws air, water and bread, and always "
        "has; somebody has "
        "put it into every list there is for thirty years. Nobody has ever been seen to answer to "
        "it. Yesterday, "
        "for the first time, it drew a suit.",
        "Nobody remarks on it. But at the hatch two rations are handed out for it, and somebody's "
        "hand takes them.",
        "ship",
    ),
    Thread(
        "the hum has changed",
        "hum sound listen deck engine feel why go where ask",
        "It takes you a moment to know what has happened: the hum has changed. Not stopped. It has gone up, by "
        "about the width of a hair.",
        "You follow it, palm to the wall, to where it is strongest. There is a valve there with a "
        "new brass tag, "
        "and it has been opened a quarter turn. Beside it someone has pencilled a column of "
        "figures, and at the "
        "foot of the column the sum is underlined twice. It is a number of people.",
        "By the next bell everyone has a headache and no one says why. Two children are found asleep where "
        "children do not sleep.",
        "ship",
    ),
    Thread(
        "tapping in the pipe",
        "tap pipe listen answer knock code who count wall",
        "There is a tapping in the pipe. Short, short, long. It waits, as one waits for an answer, "
        "and begins again.",
        "You tap back the same. A silence; then it comes so fast that you can only catch the "
        "pattern of the end: "
        "four, four, two. It is a frame number. It is one deck under the lowest deck you have ever "
        "heard of.",
        "The tapping gets slower. At the end it is only the one knock, far apart, and then you cannot be sure "
        "that you are hearing anything.",
        "ship",
    ),
    Thread(
        "somebody else's suit",
        "suit locker open look wear tag pocket",
        "In your own locker hangs somebody else's suit. The boots are wet.",
        "You go through it. In the thigh pocket is a stub of pencil and a card of punched hours, "
        "none of them spent. "
        "The name on the collar has been picked out with a needle, stitch by stitch. The air gauge "
        "reads eleven minutes left.",
        "By the end of the shift the locker is empty again. There is a ring of damp on the floor "
        "of it, and in the "
        "damp the print of a bare foot.",
        "ship",
    ),
    Thread(
        "a window where there is none",
        "window look glass stars draw wall see touch",
        "Overnight someone has painted a window where there is none, full size, with stars. They "
        "are very good stars.",
        "You hold a slate up against it and check. They are the right stars; but not for this "
        "year. You count off the "
        "drift on your fingers. It is the sky as it will look in twelve years' time, and one of "
        "the stars is far too big.",
        "People stop in front of it on their way to work, a good many people, and do not talk. By "
        "the next bell it "
        "has been painted over. By the bell after that it is back.",
        "ship",
    ),
    Thread(
        "nobody's shift",
        "shift work door who ask plan paper crew",
        "A work party goes by, six of them with tools, quick and quiet. You look at the board. It "
        "is nobody's shift.",
        "You fall in behind with a bucket, since no one questions a bucket. They stop at a plain "
        "panel, and knock, "
        'and wait, and it is opened from within. "That\'s seven," says the one who opened it. '
        '"We said six."',
        "They come back an hour later with nothing in their hands. There are five of them.",
        "ship",
    ),
    # --- market -------------------------------------------------------------------------------------
    Thread(
        "a wrong weight",
        "weight scale coin check look merchant accuse test lift",
        "A hand slaps down on the counter: somebody has been caught with a wrong weight. There is "
        "a hush, such as "
        "comes before a beating.",
        "You take the weight and heft it. It is wrong, but the wrong way: too heavy. Whoever used "
        "it was giving "
        "more than was paid for. Who robs themselves, and whom are they paying, a pinch at a time? The accused "
        "looks at you in plain horror at having been understood.",
        "They march the poor soul off towards {other_place}. The weight is left lying. After a "
        "while {stranger} "
        "covers it with a cloth and carries it away.",
        "market",
    ),
    Thread(
        "riders at the gate",
        "rider gate look guard who go ask hide banner meet",
        "There are riders at the gate, nine of them, and they have not been let in, and they have "
        "not gone away.",
        "You get close enough to see the horses. They are tired and of one colour, and the harness has had its "
        "badges cut off. The leader is asking the sergeant for one person only, by a description. It might be "
        "{other}. It might, in a bad light, be you.",
        "The gate is opened in the end, without any order that you hear. The nine come through at a walk. Now "
        "there are only eight.",
        "market",
    ),
    Thread(
        "buy it back",
        "buy thing what take show stall look price pay whose",
        'At a stall you have passed twice there is something of yours for sale. "Found," says the '
        "seller, happily. "
        '"You can buy it back."',
        "You turn it in your hands. It is yours; there is the nick. But you had it this morning, "
        "and you can feel, "
        'through the cloth of your coat, that you have it still. "There\'s been a run on those," '
        "says the seller. "
        '"Somebody\'s paying to have them made."',
        "When you come by again it has been sold. The seller cannot say to whom, only that they "
        "tried it on, and "
        "asked how you walk.",
        "market",
    ),
    Thread(
        "the bread is free",
        "bread why who eat ask pay take baker free",
        "Word goes along the row faster than feet: the bread is free today, all of it, paid for. "
        "Nobody knows by whom.",
        "You ask at the oven. The baker shows you the purse, since you ask nicely: old silver, a "
        "king's head nobody "
        'uses now. "A gentleman said to feed them well today," says the baker, and stops smiling '
        "as it is said. "
        '"He said, today they ought to be fed."',
        "People eat, and bless the stranger, and eat. One old soldier puts his share down "
        "untouched. He has seen a "
        "town fed before, he says, and he knows what day comes after.",
        "market",
    ),
    Thread(
        "a child takes your hand",
        "child hand ask who girl boy follow go name where",
        "A child takes your hand, quite firmly, and begins to lead you off, as though it had all "
        "been arranged.",
        "You let yourself be led: under an awning, through somebody's kitchen, to a gap in a wall. "
        "The child points "
        "through it. On the other side, in a yard you did not know was there, {other} is counting "
        "out money, and "
        "the person being paid wears a guard's boots.",
        "You take your hand back. The child looks at you with great pity, as one looks at the "
        "slow, and goes to "
        "find someone else.",
        "market",
    ),
    Thread(
        "two left boots",
        "boot boots left look track print follow snow who",
        "A line of prints crosses the way, fresh and deep, and people are stepping round it. "
        "Whoever made it was "
        "wearing two left boots.",
        "You follow. The prints go up to a blank wall and stop, side by side, neat as a pair "
        "outside a bedroom. On the "
        "wall, at the height of a mouth, the stone is wet with breath.",
        "Somebody throws down straw. In a little while the prints come out from under the straw at "
        "the other end, "
        "and go on, and they are coming back.",
        "market",
    ),
    Thread(
        "pays in teeth",
        "teeth tooth coin look who bag count money take",
        "At the next stall a customer with a scarf to the eyes counts something out upon the "
        "cloth. The seller goes "
        "grey. The customer pays in teeth.",
        'You bend close. They are old and brown and each has a number inked on the root. "They '
        'are good," says the '
        'customer mildly. "They were good when your people took them in pledge. I have been a '
        'long while on the road."',
        "The sale is made. What was bought, you see as the scarf goes by, is a child's whistle. "
        "After dark somebody "
        "blows it outside the walls, once at each corner.",
        "market",
    ),
    Thread(
        "an oath come due",
        "oath knot wrist cord untie help ask who",
        "A man sits down in the middle of the way with his hand held out before him, staring at "
        "it. The cord round "
        "his wrist is drawing tight, by itself. It is an oath come due.",
        'You kneel and ask him what it was he swore. "To tell the next person who was kind to '
        'me," he gets out. The '
        'cord lets go at once. He looks at it, and at you, in terror. "Then I must. It was '
        '{other} who paid for it."',
        "They bring a knotwife to him, and she looks and shakes her head. It is his right hand, he "
        "says, over and "
        "over. He needs that one. He only lied the once.",
        "market",
    ),
    # --- wild ---------------------------------------------------------------------------------------
    Thread(
        "a fire ahead",
        "fire go look approach who smoke near watch hide",
        "There is a fire ahead, small and well made, of the kind that does not smoke. No one is "
        "sitting at it.",
        "You come up to it with open hands. A pot is on, and two bowls are laid out, and the "
        "second one is turned "
        'towards you. "Eat first," says somebody among the trees. "It is easier to hear bad news '
        'when you are fed."',
        "You go round. An hour later there it is again before you, small and well made, and now a "
        "third bowl is out.",
        "wild",
    ),
    Thread(
        "it has stopped when you stopped",
        "what listen beast look follow turn wait see run",
        "Something has been walking beside you, off in the cover. You know it because it has "
        "stopped when you stopped.",
        "You turn to face it and speak, softly, as to a horse. After a long while it comes out as far as its "
        "shoulders: grey, lean, one ear gone. Round its neck is a collar, and on the collar hangs "
        "a key.",
        "You keep on, and it keeps on. At the edge of dark it gives one short bark, as if it had "
        "said all that it "
        "came to say, and there are answers from three sides.",
        "wild",
    ),
    Thread(
        "a marker stone",
        "stone look read mark touch letters dig",
        "The path goes round a marker stone that is older than the path. Someone has put fresh "
        "flowers by it.",
        "You clear the moss with your thumb. There are names, a column of them, the topmost worn "
        "to nothing and the "
        "last one sharp as new bread. There is a space beneath it, smoothed and ready, about as "
        "long as yours.",
        "You pass it by on the left, because the path does. By evening you come to it again, from "
        "the other side, "
        "and the flowers have been taken.",
        "wild",
    ),
    # --- city ---------------------------------------------------------------------------------------
    Thread(
        "a phone begins to ring",
        "phone answer pick call ring who voice listen",
        "Close by a phone begins to ring. Nobody moves. One after another, people turn and look at "
        "you.",
        "You pick it up. Breathing, traffic, and then a voice that has been told to be quick: "
        '"They moved it. Not '
        'the place, the time. And they know about {other}." There is a click, and the smell, from '
        "nowhere, of gas.",
        "It rings out. In the silence somebody says, to no one, that this was the third time it "
        "has rung today.",
        "city",
    ),
    Thread(
        "the same car",
        "car look plate driver who go walk approach window",
        "Across the way stands the same car as before, engine running, one hand on the wheel and a "
        "ring on the hand.",
        'You walk straight up and knock on the glass. It comes down an inch. "You\'re early," says '
        "the driver, and "
        'passes out an envelope. "I was told to wait until you had found it." Found what? But the '
        "glass is up.",
        "You do not look at it again. When you turn the corner so, slowly, does it.",
        "city",
    ),
    Thread(
        "a photograph of you",
        "photograph picture look who back turn date take",
        "On the wall among the others, curling at one corner, is a photograph of you. You have "
        "never been here.",
        "You take it down. On the back is a date, next month, and a price. Below it somebody has "
        "added in biro: "
        "half in advance. It is {other}'s writing, or a good try at it.",
        "You leave it where it is. On your way out you see that the nail is bare.",
        "city",
    ),
)
