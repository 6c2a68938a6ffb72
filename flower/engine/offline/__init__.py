"""A narrator without an AI model: rules, phrase tables, dice, and the world's own lore.

    provider   the provider: pace and seed (I/O)       tables     the phrases and words, read from files (I/O)
    parse      what kind of line the player wrote      questions  which form of answer a question wants
    cleaning   the line without marks                  clauses    its verb, object, goal and topic
    speech_acts  what is done by saying it             stems      what the forms of a word share
    hearing    what a line tells of the player         scene      place, company, fights, replayed from the story
    facts      facts in the lore, secrets apart        names      who and what they are about
    people     who is spoken to, who is gone           recall     the sentence of the past that fits
    context    what is at hand for this reply          narration  sentences that all replies are made with
    compose    acts and their outcomes                 dialogue   conversations
    present    what is at hand, asked for
    answering  replies to questions                    events     complications, the last line of a reply
    changes    what an act changes on the sheet        summary    what has happened so far
    oracle     dice, yes and no                        restate    a question as its answer
    voice      who speaks, and how                     grammar    persons, agreement, tidy prose
    templates  phrases without repetition

Everything but ``provider`` and ``tables`` is pure.
"""
