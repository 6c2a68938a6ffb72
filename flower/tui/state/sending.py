"""What sending a line means: a prompt for the narrator, a command of the engine, or one of the client.

Pure: every function takes a model and returns the next one with the effects to carry out.
"""

from __future__ import annotations

from flower import limits
from flower.client.events import Send
from flower.tui.render.messages import MessageView
from flower.tui.state import checklist, client_commands, commands, popups, transcript
from flower.tui.state.effects import Effect
from flower.tui.state.model import Draft, Model, Notice, Search, TurnState
from flower.tui.state.status_line import Result, notify

UNCONFIRMED_PROMPTS = 16
RECENT_COMMANDS = 12  # commands the palette remembers as recently used

TAKE_AWAY = ("/delete", "/session delete", "/lore delete", "/memory forget")  # no habit's Enter
USUAL = ("/world select", "/character select", "/rules add")  # what choosing from a list means anyway
TIME_PASSES = "continue"  # what an empty line says to the offline narrator
TYPED = "{{input}}"  # in a quick reply: what has been typed goes here, and then the cursor


def submit(model: Model) -> Result:
    """Sends the input line: a command or a prompt for the narrator."""
    text = model.input.text
    if text.endswith("\\"):
        return model._replace(input=model.input.text_end().backspace().insert("\n")), ()
    if not text.strip():
        if checklist.visible(model):
            return _open_step(model)
        idle = model.replica.offline and model.turn.state == "idle" and model.link.state == "online"
        if idle and not text:
            return _submit_prompt(model, TIME_PASSES)
        return model._replace(input=model.input.clear()), ()  # blanks that nobody sees
    text = text.strip()  # as the engine takes it: what begins with a slash behind blanks is a command
    if line := suggestion(model, text):
        return _submit_prompt(model, line)
    if commands.is_line(text) or _is_order(model, text):
        return _submit_command(model, text)
    return _submit_prompt(model, text)


def suggestion(model: Model, typed: str) -> str:
    """Returns the line that was suggested under a number, "" when what is typed is none."""
    if len(typed) != 1 or not typed.isascii() or not typed.isdecimal():
        return ""
    return "".join(model.suggestions[int(typed) - 1 : int(typed)]) if typed != "0" else ""


def say(model: Model, line: str) -> Result:
    """Sends a line that was not typed; what is being typed stays."""
    typed = model.input
    model, effects = _submit_prompt(model._replace(input=typed.clear().insert(line)), line)
    if model.input.text:  # not sent, with a reason
        return model, effects
    return model._replace(input=typed._replace(history=model.input.history)), effects


def quick_reply(model: Model, place: int) -> Result:
    """Uses the quick reply at ``place``: sends it, or puts it around what is being typed."""
    if place >= len(model.replica.quick_replies):
        return notify(
            model, "There is no such quick reply; `quick_replies` in config.yaml makes some."
        ), ()
    text = model.replica.quick_replies[place].text
    before, gap, after = text.partition(TYPED)
    typed = model.input
    if gap:
        whole = before + typed.text + after
        return model._replace(input=typed.with_text(whole, len(before) + len(typed.text)), menu=-1), ()
    model, effects = submit(model._replace(input=typed.clear().insert(text), menu=-1))
    left = model.input
    if left.text == text or not left.text:  # not sent, with a reason; or sent
        return model._replace(input=typed._replace(history=left.history)), effects
    return model._replace(input=left.remembering(typed.text)), effects  # a command that needs more


def _is_order(model: Model, text: str) -> bool:
    """Whether a text of several lines begins with a command, such as an edited message."""
    return text.startswith("/") and commands.split(text, commands.offered(model.replica)) is not None


def _open_step(model: Model) -> Result:
    step = checklist.steps(model)[checklist.current(model)]
    if step.popup == checklist.NAME:
        model = model._replace(input=model.input.with_text("/persona "), step=-1)
        return notify(model, "Type your name and press Enter; Esc leaves it."), ()
    if step.popup == "sessions" and not model.replica.available_sessions:
        return send_command(model, "/session new")
    return popups.opened(model, step.popup), ()


def _submit_command(model: Model, line: str) -> Result:
    candidates = commands.candidates(model)
    offered = commands.offered(model.replica)
    if 0 <= model.menu < len(candidates):
        return take(model, candidates[model.menu])
    if commands.split(line, offered) is not None or commands.is_plumbing(line) or not candidates:
        return run_line(model, line)
    begun = [candidate for candidate in candidates if candidate.line.startswith(line)]
    if len(begun) == 1:
        return take(model, begun[0])
    # Several commands could be meant, or none begins so: what is run has to be seen first.
    first = (begun or candidates)[0]
    marked = model._replace(menu=candidates.index(first))
    return notify(marked, f"Enter takes {first.label}; the arrows choose another."), ()


def take(model: Model, candidate: commands.Candidate) -> Result:
    """Takes a candidate: runs it when it is whole, else puts it into the input line."""
    if candidate.runs:
        return run_line(model, candidate.line)
    return model._replace(input=model.input.with_text(candidate.line), menu=-1), ()


def run_line(model: Model, line: str) -> Result:
    """Runs a whole command line as if typed and sent."""
    match = commands.split(line, commands.offered(model.replica))
    if match is None:
        return send_command(model, line)
    command, argument = match
    if command.argument and not command.optional and not argument:
        if command.argument in commands.ON_MESSAGES and model.story.messages:
            model = client_commands.choose_messages(_input_done(model)._replace(selected=None))[0]
            key = commands.message_key(command)
            return notify(model, f"Choose a message and press {key} to {command.summary}."), ()
        if command.argument in (*popups.CHOOSABLE, "themes", "books"):
            delete = command.name == "/session delete"
            asks = command.argument in popups.FOR_COMMANDS and command.name not in USUAL
            model = popups.opened(_input_done(model), command.argument, command.name if asks else "")
            return (notify(model, "Delete puts a story into the trash.") if delete else model), ()
        return notify(
            model._replace(input=model.input.with_text(command.name + " ")),
            f"{command.summary}: type it after the command.",
        ), ()
    if not command.local:
        return send_command(model, line)
    return client_commands.COMMANDS[command.name](_remember(_input_done(model), command.name), argument)


def with_choice(model: Model, name: str, value: str) -> Result:
    """Runs a command on what was chosen for it; one that needs more words waits for them in the input line."""
    usage = next((one.usage for one in model.replica.commands if one.name == name), name)
    if commands.words_needed(usage, name) > 1:
        return model._replace(input=model.input.with_text(f"{name} {value} "), menu=-1), ()
    return send_command(model, f"{name} {value}")


def _input_done(model: Model) -> Model:
    """Returns the model with its input line kept in the history and emptied, if it is a command."""
    text = model.input.text.strip()
    if not (commands.is_line(text) or _is_order(model, text)):
        return model
    return model._replace(input=model.input.submit()[1], menu=-1, menu_closed=False)


def _remember(model: Model, name: str) -> Model:
    """Returns the model in which the command leads the palette; those that take away never do."""
    if name in TAKE_AWAY:
        return model
    recent = (name, *(one for one in model.recent if one != name))[:RECENT_COMMANDS]
    return model._replace(recent=recent)


def send_command(model: Model, line: str) -> Result:
    """Sends a command to the engine; without a connection the line stays where it is."""
    if model.link.state != "online":
        return notify(model, "Not connected yet: the command waits in the input line.", "bad"), ()
    match = commands.split(line, commands.offered(model.replica))
    model = _remember(model, match[0].name) if match else model
    return _input_done(model)._replace(pending_command=line), (Send(line),)


def _submit_prompt(model: Model, text: str) -> Result:
    if len(text) > limits.PROMPT_CHARS:
        return with_line(model, text), ()
    if checklist.visible(model):
        return notify(model, "First begin a story, with /session new or F6.", "bad"), ()
    if len(model.unconfirmed) >= UNCONFIRMED_PROMPTS:
        return notify(model, "Too many lines wait for the engine; this one stays here.", "bad"), ()
    request = f"{model.nonce}-{model.requests + 1}"
    online = model.link.state == "online"
    line_text, text = _slashed(text)
    line = MessageView(0, "user", line_text, request=request, status="sent" if online else "pending")
    story = transcript.append(model.story, line)
    turn = TurnState("waiting") if online and model.turn.state == "idle" else model.turn
    model = model._replace(
        input=model.input.submit()[1],
        story=story,
        turn=turn,
        requests=model.requests + 1,
        unconfirmed=(*model.unconfirmed, Draft(request, text)),
        selected=None,
        search=Search(),
        notice=Notice(),
        pending_command="",
        suggestions=(),
    )
    model = model._replace(scroll=model.scroll._replace(follow=True))
    effects: tuple[Effect, ...] = (Send(text, request),) if online else ()
    if model.story.detached:
        effects += (Send("/sync"),)
    return (with_line(model, "") if model.rest else model), effects


def _slashed(text: str) -> tuple[str, str]:
    """Returns a line as it is in the story, and as it is sent: a slash at its beginning is sent as two."""
    if text.startswith("//"):
        return text[1:], text
    return text, f"/{text}" if text.startswith("/") else text


def with_line(model: Model, text: str) -> Model:
    """Returns the model with ``text``, and what waits behind it, in the input line.

    What is too long for one line is sent in parts: the first is in the line, the others follow when it was sent.
    """
    text = f"{text}{model.rest}"
    first, rest = _parted(text)
    model = model._replace(input=model.input.with_text(first), rest=rest, menu=-1)
    if not rest and len(text) == len(first):
        return model
    here, all_of_it = len(first), len(text)
    return notify(
        model,
        f"One line takes {limits.PROMPT_CHARS:,} characters: Enter sends the first {here:,} of {all_of_it:,}, "
        "then the next part.",
    )


def _parted(text: str) -> tuple[str, str]:
    """Returns what one line takes of ``text``, cut at the end of a paragraph, line or word; and the rest."""
    most = limits.PROMPT_CHARS
    if len(text) <= most:
        return text, ""
    for end in ("\n\n", "\n", " "):
        cut = text.rfind(end, most // 2, most)
        if cut > 0:
            return text[:cut], text[cut + len(end) :]
    return text[:most], text[most:]
