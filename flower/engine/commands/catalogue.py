"""The slash commands as people see them: names, usage, one line of help. Pure.

One table that help, the TUI's palette, the documentation and a test share; ``table`` binds each
name to what it does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from flower.errors import CommandError
from flower.protocol.messages import CommandOption


class Command(Struct, frozen=True):
    """One command; words of ``usage`` in small letters are its name.

    ``argument``: which list of the face completes it, or what it takes from the selected message.
    """

    usage: str
    summary: str
    example: str = ""  # "": the usage is one
    argument: str = ""

    @property
    def name(self) -> str:
        found = _NAME.match(self.usage)
        assert found is not None
        return found.group()


_NAME = re.compile(r"/[a-z-]+(?: [a-z_]+(?= |$))?")

GROUPS: Mapping[str, tuple[Command, ...]] = {
    "This story": (
        Command("/retry [MESSAGE]", "write another variant of the last reply", "/retry", "message"),
        Command("/variants [MESSAGE]", "list the variants of a message", "/variants", "message"),
        Command("/variant N [MESSAGE]", "go on with another variant; or next, previous", "/variant 2"),
        Command("/continue", "let the last reply go on"),
        Command("/cancel", "stop the reply that is being written; its text is kept"),
        Command(
            "/edit [MESSAGE] TEXT",
            "rewrite your last line, or any message; the old text is kept",
            "/edit I open the door, slowly.",
            "message_text",
        ),
        Command("/undo", "go back by one exchange; nothing is lost"),
        Command("/redo", "go forward again"),
        Command(
            "/delete MESSAGE", "put a message and all below it into the trash", "/delete 12", "message"
        ),
        Command("/restore [MESSAGE]", "list the trash, or take a message out of it", "/restore 12"),
        Command("/history MESSAGE", "send the page of the story above a message", "/history 120"),
        Command(
            "/export md|html|txt|jsonl [all] [FILE] [!]",
            "write the story to a file; all: every branch, !: overwrite",
            "/export md harbour.md",
        ),
    ),
    "Its tree": (
        Command("/tree [MESSAGE]", "see the story's tree, or the part around a message", "/tree"),
        Command("/show MESSAGE", "read a message of any branch, or of the trash", "/show 12"),
        Command(
            "/branch [MESSAGE] [NAME]",
            "begin a named branch here, or at a message",
            "/branch the other door",
        ),
        Command("/branches", "list the branches of this story"),
        Command("/checkout NAME", "go to a named branch", "/checkout the other door"),
        Command("/goto MESSAGE", "go on from a message", "/goto 12", "message"),
    ),
    "All stories": (
        Command("/session new", "start a new story in this world"),
        Command(
            "/session continue ID [MESSAGE]",
            "go on with a saved story",
            "/session continue 3f2a",
            "sessions",
        ),
        Command("/session delete ID", "put a story into the trash", "/session delete 3f2a", "sessions"),
        Command(
            "/session restore [ID]", "list the trash, or take a story out of it", "/session restore"
        ),
        Command("/session list", "list all stories, archived ones too"),
        Command(
            "/session rename TEXT",
            "give this story another title",
            "/session rename The night of the fog",
        ),
        Command("/session search WORDS", "find words in every story", "/session search brass key"),
        Command(
            "/session pin [ID]", "keep a story at the top, or let it go", "/session pin", "sessions"
        ),
        Command(
            "/session archive [ID]",
            "put a story away, or take it out again",
            "/session archive",
            "sessions",
        ),
    ),
    "World and character": (
        Command("/world select ID", "choose the world to play in", "/world select orrinsay", "worlds"),
        Command(
            "/world attach_lore TEXT",
            "add a piece of lore to this world",
            "/world attach_lore The bell rings by itself at low water.",
        ),
        Command(
            "/world sync_folder PATH",
            "keep this world's lore equal to a folder of texts",
            "/world sync_folder /home/me/lore",
        ),
        Command("/world unsync", "let the folder of this world's lore go"),
        Command(
            "/character select ID",
            "choose who the narrator plays",
            "/character select nan-okoro",
            "characters",
        ),
    ),
    "Lore and memory": (
        Command(
            "/lore add WORLD TEXT",
            "add a piece of lore to a world",
            "/lore add orrinsay The bell rings by itself at low water.",
            "worlds",
        ),
        Command("/lore list", "list the lore of this world"),
        Command("/lore search WORDS", "find lore, and see why it is found", "/lore search the bell"),
        Command("/lore show ID", "show a passage of lore", "/lore show 12"),
        Command("/lore delete ID", "delete lore that was attached", "/lore delete 12"),
        Command("/memory list", "list what this story remembers"),
        Command("/memory search WORDS", "find memories of this story", "/memory search my brother"),
        Command("/memory forget ID", "forget a memory", "/memory forget 12"),
        Command("/memory pin ID", "keep a memory in every prompt, or let it go", "/memory pin 12"),
    ),
    "Narrator": (
        Command("/model ID", "choose the narrator", "/model offline/narrator", "models"),
        Command("/models refresh", "ask every provider for its models again"),
        Command(
            "/set [model] [NAME VALUE]",
            "list or change sampler settings, like temperature",
            "/set temperature 0.8",
        ),
        Command("/rules add ID", "switch a rule on", "/rules add slow-burn", "rules"),
        Command("/rules clear", "switch all rules off"),
        Command(
            "/rules on ID", "switch a rule on for this story alone", "/rules on dice-decide", "rules"
        ),
        Command(
            "/rules off ID", "switch a rule off for this story alone", "/rules off dice-decide", "rules"
        ),
        Command("/nsfw", "allow or forbid mature themes"),
        Command("/why [MESSAGE]", "show what went into a reply's prompt and why", "/why", "message"),
    ),
    "Voices": (
        Command(
            "/persona [NAME|TEXT]",
            "say who you are in this story; or off",
            "/persona Ines|A surveyor, dry and exact.",
        ),
        Command("/cast", "show who is on stage and who speaks"),
        Command("/cast add ID", "bring a character on stage", "/cast add button-reed", "characters"),
        Command(
            "/cast remove ID", "send a character off stage", "/cast remove button-reed", "characters"
        ),
        Command(
            "/cast next ID", "let one speak; or narrator, off", "/cast next button-reed", "characters"
        ),
        Command(
            "/cast mode together|named|round",
            "how it is decided who speaks in a reply",
            "/cast mode round",
        ),
        Command(
            "/cast model ID MODEL|off",
            "let another model speak for a character of the cast",
            "/cast model button-reed offline/narrator",
            "characters",
        ),
        Command("/me TEXT", "say what you do, as in a chat", "/me bows."),
        Command("/as NAME TEXT", "say a line as somebody else", "/as Mara I never saw it."),
        Command(
            "/ooc TEXT", "ask the narrator something outside the story", "/ooc How far is the mill?"
        ),
        Command(
            "/narrate [TEXT]",
            "tell a part yourself, or let the narrator answer",
            "/narrate The bell rings twice.",
        ),
        Command(
            "/impersonate [ABOUT]",
            "let the model draft your next line",
            "/impersonate asking about the key",
        ),
    ),
    "Steering": (
        Command(
            "/note [depth N,] [every N,] TEXT",
            "an author's note for the narrator; or off",
            "/note More fog, less talk.",
        ),
        Command("/pin [TEXT]", "list pinned facts, or pin one for the narrator", "/pin Ned is dead."),
        Command("/unpin N", "let a pinned fact go", "/unpin 1"),
    ),
    "Dice": (
        Command(
            "/roll DICE [vs N] [FOR]",
            "roll dice into the story: 2d6+3, 1d20adv vs 15, 4dF",
            "/roll 2d6+3",
        ),
        Command(
            "/check NAME [adv|dis] [+N] vs N",
            "try something: 1d20 and the counter of that name",
            "/check stealth adv vs 14",
        ),
    ),
    "State": (
        Command("/state [undo]", "show how things stand, or take back the last change", "/state undo"),
        Command(
            "/set-state KEY VALUE",
            "change the sheet: place The mill, hp -3, condition +wet",
            "/set-state hp -3",
        ),
        Command("/quest", "list the quests"),
        Command("/quest add NAME", "begin a quest", "/quest add Find the keeper"),
        Command("/quest done NAME", "a quest is fulfilled", "/quest done Find the keeper"),
        Command("/quest failed NAME", "a quest has failed", "/quest failed Find the keeper"),
        Command("/quest drop NAME", "forget a quest", "/quest drop Find the keeper"),
        Command("/inv", "list what you carry"),
        Command("/inv add [N] THING", "take something up", "/inv add 3 torches"),
        Command("/inv drop [N] THING", "give something away", "/inv drop lamp"),
    ),
    "People": (
        Command("/npc list", "list people and factions, friends first"),
        Command(
            "/npc add [faction] NAME: ABOUT",
            "keep somebody in mind",
            "/npc add Mara: keeps the lamp, owes you money",
        ),
        Command("/npc show NAME", "show what stands between you and somebody", "/npc show Mara"),
        Command(
            "/npc mood NAME +N [WHY]",
            "change what somebody thinks of you",
            "/npc mood Mara -10 broke a promise",
        ),
        Command("/npc remove NAME", "forget somebody", "/npc remove Mara"),
        Command(
            "/npc bring [ID]",
            "take over the people of another story of this world",
            "/npc bring",
            "sessions",
        ),
    ),
    "Clocks": (
        Command("/clock", "list the clocks"),
        Command(
            '/clock add "NAME" N [every turn|2h] [: THEN]',
            "start a clock of N segments, ticking by hand, by turns or by the hour",
            '/clock add "Flood reaches the docks" 6 every turn: the docks are under water',
        ),
        Command("/clock tick NAME [N]", "move a clock on, or with -1 back", "/clock tick flood"),
        Command("/clock remove NAME", "stop a clock", "/clock remove flood"),
    ),
    "Flower": (
        Command("/help [NAME]", "list the commands, or those that begin with a name", "/help roll"),
        Command("/sync", "send the whole state and story again"),
        Command("/quit", "say goodbye; an engine nobody else uses stops"),
    ),
}
OPTIONS = tuple(
    CommandOption(command.name, command.usage, command.summary, command.argument, group)
    for group, commands in GROUPS.items()
    for command in commands
)
EXAMPLES = {
    command.name: command.example or command.usage
    for commands in GROUPS.values()
    for command in commands
}
BY_NAME = {option.name: option for option in OPTIONS}
_LONGEST_FIRST = sorted(BY_NAME, key=len, reverse=True)


def parse(text: str) -> tuple[CommandOption, str]:
    """Returns the command in ``text`` and its argument.

    Raises ``CommandError`` with the closest match for a command that does not exist or is half typed.
    """
    words = text.split(None, 2)
    for count in (2, 1):
        name = " ".join(words[:count]).lower()
        option = BY_NAME.get(name)
        if option is not None:
            return option, text.split(None, count)[count].strip() if len(words) > count else ""
    typed = " ".join(words[:2]).lower()
    family = [option.usage for option in OPTIONS if option.name.startswith(words[0].lower() + " ")]
    if family:
        raise CommandError(f"{words[0]} needs one of: {', '.join(family)}.")
    close = difflib.get_close_matches(typed, _LONGEST_FIRST, n=1, cutoff=0.5)
    close = close or difflib.get_close_matches(words[0].lower(), _LONGEST_FIRST, n=1, cutoff=0.5)
    hint = f" Did you mean {BY_NAME[close[0]].usage}?" if close else ""
    raise CommandError(
        f"There is no command {words[0]}.{hint} /help lists them all; "
        "a line of the story that begins with a slash is written with two."
    )


def closest(wanted: str, ids: list[str]) -> str:
    """Returns a hint like `` Did you mean lantern-quay?`` or, without a match, what there is."""
    close = difflib.get_close_matches(wanted.lower(), ids, n=1, cutoff=0.4)
    if close:
        return f" Did you mean {close[0]}?"
    return f" There is: {', '.join(ids[:12])}." if ids else ""


# --- What /help tells: all commands under their headings, a family of them, or one with an example. Pure.

USAGE_COLUMNS = 32  # of a list; what is longer pushes its own line to the right


def help_text(wanted: str = "") -> str:
    """Returns all commands under their headings, or with ``wanted`` those of a group, family or name.

    One command alone is told with an example. Raises ``CommandError`` when nothing fits.
    """
    if not wanted:
        groups = [_group(title, OPTIONS) for title in GROUPS]
        hint = "/help roll tells more about one command, /help dice about one of these groups."
        return "\n\n".join([hint, *groups])
    name = "/" + " ".join(wanted.lower().removeprefix("/").split())
    title = next((title for title in GROUPS if title.lower() == name[1:]), "")
    exact = BY_NAME.get(name)
    family = [option for option in OPTIONS if option.name.startswith(f"{name} ")]
    if title and exact is None:
        return _group(title, OPTIONS)
    if exact is None and not family:
        family = [option for option in OPTIONS if option.name.startswith(name)]
    if exact is None and len(family) == 1:
        exact, family = family[0], []
    parts = [_alone(exact)] if exact is not None else []
    parts += [_table(family)] if family else []
    if not parts:
        raise CommandError(f"There is no command {name}. /help lists them all.")
    return "\n\n".join(parts)


def _group(title: str, options: Sequence[CommandOption]) -> str:
    return f"{title}\n{_table([option for option in options if option.group == title])}"


def _table(options: Sequence[CommandOption]) -> str:
    width = min(max(len(option.usage) for option in options), USAGE_COLUMNS)
    return "\n".join(f"  {option.usage:<{width}}  {option.summary}" for option in options)


def _alone(option: CommandOption) -> str:
    summary = f"{option.summary[:1].upper()}{option.summary[1:]}."
    example = EXAMPLES[option.name]
    shown = f"\nFor example: {example}" if example != option.usage else ""
    return f"{option.usage}\n{summary}{shown}"
