"""A narrator without an AI model: rules, phrase tables, dice, and the world's own lore.

The way of one reply, each step in the modules it names::

    hear        parse, parse_act, clauses, questions    what the line is, its verb, object, goal, topic
                hearing                                 what it tells of the player
    understand  scene, people                           where the story is, who is spoken to, who is gone
                kinds                                   which kind of reply the line gets
    know        facts, names                            the lore as sentences, and whom they are about
                knowledge, fact_search, relevance       the sentence that answers or belongs to the line
                recall, summary                         the sentence of the past that fits, all of it in short
    choose      context                                 what is at hand for this reply
                acts                                    acts and their outcomes
                dialogue, dialogue_answers, voice       conversations, and how somebody talks
                answering, present, fate, asides        answers to questions
                narration                               sentences that replies of every kind are made with
    compose     effects                                 what comes of the turn beside its act
                templates, oracle, grammar              phrases without repetition, dice, tidy prose
                compose                                 all of these steps, in order

``provider`` sets the pace and the seed, ``tables`` reads phrases and words from files (the verbs that the parser
knows are in ``phrases/words.yaml``); everything else is pure.
"""
