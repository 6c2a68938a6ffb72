"""The slash commands as people see them: names, usage, one line of help. Pure.

One table that help, the TUI's palette, the documentation and a test share; ``table`` binds each
name to what it does.
"""

from __future__ import annotations

import difflib

from flower.errors import CommandError
from flower.protocol import CommandOption

OPTIONS: tuple[CommandOption, ...] = (
    CommandOption("/world select", "/world select ID", "choose the world to play in", "worlds"),
    CommandOption("/world attach_lore", "/world attach_lore TEXT", "add a piece of lore to this world"),
    CommandOption(
        "/world sync_folder",
        "/world sync_folder PATH",
        "keep this world's lore equal to a folder of texts",
    ),
    CommandOption("/world unsync", "/world unsync", "let the folder of this world's lore go"),
    CommandOption("/lore add", "/lore add WORLD TEXT", "add a piece of lore to a world", "worlds"),
    CommandOption("/lore list", "/lore list", "list the lore of this world"),
    CommandOption("/lore search", "/lore search WORDS", "find lore, and see why it is found"),
    CommandOption("/lore show", "/lore show ID", "show a passage of lore"),
    CommandOption("/lore delete", "/lore delete ID", "delete lore that was attached"),
    CommandOption("/memory list", "/memory list", "list what this story remembers"),
    CommandOption("/memory search", "/memory search WORDS", "find memories of this story"),
    CommandOption("/memory forget", "/memory forget ID", "forget a memory"),
    CommandOption("/memory pin", "/memory pin ID", "keep a memory in every prompt, or let it go"),
    CommandOption(
        "/character select", "/character select ID", "choose who the narrator plays", "characters"
    ),
    CommandOption("/model", "/model ID", "choose the narrator", "models"),
    CommandOption("/models refresh", "/models refresh", "ask every provider for its models again"),
    CommandOption(
        "/set", "/set [model] [NAME VALUE]", "list or change sampler settings, like temperature"
    ),
    CommandOption("/rules add", "/rules add ID", "switch a rule on", "rules"),
    CommandOption("/rules clear", "/rules clear", "switch all rules off"),
    CommandOption("/rules on", "/rules on ID", "switch a rule on for this story alone", "rules"),
    CommandOption("/rules off", "/rules off ID", "switch a rule off for this story alone", "rules"),
    CommandOption("/nsfw", "/nsfw", "allow or forbid mature themes"),
    CommandOption("/session new", "/session new", "start a new story in this world"),
    CommandOption(
        "/session continue", "/session continue ID [MESSAGE]", "go on with a saved story", "sessions"
    ),
    CommandOption("/session delete", "/session delete ID", "put a story into the trash", "sessions"),
    CommandOption(
        "/session restore", "/session restore [ID]", "list the trash, or take a story out of it"
    ),
    CommandOption("/session list", "/session list", "list all stories, archived ones too"),
    CommandOption("/session rename", "/session rename TEXT", "give this story another title"),
    CommandOption("/session search", "/session search WORDS", "find words in every story"),
    CommandOption(
        "/session pin", "/session pin [ID]", "keep a story at the top, or let it go", "sessions"
    ),
    CommandOption(
        "/session archive",
        "/session archive [ID]",
        "put a story away, or take it out again",
        "sessions",
    ),
    CommandOption("/retry", "/retry [MESSAGE]", "write another variant of the last reply", "message"),
    CommandOption("/variants", "/variants [MESSAGE]", "list the variants of a message", "message"),
    CommandOption("/variant", "/variant N [MESSAGE]", "go on with another variant; or next, previous"),
    CommandOption(
        "/edit",
        "/edit [MESSAGE] TEXT",
        "rewrite your last line, or any message; the old text is kept",
        "message_text",
    ),
    CommandOption("/undo", "/undo", "go back by one exchange; nothing is lost"),
    CommandOption("/redo", "/redo", "go forward again"),
    CommandOption(
        "/delete", "/delete MESSAGE", "put a message and all below it into the trash", "message"
    ),
    CommandOption("/restore", "/restore [MESSAGE]", "list the trash, or take a message out of it"),
    CommandOption("/branch", "/branch [MESSAGE] [NAME]", "begin a named branch here, or at a message"),
    CommandOption("/branches", "/branches", "list the branches of this story"),
    CommandOption("/checkout", "/checkout NAME", "go to a named branch"),
    CommandOption("/goto", "/goto MESSAGE", "go on from a message", "message"),
    CommandOption(
        "/export",
        "/export md|html|txt|jsonl [all] [FILE] [!]",
        "write the story to a file; all: every branch, !: overwrite",
    ),
    CommandOption(
        "/roll", "/roll DICE [vs N] [FOR]", "roll dice into the story: 2d6+3, 1d20adv vs 15, 4dF"
    ),
    CommandOption(
        "/check", "/check NAME [adv|dis] [+N] vs N", "try something: 1d20 and the counter of that name"
    ),
    CommandOption(
        "/note", "/note [depth N,] [every N,] TEXT", "an author's note for the narrator; or off"
    ),
    CommandOption("/pin", "/pin [TEXT]", "list pinned facts, or pin one for the narrator"),
    CommandOption("/unpin", "/unpin N", "let a pinned fact go"),
    CommandOption("/persona", "/persona [NAME|TEXT]", "say who you are in this story; or off"),
    CommandOption("/as", "/as NAME TEXT", "say a line as somebody else"),
    CommandOption("/ooc", "/ooc TEXT", "ask the narrator something outside the story"),
    CommandOption("/narrate", "/narrate [TEXT]", "tell a part yourself, or let the narrator answer"),
    CommandOption("/impersonate", "/impersonate [ABOUT]", "let the model draft your next line"),
    CommandOption("/cast", "/cast", "show who is on stage and who speaks"),
    CommandOption("/cast add", "/cast add ID", "bring a character on stage", "characters"),
    CommandOption("/cast remove", "/cast remove ID", "send a character off stage", "characters"),
    CommandOption("/cast next", "/cast next ID", "let one speak; or narrator, off", "characters"),
    CommandOption(
        "/cast mode", "/cast mode together|named|round", "how it is decided who speaks in a reply"
    ),
    CommandOption("/state", "/state [undo]", "show how things stand, or take back the last changes"),
    CommandOption(
        "/set-state", "/set-state KEY VALUE", "change the sheet: place The mill, hp -3, condition +wet"
    ),
    CommandOption("/quest", "/quest", "list the quests"),
    CommandOption("/quest add", "/quest add NAME", "begin a quest"),
    CommandOption("/quest done", "/quest done NAME", "a quest is fulfilled"),
    CommandOption("/quest failed", "/quest failed NAME", "a quest has failed"),
    CommandOption("/quest drop", "/quest drop NAME", "forget a quest"),
    CommandOption("/inv", "/inv", "list what you carry"),
    CommandOption("/inv add", "/inv add [N] THING", "take something up"),
    CommandOption("/inv drop", "/inv drop [N] THING", "give something away"),
    CommandOption("/npc list", "/npc list", "list people and factions, friends first"),
    CommandOption("/npc add", "/npc add [faction] NAME: ABOUT", "keep somebody in mind"),
    CommandOption("/npc show", "/npc show NAME", "show what stands between you and somebody"),
    CommandOption("/npc mood", "/npc mood NAME +N [WHY]", "change what somebody thinks of you"),
    CommandOption("/npc remove", "/npc remove NAME", "forget somebody"),
    CommandOption(
        "/npc bring",
        "/npc bring [ID]",
        "take over the people of another story of this world",
        "sessions",
    ),
    CommandOption("/clock", "/clock", "list the clocks"),
    CommandOption(
        "/clock add",
        '/clock add "NAME" N [every turn|2h] [: THEN]',
        "start a clock of N segments, ticking by hand, by turns or by the hour",
    ),
    CommandOption("/clock tick", "/clock tick NAME [N]", "move a clock on, or with -1 back"),
    CommandOption("/clock remove", "/clock remove NAME", "stop a clock"),
    CommandOption("/continue", "/continue", "let the last reply go on"),
    CommandOption("/cancel", "/cancel", "stop the reply that is being written; its text is kept"),
    CommandOption("/history", "/history MESSAGE", "send the page of the story above a message"),
    CommandOption("/why", "/why [MESSAGE]", "show what went into a reply's prompt and why", "message"),
    CommandOption("/sync", "/sync", "send the whole state and story again"),
    CommandOption("/help", "/help [NAME]", "list the commands, or those that begin with a name"),
    CommandOption("/quit", "/quit", "say goodbye; an engine nobody else uses stops"),
)
_BY_NAME = {option.name: option for option in OPTIONS}
_LONGEST_FIRST = sorted(_BY_NAME, key=len, reverse=True)


def parse(text: str) -> tuple[CommandOption, str]:
    """Returns the command in ``text`` and its argument.

    Raises ``CommandError`` with the closest match for a command that does not exist or is half typed.
    """
    words = text.split(None, 2)
    for count in (2, 1):
        name = " ".join(words[:count]).lower()
        option = _BY_NAME.get(name)
        if option is not None:
            return option, text.split(None, count)[count].strip() if len(words) > count else ""
    typed = " ".join(words[:2]).lower()
    family = [option.usage for option in OPTIONS if option.name.startswith(words[0].lower() + " ")]
    if family:
        raise CommandError(f"{words[0]} needs one of: {', '.join(family)}.")
    close = difflib.get_close_matches(typed, _LONGEST_FIRST, n=1, cutoff=0.5)
    close = close or difflib.get_close_matches(words[0].lower(), _LONGEST_FIRST, n=1, cutoff=0.5)
    hint = f" Did you mean {_BY_NAME[close[0]].usage}?" if close else ""
    raise CommandError(f"There is no command {words[0]}.{hint} /help lists them all.")


def help_text(wanted: str = "") -> str:
    """Returns the commands whose name begins with ``wanted``, a line each; all without it."""
    name = "/" + wanted.lower().removeprefix("/")
    chosen = [option for option in OPTIONS if option.name.startswith(name)]
    if not chosen:
        raise CommandError(f"There is no command {name}. /help lists them all.")
    width = max(len(option.usage) for option in chosen)
    return "\n".join(f"{option.usage:<{width}}  {option.summary}" for option in chosen)


def closest(wanted: str, ids: list[str]) -> str:
    """Returns a hint like `` Did you mean lantern-quay?`` or, without a match, what there is."""
    close = difflib.get_close_matches(wanted.lower(), ids, n=1, cutoff=0.4)
    if close:
        return f" Did you mean {close[0]}?"
    return f" There is: {', '.join(ids[:12])}." if ids else ""
