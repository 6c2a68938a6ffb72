"""The slash commands as people see them: names, usage, one line of help. Pure.

One table that help, the TUI's palette, the documentation and a test share; ``registry`` binds each name to what
it does, ``lookup`` finds one by what was typed. Long, since it is read like a list and not like a program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from flower.protocol.messages import CommandOption


class CommandSpec(Struct, frozen=True):
    """One command; words of ``usage`` in small letters are its name.

    ``argument``: which list of the client completes it, or what it takes from the selected message.
    """

    usage: str
    summary: str
    example: str = ""  # "": the usage is one
    argument: str = ""

    @property
    def name(self) -> str:
        match = _NAME.match(self.usage)
        assert match is not None
        return match.group()


_NAME = re.compile(r"/[a-z-]+(?: [a-z_]+(?= |$))?")

GROUPS: Mapping[str, tuple[CommandSpec, ...]] = {
    "This story": (
        CommandSpec("/retry [MESSAGE]", "write another variant of the last reply", "/retry", "message"),
        CommandSpec("/variants [MESSAGE]", "list the variants of a message", "/variants", "message"),
        CommandSpec(
            "/variant N [MESSAGE]", "go on with another variant; or next, previous", "/variant 2"
        ),
        CommandSpec("/continue", "let the last reply go on"),
        CommandSpec("/cancel", "stop the reply that is being written; its text is kept"),
        CommandSpec(
            "/edit [MESSAGE] TEXT",
            "rewrite your last line, or any message; the old text is kept",
            "/edit I open the door, slowly.",
            "message_text",
        ),
        CommandSpec("/undo", "go back by one exchange; nothing is lost"),
        CommandSpec("/redo", "go forward again"),
        CommandSpec(
            "/hide MESSAGE[-MESSAGE]",
            "keep messages on screen that no narrator reads",
            "/hide 12-18",
        ),
        CommandSpec("/unhide MESSAGE[-MESSAGE]", "let the narrator read them again", "/unhide 12-18"),
        CommandSpec("/remove MESSAGE", "take one message out and keep what follows", "/remove 12"),
        CommandSpec(
            "/delete MESSAGE", "put a message and all below it into the trash", "/delete 12", "message"
        ),
        CommandSpec("/restore [MESSAGE]", "list the trash, or take a message out of it", "/restore 12"),
        CommandSpec("/history MESSAGE", "send the page of the story above a message", "/history 120"),
        CommandSpec(
            "/export md|html|txt|jsonl|sillytavern|flower [all] [FILE] [!]",
            "write the story to a file; all: every branch, !: overwrite",
            "/export md harbour.md",
        ),
        CommandSpec(
            "/export character [ID] [png|v2|v3|charx]",
            "write a character as a card",
            "/export character nan-okoro png",
            "characters",
        ),
        CommandSpec(
            "/export lorebook NAME [world-info|v3]",
            "write a lorebook as a file",
            "/export lorebook Eldoria",
        ),
        CommandSpec(
            "/export preset NAME", "write settings as a preset of SillyTavern", "/export preset calm"
        ),
        CommandSpec(
            "/export replies [NAME]",
            "write quick replies as a set of SillyTavern",
            "/export replies evening",
        ),
        CommandSpec("/export library", "write everything of this home as one archive"),
    ),
    "Its tree": (
        CommandSpec("/tree [MESSAGE]", "see the story's tree, or the part around a message", "/tree"),
        CommandSpec("/show MESSAGE", "read a message of any branch, or of the trash", "/show 12"),
        CommandSpec(
            "/branch [MESSAGE] [NAME]",
            "begin a named branch here, or at a message",
            "/branch the other door",
        ),
        CommandSpec("/branches", "list the branches of this story"),
        CommandSpec("/checkout NAME", "go to a named branch", "/checkout the other door"),
        CommandSpec("/goto MESSAGE", "go on from a message", "/goto 12", "message"),
    ),
    "All stories": (
        CommandSpec("/session new", "start a new story in this world"),
        CommandSpec(
            "/session continue ID [MESSAGE]",
            "go on with a saved story",
            "/session continue 3f2a",
            "sessions",
        ),
        CommandSpec(
            "/session delete ID", "put a story into the trash", "/session delete 3f2a", "sessions"
        ),
        CommandSpec(
            "/session restore [ID]", "list the trash, or take a story out of it", "/session restore"
        ),
        CommandSpec("/session list", "list all stories, archived ones too"),
        CommandSpec(
            "/session rename TEXT",
            "give this story another title",
            "/session rename The night of the fog",
        ),
        CommandSpec("/session search WORDS", "find words in every story", "/session search brass key"),
        CommandSpec(
            "/session pin [ID]", "keep a story at the top, or let it go", "/session pin", "sessions"
        ),
        CommandSpec(
            "/session archive [ID]",
            "put a story away, or take it out again",
            "/session archive",
            "sessions",
        ),
    ),
    "World and character": (
        CommandSpec(
            "/world select ID",
            "choose the world to play in; none for none",
            "/world select orrinsay",
            "worlds",
        ),
        CommandSpec(
            "/world attach_lore TEXT",
            "add a piece of lore to this world",
            "/world attach_lore The bell rings by itself at low water.",
        ),
        CommandSpec(
            "/world sync_folder PATH",
            "keep this world's lore equal to a folder of texts",
            "/world sync_folder /home/me/lore",
        ),
        CommandSpec("/world unsync", "stop following the folder and take its lore out"),
        CommandSpec(
            "/character select ID",
            "choose who the narrator plays",
            "/character select nan-okoro",
            "characters",
        ),
        CommandSpec(
            "/character list [PAGE] [WORDS]",
            "list the characters that have the words in name or tags",
            "/character list clocks",
        ),
        CommandSpec(
            "/character new [NAME|PERSONA]",
            "make a character, in a form or at once",
            "/character new Old Ned|Keeps the ferry, says little, forgets nothing.",
        ),
        CommandSpec(
            "/character draft IDEA",
            "let the model draft a character for you to edit",
            "/character draft a tired lighthouse keeper",
        ),
        CommandSpec("/character keep", "keep the character that was drafted, as it is"),
        CommandSpec(
            "/character edit ID [FIELD [TEXT]]",
            "change a character in a form, or one field of it",
            "/character edit old-ned greeting The ferry is late tonight.",
            "characters",
        ),
        CommandSpec(
            "/character copy ID [NEW_ID]",
            "make another character like one",
            "/character copy nan-okoro nan-young",
            "characters",
        ),
        CommandSpec(
            "/character delete ID",
            "delete a character; stories stay",
            "/character delete nan-young",
            "characters",
        ),
        CommandSpec(
            "/character favourite [ID]",
            "keep a character at the top of the list, or let it go",
            "/character favourite nan-okoro",
            "characters",
        ),
        CommandSpec(
            "/world favourite [ID]",
            "keep a world at the top of the list, or let it go",
            "/world favourite orrinsay",
            "worlds",
        ),
        CommandSpec(
            "/world new [NAME|FIRST MESSAGE]",
            "make a world, in a form or at once",
            "/world new The salt road|Wind, and a road of white stones.",
        ),
        CommandSpec(
            "/world edit ID [FIELD [TEXT]]",
            "change a world in a form, or one field of it",
            "/world edit the-salt-road scene Noon, no shade.",
            "worlds",
        ),
        CommandSpec(
            "/world copy ID [NEW_ID]",
            "make another world like one",
            "/world copy orrinsay orrinsay-later",
            "worlds",
        ),
        CommandSpec(
            "/world delete ID", "delete a world; stories stay", "/world delete orrinsay-later", "worlds"
        ),
    ),
    "Lore and memory": (
        CommandSpec(
            "/lore add WORLD TEXT",
            "add a piece of lore to a world",
            "/lore add orrinsay The bell rings by itself at low water.",
            "worlds",
        ),
        CommandSpec("/lore list", "list the lore of this world"),
        CommandSpec(
            "/lore search WORDS", "find lore, and see why it is found", "/lore search the bell"
        ),
        CommandSpec("/lore show ID", "show a passage of lore", "/lore show 12"),
        CommandSpec("/lore delete ID", "delete lore that was attached", "/lore delete 12"),
        CommandSpec("/lore test TEXT", "see what a line would fire", "/lore test I ring the bell."),
        CommandSpec("/lorebook list", "list the lorebooks, and which hold here"),
        CommandSpec(
            "/lorebook on NAME [for OWNER]",
            "let a lorebook hold in this story; or for world, character, all",
            "/lorebook on The harbour",
        ),
        CommandSpec(
            "/lorebook off NAME [for OWNER]",
            "switch a lorebook off in this story; or for world, character, all",
            "/lorebook off The harbour",
        ),
        CommandSpec("/script list", "list the scripts that change texts, of cards and your own"),
        CommandSpec(
            "/script on NAME", "let a script act, by name or number; or all", "/script on Status bar"
        ),
        CommandSpec("/script off NAME", "keep a script from acting; or all", "/script off Status bar"),
        CommandSpec(
            "/lorebook show BOOK [WORDS]",
            "list the entries of a lorebook",
            "/lorebook show The harbour",
            "books",
        ),
        CommandSpec(
            "/lorebook favourite BOOK",
            "keep a lorebook at the top of the list, or let it go",
            "/lorebook favourite The harbour",
            "books",
        ),
        CommandSpec("/lorebook new [NAME]", "make a lorebook", "/lorebook new The harbour"),
        CommandSpec(
            "/lorebook edit BOOK [ENTRY|new] [FIELD [TEXT]]",
            "change a lorebook or an entry in a form, or one field",
            "/lorebook edit The harbour new bell, tower|The bell rings by itself.",
            "books",
        ),
        CommandSpec(
            "/lorebook copy BOOK|NEW NAME",
            "make another lorebook like one",
            "/lorebook copy The harbour|The harbour, later",
        ),
        CommandSpec(
            "/lorebook delete BOOK [ENTRY]",
            "delete a lorebook, or one of its entries",
            "/lorebook delete The harbour 0",
        ),
        CommandSpec(
            "/recall WORDS",
            "see what these words recall, and how each result is ranked",
            "/recall who rang the bell?",
        ),
        CommandSpec("/memory list", "list what this story remembers"),
        CommandSpec("/memory search WORDS", "find memories of this story", "/memory search my brother"),
        CommandSpec("/memory show ID", "read a memory of this story", "/memory show 12"),
        CommandSpec(
            "/memory edit ID [TEXT]",
            "give a memory other words; without them it comes into your input line",
            "/memory edit 12 My brother left for the islands.",
        ),
        CommandSpec("/memory forget ID", "forget a memory", "/memory forget 12"),
        CommandSpec("/memory pin ID", "keep a memory in every prompt, or let it go", "/memory pin 12"),
        CommandSpec("/summary", "read what is told of the part that left the prompt"),
        CommandSpec(
            "/summary edit [TEXT]",
            "write it yourself; without TEXT it comes into your input line",
            "/summary edit Mara lent me the lamp. The bell has rung twice.",
        ),
        CommandSpec(
            "/summary remake [HOW]",
            "let the model write it anew, from now on as you say; or off",
            "/summary remake List who was met, what they want and what I promised them",
        ),
    ),
    "Narrator": (
        CommandSpec("/model ID", "choose the model", "/model offline/narrator", "models"),
        CommandSpec("/models refresh", "ask every provider for its models again"),
        CommandSpec(
            "/models get [ADDRESS|PATH] [SHA256]",
            "see which models this machine can run, or get one; stop ends that",
            "/models get ~/Downloads/model-Q4_K_M.gguf",
        ),
        CommandSpec(
            "/set [model] [NAME VALUE]",
            "list or change settings, like temperature, max_tokens or banned_phrases",
            "/set temperature 0.8",
        ),
        CommandSpec("/preset save NAME", "keep the settings that hold here", "/preset save calm"),
        CommandSpec(
            "/preset load NAME", "give this story the settings of a preset", "/preset load calm"
        ),
        CommandSpec("/preset list", "list the presets, and templates that were imported"),
        CommandSpec("/preset delete NAME", "delete one of them", "/preset delete calm"),
        CommandSpec("/rules add ID", "switch a rule on", "/rules add slow-burn", "rules"),
        CommandSpec("/rules clear", "switch all rules off"),
        CommandSpec(
            "/rules on ID", "switch a rule on for this story alone", "/rules on dice-decide", "rules"
        ),
        CommandSpec(
            "/rules off ID", "switch a rule off for this story alone", "/rules off dice-decide", "rules"
        ),
        CommandSpec(
            "/rules new [NAME|TEXT]",
            "make a rule, in a form or at once",
            "/rules new Brief|Answer in at most three sentences.",
        ),
        CommandSpec(
            "/rules edit ID [FIELD [TEXT]]",
            "change a rule in a form, or one field of it",
            "/rules edit brief priority 80",
            "rules",
        ),
        CommandSpec(
            "/rules copy ID [NEW_ID]",
            "make another rule like one",
            "/rules copy brief briefer",
            "rules",
        ),
        CommandSpec("/rules delete ID", "delete a rule", "/rules delete briefer", "rules"),
        CommandSpec("/nsfw", "allow or forbid mature themes"),
        CommandSpec(
            "/why full [PAGE]",
            "read the last prompt word for word; or file: write it to one",
            "/why full 2",
        ),
        CommandSpec(
            "/why [nearly] [MESSAGE]",
            "show what went into a reply's prompt and why; nearly: which entries did not fire",
            "/why",
            "message",
        ),
    ),
    "Voices": (
        CommandSpec(
            "/persona [NAME|TEXT]",
            "say who you are in this story, before one in all new ones; or off",
            "/persona Ines|A surveyor, dry and exact.",
        ),
        CommandSpec("/persona list", "list the personas of your library"),
        CommandSpec("/persona use NAME", "be one of them in this story", "/persona use Ines"),
        CommandSpec("/persona save [TITLE]", "keep this persona in the library", "/persona save"),
        CommandSpec(
            "/persona default NAME", "begin new stories as this one; or off", "/persona default Ines"
        ),
        CommandSpec(
            "/persona bind NAME",
            "be this one in new stories with the chosen character; or off",
            "/persona bind Ines",
        ),
        CommandSpec(
            "/persona new [NAME|TEXT]",
            "make one for the library, in a form or at once",
            "/persona new Ines|A surveyor, dry and exact.",
        ),
        CommandSpec(
            "/persona edit NAME [FIELD [TEXT]]",
            "change one in a form, or one field of it",
            "/persona edit Ines title the Elder",
        ),
        CommandSpec(
            "/persona copy NAME|NEW NAME",
            "make another like one",
            "/persona copy Ines|Ines the Younger",
        ),
        CommandSpec("/persona delete NAME", "take one out of the library", "/persona delete Ines"),
        CommandSpec("/cast", "show who is on stage and who speaks"),
        CommandSpec(
            "/cast add ID", "bring a character on stage", "/cast add button-reed", "characters"
        ),
        CommandSpec(
            "/cast remove ID", "send a character off stage", "/cast remove button-reed", "characters"
        ),
        CommandSpec(
            "/cast next ID", "let one speak; or narrator, off", "/cast next button-reed", "characters"
        ),
        CommandSpec(
            "/cast mode together|named|round",
            "how it is decided who speaks in a reply",
            "/cast mode round",
        ),
        CommandSpec(
            "/cast model ID MODEL|off",
            "let another model speak for a character of the cast",
            "/cast model button-reed offline/narrator",
            "characters",
        ),
        CommandSpec("/me TEXT", "say what you do, as in a chat", "/me bows."),
        CommandSpec("/as NAME TEXT", "say a line as somebody else", "/as Mara I never saw it."),
        CommandSpec(
            "/ooc TEXT", "ask the narrator something outside the story", "/ooc How far is the mill?"
        ),
        CommandSpec(
            "/narrate [TEXT]",
            "tell a part yourself, or let the narrator answer",
            "/narrate The bell rings twice.",
        ),
        CommandSpec(
            "/suggest [ABOUT]",
            "offer three things to do next; a digit takes one",
            "/suggest getting out of here",
        ),
        CommandSpec(
            "/impersonate [ABOUT]",
            "let the model draft your next line",
            "/impersonate asking about the key",
        ),
    ),
    "At a table": (
        CommandSpec(
            "/table invite NAME [player|reader]",
            "give somebody a seat at this story",
            "/table invite ned reader",
        ),
        CommandSpec(
            "/table leave [NAME]",
            "give your seat up, or take one from somebody in your story",
            "/table leave ned",
        ),
        CommandSpec("/table list", "list who sits here, who they play and who is away"),
        CommandSpec(
            "/table code [player|reader] [TIME]",
            "make a code to sit down with, which ends; off ends them all",
            "/table code reader 2h",
        ),
        CommandSpec(
            "/table join CODE", "sit down at somebody's story", "/table join 3fa94c01d2e7.xxxx"
        ),
        CommandSpec(
            "/table order free|round", "let all speak as they like, or in turn", "/table order round"
        ),
        CommandSpec(
            "/whisper [NAME TEXT]",
            "say something to one other and the narrator alone, or list what was whispered to you",
            "/whisper ned The lamp is a fake.",
        ),
    ),
    "Steering": (
        CommandSpec(
            "/note [depth N,] [every N,] TEXT",
            "an author's note for the narrator; or off",
            "/note More fog, less talk.",
        ),
        CommandSpec(
            "/pin [TEXT]", "list pinned facts, or pin one for the narrator", "/pin Ned is dead."
        ),
        CommandSpec("/unpin N", "let a pinned fact go", "/unpin 1"),
    ),
    "Dice": (
        CommandSpec(
            "/roll DICE [vs N] [FOR]",
            "roll dice into the story: 2d6+3, 1d20adv vs 15, 4dF",
            "/roll 2d6+3",
        ),
        CommandSpec(
            "/check NAME [adv|dis] [+N] vs N",
            "try something: 1d20 and the counter of that name",
            "/check stealth adv vs 14",
        ),
    ),
    "State": (
        CommandSpec(
            "/state [undo]", "show how things stand, or take back the last change", "/state undo"
        ),
        CommandSpec(
            "/set-state KEY VALUE",
            "change the sheet: place The mill, hp -3, condition +wet",
            "/set-state hp -3",
        ),
        CommandSpec("/quest", "list the quests"),
        CommandSpec("/quest add NAME", "begin a quest", "/quest add Find the keeper"),
        CommandSpec("/quest done NAME", "a quest is fulfilled", "/quest done Find the keeper"),
        CommandSpec("/quest failed NAME", "a quest has failed", "/quest failed Find the keeper"),
        CommandSpec("/quest drop NAME", "forget a quest", "/quest drop Find the keeper"),
        CommandSpec("/inv", "list what you carry"),
        CommandSpec("/inv add [N] THING", "take something up", "/inv add 3 torches"),
        CommandSpec("/inv drop [N] THING", "give something away", "/inv drop lamp"),
    ),
    "People": (
        CommandSpec("/npc list", "list people and factions, friends first"),
        CommandSpec(
            "/npc add [faction] NAME: ABOUT",
            "keep somebody in mind",
            "/npc add Mara: keeps the lamp, owes you money",
        ),
        CommandSpec("/npc show NAME", "show what stands between you and somebody", "/npc show Mara"),
        CommandSpec(
            "/npc mood NAME +N [WHY]",
            "change what somebody thinks of you",
            "/npc mood Mara -10 broke a promise",
        ),
        CommandSpec("/npc remove NAME", "forget somebody", "/npc remove Mara"),
        CommandSpec(
            "/npc bring [ID]",
            "take over the people of another story of this world",
            "/npc bring",
            "sessions",
        ),
    ),
    "Clocks": (
        CommandSpec("/clock", "list the clocks"),
        CommandSpec(
            '/clock add "NAME" N [every turn|2h] [: THEN]',
            "start a clock of N segments, ticking by hand, by turns or by the hour",
            '/clock add "Flood reaches the docks" 6 every turn: the docks are under water',
        ),
        CommandSpec("/clock tick NAME [N]", "move a clock on, or with -1 back", "/clock tick flood"),
        CommandSpec("/clock remove NAME", "stop a clock", "/clock remove flood"),
    ),
    "Flower": (
        CommandSpec("/help [NAME]", "list the commands, or those that begin with a name", "/help roll"),
        CommandSpec(
            "/form save BASE SUBJECT",
            "save what was typed into a form; screens send this",
            "/form save new character",
        ),
        CommandSpec(
            "/library characters|worlds|books [OFFSET] [WORDS]",
            "send a page of a list; screens ask for this",
            "/library characters 0 clocks",
        ),
        CommandSpec(
            "/settings [NAME] [VALUE]",
            "list the settings, tell about one, or change it; default takes it back",
            "/settings tui.text_width 80",
        ),
        CommandSpec("/reload", "read settings, worlds, characters and rules again"),
        CommandSpec("/problems", "list what of your files cannot be used, and where"),
        CommandSpec("/sync", "send the whole state and story again"),
        CommandSpec(
            "/portrait [ID]", "send a character's picture; screens ask for this", "/portrait nan-okoro"
        ),
        CommandSpec("/typing", "stop the model working ahead, as a line is being typed"),
        CommandSpec("/quit", "leave; an engine nobody else uses stops"),
    ),
}
OPTIONS = tuple(
    CommandOption(
        name=command.name,
        usage=command.usage,
        summary=command.summary,
        argument=command.argument,
        group=group,
    )
    for group, commands in GROUPS.items()
    for command in commands
)
EXAMPLES = {
    command.name: command.example or command.usage
    for commands in GROUPS.values()
    for command in commands
}
