"""What the named actions of ``bindings`` do, and what sending a line means.

Pure: every function takes a model and returns the next one with the effects to carry out.
"""

from __future__ import annotations

from collections.abc import Callable

from flower import limits
from flower.errors import ConfigError
from flower.tui import (
    checklist,
    commands,
    completion,
    keyhints,
    popups,
    scroll,
    search,
    transcript,
    treeview,
)
from flower.tui.geometry import layout_of
from flower.tui.model import (
    Copy,
    Draft,
    Effect,
    Model,
    Notice,
    OpenEditor,
    Popup,
    Quit,
    Repaint,
    Search,
    Send,
    Suspend,
    Turn,
)
from flower.tui.pane import StoryPane
from flower.tui.theme import ASCII, CONSOLE, load_theme

Result = tuple[Model, tuple[Effect, ...]]
TYPED = "{{input}}"  # in a quick reply: what has been typed goes here, and then the cursor


def tell(model: Model, text: str, kind: str = "info") -> Model:
    """Returns the model with ``text`` in its status line."""
    return model._replace(notice=Notice(text, kind))


def run(model: Model, action: str) -> Result:
    """Carries out the action of that name."""
    if action in popups.CHOOSABLE:
        return popups.opened(model, action), ()
    return _ACTIONS[action](model)


# --- sending ------------------------------------------------------------------------------------


def submit(model: Model) -> Result:
    """Sends the input line: a command or a prompt for the narrator."""
    text = model.input.text
    if text.endswith("\\"):
        return model._replace(input=model.input.text_end().backspace().insert("\n")), ()
    if not text.strip():
        return _open_step(model) if checklist.shown(model) else (model, ())
    if commands.is_line(text) or _is_order(model, text):
        return _submit_command(model, text.strip())
    return _submit_prompt(model, text)


def quick_reply(model: Model, place: int) -> Result:
    """Uses the quick reply at ``place``: sends it, or puts it around what is being typed."""
    if place >= len(model.replica.quick_replies):
        return tell(
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
    if step.popup == "sessions" and not model.replica.available_sessions:
        return send_command(model, "/session new")
    return popups.opened(model, step.popup), ()


def _submit_command(model: Model, line: str) -> Result:
    found = completion.candidates(model)
    offered = commands.offered(model.replica)
    if 0 <= model.menu < len(found):
        return take(model, found[model.menu])
    if commands.split(line, offered) is not None or commands.is_plumbing(line) or not found:
        return run_line(model, line)
    begun = [candidate for candidate in found if candidate.line.startswith(line)]
    if len(begun) == 1:
        return take(model, begun[0])
    # Several commands could be meant, or none begins so: what is run has to be seen first.
    marked = model._replace(menu=found.index((begun or found)[0]))
    return tell(marked, f"Enter takes {(begun or found)[0].label}; the arrows choose another."), ()


def take(model: Model, candidate: commands.Candidate) -> Result:
    """Takes a candidate: runs it when it is whole, else puts it into the input line."""
    if candidate.runs:
        return run_line(model, candidate.line)
    return model._replace(input=model.input.with_text(candidate.line), menu=-1), ()


def run_line(model: Model, line: str) -> Result:
    """Runs a whole command line as if typed and sent."""
    found = commands.split(line, commands.offered(model.replica))
    if found is None:
        return send_command(model, line)
    command, argument = found
    if command.argument and not command.optional and not argument:
        if command.argument in commands.ON_MESSAGES and model.story.messages:
            model = choose_messages(_input_done(model)._replace(selected=None))[0]
            key = commands.message_key(command)
            return tell(model, f"Choose a message and press {key} to {command.summary}."), ()
        if command.argument in (*popups.CHOOSABLE, "themes"):
            delete = command.name == "/session delete"
            model = popups.opened(_input_done(model), command.argument)
            return (tell(model, "Delete puts a story into the trash.") if delete else model), ()
        return tell(
            model._replace(input=model.input.with_text(command.name + " ")),
            f"{command.summary}: type it after the command.",
        ), ()
    if not command.local:
        return send_command(model, line)
    return _LOCAL[command.name](_remember(_input_done(model), command.name), argument)


def _input_done(model: Model) -> Model:
    """Returns the model with its input line kept in the history and emptied, if it is a command."""
    if not (commands.is_line(model.input.text) or _is_order(model, model.input.text)):
        return model
    return model._replace(input=model.input.submit()[1], menu=-1, menu_closed=False)


def _remember(model: Model, name: str) -> Model:
    recent = (name, *(one for one in model.recent if one != name))[: limits.RECENT_COMMANDS]
    return model._replace(recent=recent)


def send_command(model: Model, line: str) -> Result:
    """Sends a command to the engine; without a connection the line stays where it is."""
    if model.link.state != "online":
        return tell(model, "Not connected yet: the command waits in the input line.", "bad"), ()
    found = commands.split(line, commands.offered(model.replica))
    model = _remember(model, found[0].name) if found else model
    return _input_done(model), (Send(line),)


def _submit_prompt(model: Model, text: str) -> Result:
    if len(text) > limits.PROMPT_CHARS:
        return tell(
            model, f"That is {len(text)} characters; the engine takes {limits.PROMPT_CHARS}.", "bad"
        ), ()
    if checklist.shown(model):
        return tell(model, "First begin a story: empty the line and press Enter, or F6.", "bad"), ()
    if len(model.unconfirmed) >= limits.UNCONFIRMED_PROMPTS:
        return tell(model, "Too many lines wait for the engine; this one stays here.", "bad"), ()
    request = f"{model.nonce}-{model.requests + 1}"
    online = model.link.state == "online"
    line = transcript.Message(0, "user", text, request=request, status="sent" if online else "pending")
    story = transcript.append(model.story, line)
    turn = Turn("waiting") if online and model.turn.state == "idle" else model.turn
    model = model._replace(
        input=model.input.submit()[1],
        story=story,
        turn=turn,
        requests=model.requests + 1,
        unconfirmed=(*model.unconfirmed, Draft(request, text)),
        selected=None,
        search=Search(),
        notice=Notice(),
    )
    model = model._replace(scroll=model.scroll._replace(follow=True))
    effects: tuple[Effect, ...] = (Send(text, request),) if online else ()
    if model.story.detached:
        effects += (Send("/sync"),)
    return model, effects


# --- keys with a name ---------------------------------------------------------------------------


def escape(model: Model) -> Result:
    """Closes what is open; else stops the reply; else clears the line. It never leaves."""
    if model.popup is not None:
        return model._replace(popup=None), ()
    if model.search.typing or model.selected is not None:
        return model._replace(search=Search(), selected=None), ()
    if completion.candidates(model):
        return model._replace(menu_closed=True, menu=-1), ()
    if model.turn.state in ("waiting", "streaming") and model.link.state == "online":
        stopping = model._replace(turn=model.turn._replace(state="stopping"))
        return tell(stopping, "Stopping the reply."), (Send("/cancel"),)
    if model.search.term:
        return model._replace(search=Search()), ()
    if model.turn.state == "stopping":
        return model, ()
    if model.input.text:
        cleared = model.input.remembering(model.input.text).clear()
        model = model._replace(input=cleared, menu=-1, menu_closed=False)
        return tell(model, f"Cleared; {model.theme.glyphs.up} brings the line back."), ()
    return tell(model, f"Nothing is open. {keyhints.key_of(model, 'quit')} leaves Flower."), ()


def interrupt(model: Model) -> Result:
    """Does what ``escape`` does; the second time in a row that nothing is left to do it leaves."""
    if asks_to_leave(model):
        return model, (Quit(),)
    after, effects = escape(model)
    if effects or after._replace(notice=model.notice) != model:
        return after, effects
    return tell(model, _leaving(model)), ()


def asks_to_leave(model: Model) -> bool:
    """Whether the last key was an ``interrupt`` with nothing to do."""
    return model.notice.text == _leaving(model)


def _leaving(model: Model) -> str:
    return f"{keyhints.key_of(model, 'interrupt')} again leaves Flower; everything is saved."


def complete(model: Model) -> Result:
    """Completes the typed command with the chosen or best candidate."""
    found = completion.every(model)
    if not found:
        return model, ()
    line = found[max(0, min(model.menu, len(found) - 1))].line
    return model._replace(input=model.input.with_text(line), menu=-1, menu_closed=False), ()


def scroll_by(model: Model, rows: int) -> Result:
    """Returns the model with its story moved; reaching the end it follows the story again."""
    place = scroll.moved(model, layout_of(model), rows)
    return to_bottom(model) if place.follow and rows > 0 else (model._replace(scroll=place), ())


def _page(model: Model) -> int:
    return max(1, layout_of(model).pane_rows - 2)  # two rows stay, to find one's place


def to_bottom(model: Model) -> Result:
    """Goes to the newest text, fetching it again if it was let go."""
    meter = model.meter._replace(live_new_words=0, new_words=0)
    model = model._replace(scroll=scroll.bottom(model, layout_of(model)), meter=meter)
    return model, (Send("/sync"),) if model.story.detached else ()


def choose_messages(model: Model) -> Result:
    """Begins or ends choosing messages with the keyboard."""
    if model.selected is not None:
        return model._replace(selected=None), ()
    if not model.story.messages:
        return tell(model, "There is no message to choose yet."), ()
    key = model.story.messages[-1].key
    model = model._replace(selected=key)
    return model._replace(scroll=scroll.reveal(model, layout_of(model), key)), ()


def copy_last(model: Model, _argument: str = "") -> Result:
    """Copies the newest reply."""
    for message in reversed(model.story.messages):
        if message.role == "assistant" and message.text:
            return tell(model, "Copied the last reply.", "good"), (Copy(message.text),)
    return tell(model, "There is no reply to copy yet."), ()


def use_theme(model: Model, name: str) -> Result:
    """Changes the colours until the face ends; ``config.yaml`` keeps them."""
    glyphs, settings = model.theme.glyphs, model.settings
    try:
        theme = load_theme(
            name,
            settings.styles,
            utf8=glyphs != ASCII,
            console=glyphs == CONSOLE,
            own=settings.own_themes,
        )
    except ConfigError as error:
        words = str(error).removeprefix("tui.theme: ")
        return tell(model, words[:1].upper() + words[1:], "bad"), ()
    settings = settings._replace(theme=name)
    return model._replace(theme=theme, pane=StoryPane(theme), settings=settings), ()


def _toggle_thinking(model: Model) -> Result:
    return model._replace(unfolded=not model.unfolded), ()


def _toggle_sidebar(model: Model) -> Result:
    if model.columns < limits.SIDEBAR_FROM_COLUMNS:
        return tell(model, f"The sidebar needs {limits.SIDEBAR_FROM_COLUMNS} columns."), ()
    settings = model.settings._replace(sidebar=not model.settings.sidebar)
    return model._replace(settings=settings), ()


def _insert_newline(model: Model) -> Result:
    return model._replace(input=model.input.insert("\n")), ()


_ACTIONS: dict[str, Callable[[Model], Result]] = {
    "submit": submit,
    "newline": _insert_newline,
    "complete": complete,
    "editor": lambda model: (model, (OpenEditor(model.input.text),)),
    "escape": escape,
    "palette": lambda model: (popups.opened(model, "palette"), ()),
    "help": lambda model: (popups.opened(model, "keys"), ()),
    "sidebar": _toggle_sidebar,
    "thinking": _toggle_thinking,
    "tree": treeview.opened,
    "page_up": lambda model: scroll_by(model, -_page(model)),
    "page_down": lambda model: scroll_by(model, _page(model)),
    "line_up": lambda model: scroll_by(model, -1),
    "line_down": lambda model: scroll_by(model, 1),
    "top": lambda model: (model._replace(scroll=scroll.top(model)), ()),
    "bottom": to_bottom,
    "search": lambda model: search.find(model, ""),
    "messages": choose_messages,
    "redraw": lambda model: (model, (Repaint(),)),
    "suspend": lambda model: (model, (Suspend(),)),
    "interrupt": interrupt,
    "quit": lambda model: (model, (Quit(),)),
}
_LOCAL: dict[str, Callable[[Model, str], Result]] = {
    "/find": search.find,
    "/theme": use_theme,
    "/copy": copy_last,
    "/tree": treeview.opened,
    "/keys": lambda model, _argument: (model._replace(popup=Popup("keys")), ()),
    "/quit": lambda model, _argument: (model, (Quit(),)),
}
