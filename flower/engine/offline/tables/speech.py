"""What people say, by register. Data only; see ``picker`` for the template language.

Slots: {name} {they} {them} {their} of the speaker, {topic} what was asked about, {fact} a whole
sentence, {fact_said} the same ready to stand in quotes before a tag, {other} another name.
Lines are quoted speech with or without a tag, so that paragraphs can be made of them directly.
"""

from __future__ import annotations

ByRegister = dict[str, tuple[str, ...]]

REGISTERS = ("plain", "dry", "warm", "formal", "blunt")

GREET: ByRegister = {
    "plain": (
        '"There you are," {name} says, as if the appointment had been made weeks ago.',
        '{Name} nods. "Sit if you like. Stand if you don\'t trust the chairs."',
        '"Morning, or whatever it is," {name} says, and makes room.',
        '{Name} looks you over, head to boots, and seems content with the sum. "Well met, then."',
    ),
    "dry": (
        '"Ah," {name} says. "The day improves. Slightly."',
        "{Name} inclines {their} head a finger's breadth. \"I had nearly given you up. It was "
        'restful."',
        '"You again," says {name}, with something that a kind person would call a smile.',
        '"If it\'s money, I have none," {name} says. "If it\'s news, sit down."',
    ),
    "warm": (
        "{Name}'s face opens. \"Look at you. Have you eaten? No, don't answer, I can see.\"",
        '"Oh, good," {name} says, and takes your hand in both of {theirs}. "I was hoping for a '
        'friendly step."',
        '"Come in out of it," {name} says, though you are both already in.',
        '{Name} laughs for no reason but the sight of you. "Of all people. Of all days."',
    ),
    "formal": (
        '"You are expected," says {name}, "in the sense that nothing surprises me any longer."',
        '{Name} rises, bows the exact amount, and sits again. "Please. State your business."',
        '"Good day to you," says {name}. "I trust the road was no worse than its reputation."',
        "{Name} puts aside {their} work, squares it to the edge of the table, and gives you "
        "{their} whole attention.",
    ),
    "blunt": (
        '"What," says {name}. It is not quite a question.',
        '{Name} does not look up. "You\'ve got as long as this takes me."',
        '"Talk," {name} says. "Quick is better."',
        '"I know that face," says {name}. "That\'s the face of somebody who wants something."',
    ),
}

# After something the player claims or tells.
CLAIM: ByRegister = {
    "plain": (
        '{Name} lets that settle. "All right. I believe you. I\'m not sure it helps."',
        '"Is that so," {name} says, and for once it sounds like a real question.',
        '"You\'re the second person to tell me that this week," says {name}. "The first one left '
        'in a hurry."',
        '{Name} repeats it under {their} breath, to see how it sounds. "Then we had better think."',
        '"I\'d say that quieter," {name} says, and looks at the door.',
    ),
    "dry": (
        '"I shall have it embroidered on something," says {name}.',
        '{Name} raises one eyebrow, holds it there, and lowers it again. "Go on."',
        '"You say that as though it were good news," {name} says.',
        '"Noted," says {name}. "Along with the rain, the rates and the price of candles."',
        '{Name} applauds, twice, without noise. "And what does one do with a thing like that, once '
        'it is said?"',
    ),
    "warm": (
        "{Name} listens with {their} head on one side, all the way to the end. \"I'm glad you said "
        'it to me."',
        '"Well," says {name} softly. "Well. That explains your face when you came in."',
        '"You carry that about with you?" {name} says. "Put it down a minute. Here."',
        '{Name} nods several times. "My own people were the same. Say the rest, when you can."',
        '"I\'ll not repeat it," says {name}, "and you can hold me to that."',
    ),
    "formal": (
        '"I have heard you," says {name}. "I would ask you to consider who else has."',
        '{Name} is silent long enough to count. "That alters matters. Not in your favour, I think."',
        '"Thank you for your frankness," {name} says. "It is rarer here than silver."',
        '"I shall proceed as though that were true," says {name}. "Kindly make sure that it is."',
        '"So," says {name}, and writes nothing down, which is worse.',
    ),
    "blunt": (
        '"And?" says {name}.',
        '"Prove it," {name} says.',
        '{Name} looks at you for the first time as if you might be some use. "Huh."',
        '"Say that to the wrong person and you\'ll be finding your teeth by feel," says {name}.',
        '"Good. Then stop talking and do something about it," {name} says.',
    ),
}

REQUEST: ByRegister = {
    "plain": (
        '"I could," {name} says slowly. "What do I tell them when they ask me why?"',
        '{Name} weighs it. "Half of that I can do today. The other half needs someone braver."',
        '"Yes," says {name}, too quickly, and then has to think about what it means.',
    ),
    "dry": (
        '"And in return I receive your good opinion?" says {name}. "I have a drawer full of those."',
        '"I\'m told I am generous," {name} says. "I have never met the person who says so."',
        '{Name} counts something off on {their} fingers, and runs out. "Very well. Against my habits."',
    ),
    "warm": (
        '"You only had to ask," {name} says, and is already reaching for {their} coat.',
        '"For you, yes," says {name}. "But you\'ll tell me the reason afterwards, all of it."',
        '{Name} hesitates, and you see what it costs. "I will. Give me a moment to be frightened '
        'first."',
    ),
    "formal": (
        '"It can be arranged," says {name}. "There is a procedure. There is also a shorter way."',
        '"You understand that I cannot be seen to agree," {name} says, and moves the key an inch '
        "towards you.",
        '{Name} inclines {their} head. "Once. I should not like it to become a custom."',
    ),
    "blunt": (
        '"What\'s it worth?" says {name}.',
        '"No." {Name} waits. "You didn\'t even argue. Now I\'m curious. Maybe."',
        '{Name} swears, not at you. "Fine. But if it goes bad, you dragged me."',
    ),
}

THREAT: ByRegister = {
    "plain": (
        '{Name} goes white, and then, which is worse, calm. "You\'d better be ready to do it, then."',
        '"You don\'t want to start that here," says {name}. Around you, talk has stopped.',
        "{Name} takes one step back and finds there is no second step to take.",
    ),
    "dry": (
        '"Oh dear," says {name}. "And on such short acquaintance."',
        "{Name} looks at your hands, then at your eyes, and yawns. Only the knuckles give it away.",
        '"I have been threatened by professionals," {name} says. "You hold your shoulders wrong."',
    ),
    "warm": (
        '"You don\'t mean that," {name} says. {They:wants} it to be true so badly that it nearly is.',
        '{Name}\'s smile goes out like a lamp. "I fed you," {they:says}, wondering.',
        '"Who has been at you, to make you talk like this?" says {name}.',
    ),
    "formal": (
        '"I will do you the courtesy of not having heard that," says {name}. "Once."',
        '{Name} stands. {They:is} taller than you had thought. "There are witnesses," {they:says}, '
        '"and I know all their names."',
        '"Consider your next sentence as though it were to be read out," {name} says.',
    ),
    "blunt": (
        '"Try it," says {name}, and shifts {their} weight.',
        "{Name} laughs, a short bark, and puts down what {they:is} holding so as to have both hands.",
        '"Better people than you," {name} says. "All of them are in the ground or owe me money."',
    ),
}

THANKS: ByRegister = {
    "plain": (
        '"Thank me when it has worked," {name} says.',
        '{Name} shrugs, pleased. "It was little enough."',
    ),
    "dry": (
        '"Don\'t spread it about," says {name}.',
        '"I\'ll add it to the account," {name} says, not unkindly.',
    ),
    "warm": (
        '"Away with you," {name} says, and goes pink.',
        '{Name} squeezes your shoulder. "Any time. Any hour."',
    ),
    "formal": (
        '"The obligation is noted and discharged," says {name}.',
        '{Name} bows. "It was correct. That is enough."',
    ),
    "blunt": ('"Yeah, yeah," says {name}.', '"You owe me, then," says {name}. "I do keep count."'),
}

SORRY: ByRegister = {
    "plain": (
        '"It\'s done," says {name}. "Help me with what comes after it."',
        "{Name} looks away until {they:has} finished being angry. It takes a while.",
    ),
    "dry": (
        '"I\'ll frame it," says {name}, but something in {their} shoulders has come down.',
        '"Apologies are free," {name} says. "I notice you brought no flowers."',
    ),
    "warm": (
        '"I know you are," says {name}. "I knew before you did."',
        '{Name} waves it off, eyes wet. "Enough. Come here."',
    ),
    "formal": (
        '"Accepted," says {name}, after due thought. "Repaired is another matter."',
        '{Name} nods once. "You might say it to the person it concerns."',
    ),
    "blunt": (
        '"Don\'t be sorry, be better," says {name}.',
        "{Name} grunts. From {them} it is nearly an embrace.",
    ),
}

BYE: ByRegister = {
    "plain": (
        '"Mind how you go," {name} says. "I mean that as advice."',
        "{Name} lifts a hand. {They:is} still watching when you look back.",
    ),
    "dry": (
        '"Do come again," says {name}. "Bring somebody interesting."',
        '"Leaving while you\'re ahead," {name} says. "A novelty."',
    ),
    "warm": (
        '"Take this for the way," says {name}, and will hear no argument about what is in the cloth.',
        "{Name} holds on a moment longer than goodbye needs.",
    ),
    "formal": (
        '"Until the next occasion," says {name}. It sounds like a date already set.',
        "{Name} sees you to the door, as is proper, and stands in it, as is not.",
    ),
    "blunt": ('"Go on, then," says {name}.', "{Name} has already turned {their} back."),
}

AGREE: ByRegister = {
    "plain": (
        '"Good," {name} says, and lets out a breath. "Then it\'s the two of us."',
        '{Name} nods. "I\'ll hold you to it."',
    ),
    "dry": (
        '"Splendid," says {name}. "I do enjoy being agreed with. It never lasts."',
        '"Then we are both fools," {name} says, "which is company at least."',
    ),
    "warm": (
        '{Name} beams. "I knew it. I said so to myself as you came in."',
        '"That\'s a weight off me," says {name}. "You can\'t think what a weight."',
    ),
    "formal": (
        '"Then we have an understanding," says {name}, and offers {their} hand.',
        '"I take that as your word," {name} says. "It is now worth something. Look after it."',
    ),
    "blunt": ('"Took you long enough," says {name}.', '"Right. Move, then," says {name}.'),
}

REFUSE: ByRegister = {
    "plain": (
        '{Name} takes it well, all but the eyes. "I had to ask."',
        '"Then I don\'t know what we do," says {name}.',
    ),
    "dry": (
        '"How refreshing," says {name}. "Nobody has told me no since breakfast."',
        '"I shall ask again when you\'re hungry," {name} says.',
    ),
    "warm": (
        '"No, no, I understand," {name} says, too many times.',
        '{Name} touches your sleeve. "Think about it on the way. That\'s all I ask."',
    ),
    "formal": (
        '"That is your right," says {name}. "I wish you had used it sooner."',
        '"I shall record that you declined," {name} says. "Not everyone will be so accurate."',
    ),
    "blunt": (
        '"Suit yourself," says {name}. "You\'ll be back."',
        '{Name} leans in. "That wasn\'t the question. The question was when."',
    ),
}

GESTURE: ByRegister = {
    "plain": (
        "{Name} gives it back, a little late.",
        "{Name} watches you do it and seems easier for it.",
    ),
    "dry": ('"Eloquent," says {name}.', "{Name} regards you as one regards a clever dog."),
    "warm": (
        "{Name} answers in kind, and for a moment nobody needs to say anything.",
        '"That\'s better than talking," says {name}.',
    ),
    "formal": (
        "{Name} returns it, measured to the inch.",
        "{Name} acknowledges it and waits for the words that should follow.",
    ),
    "blunt": ('"Use your mouth," says {name}.', '{Name} squints. "That supposed to mean something?"'),
}

BY_ACT: dict[str, ByRegister] = {
    "greet": GREET,
    "request": REQUEST,
    "threat": THREAT,
    "thanks": THANKS,
    "sorry": SORRY,
    "bye": BYE,
    "agree": AGREE,
    "refuse": REFUSE,
    "gesture": GESTURE,
    "claim": CLAIM,
}

CLAIM_ANY = (
    '"Say that again," says {name}, "slowly."',
    "{Name} takes that in without any change of face, which must have taken practice.",
    '"And you came to me with it," says {name}.',
    '"Then things are further along than I thought," {name} says.',
)
