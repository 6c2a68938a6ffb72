"""Commands about how the model writes: settings of a story or a model, and presets of them."""

from __future__ import annotations

from flower.engine.commands.lookup import closest
from flower.engine.provider.text_prompts import SERVER, TEMPLATES
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import Need
from flower.engine.sessions.session import Client
from flower.engine.store import presets, selections
from flower.errors import CommandError
from flower.settings import samplers
from flower.settings.samplers import parsed, value_text

PRESETS_MOST = 500  # of one home

# --- /set lists, sets and takes back; per story, or per model in every story ---------------------------


async def set_(engine: Engine, client: Client, argument: str) -> None:
    words = argument.split(None, 1)
    if words and words[0] == "model":
        client.check(Need.HOME)
        await _set_for_model(engine, client, words[1] if len(words) > 1 else "")
    elif words:
        await _set_for_story(engine, client, *await _known(engine, argument))
    else:
        await _list(engine, client)


async def _known(engine: Engine, argument: str) -> tuple[str, object]:
    """Returns name and value; raises ``CommandError`` for what is no setting, no value or no template."""
    name, value = parsed(argument)
    if name == samplers.TEMPLATE and isinstance(value, str):
        imported = await engine.services.database.read(presets.names, presets.INSTRUCT)
        known = {known.lower(): known for known in (*TEMPLATES, SERVER, *imported)}
        if value.lower() not in known:
            raise CommandError(f"There is no template {value!r}.{closest(value, sorted(known))}")
        value = known[value.lower()]
    return name, value


async def _set_for_story(engine: Engine, client: Client, name: str, value: object) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /set model NAME VALUE sets it for the model.")
    await engine.services.database.write(selections.set_of_story, client.session.id, name, value)
    client.notify(f"✓ {name} is {value_text(value)} in this story.")


async def _set_for_model(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which setting? /set model temperature 0.8 sets it for the chosen model.")
    name, value = await _known(engine, argument)
    model = client.chosen.model or engine.registry.default()
    await engine.services.database.write(selections.set_of_model, model, name, value)
    client.notify(f"✓ {name} is {value_text(value)} for {model}.")


async def _list(engine: Engine, client: Client) -> None:
    model = client.chosen.model or engine.registry.default()
    own = await _own(engine, client)
    everywhere = dict(engine.services.params)
    rows = [f"{name} {value_text(value)}" for name, value in {**everywhere, **own}.items()]
    known = "It can be one of: " + ", ".join(samplers.NAMES) + ". /set NAME off takes a setting back."
    client.notify("\n".join([f"Settings for {model}:", *(rows or ["none: the model's own"]), known]))


async def _own(engine: Engine, client: Client) -> dict[str, object]:
    model = client.chosen.model or engine.registry.default()
    session_id = client.session.id if client.session is not None else ""
    return await engine.services.database.read(selections.of_story, session_id, model)


# --- presets: settings under a name -------------------------------------------------------------------


async def save_preset(engine: Engine, client: Client, argument: str) -> None:
    """Keeps the settings that hold here under a name."""
    if not argument or len(argument) > samplers.NAME_CHARS:
        raise CommandError(
            f"Under which name, of {samplers.NAME_CHARS} characters at most? For example /preset save calm."
        )
    own = await _own(engine, client)
    if not own:
        raise CommandError("Nothing is set here; /set temperature 0.8 sets something.")
    known = await engine.services.database.read(presets.names, presets.SAMPLERS, client.visitor.id)
    if len(known) >= PRESETS_MOST and argument not in known:
        raise CommandError(f"There are {PRESETS_MOST} presets, the most one home holds; delete some.")
    database = engine.services.database
    values = samplers.checked(own)
    await database.write(
        presets.put, presets.SAMPLERS, argument, values, engine.now(), client.visitor.id
    )
    client.notify(f"✓ Preset {argument}: {_told(own)}.")


async def load_preset(engine: Engine, client: Client, argument: str) -> None:
    """Makes the settings of this story those of a preset."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    name, values = await _preset(engine, client, argument)
    await engine.services.database.write(selections.set_all_of_story, client.session.id, values)
    client.notify(f"✓ This story has the settings of {name}: {_told(values)}.")


async def list_presets(engine: Engine, client: Client, argument: str) -> None:
    database = engine.services.database
    listed = await database.read(presets.listed, presets.SAMPLERS, client.visitor.id)
    templates = await database.read(presets.names, presets.INSTRUCT)
    rows = [f"  {name}: {_told(samplers.checked(values))}" for name, values in listed.items()]
    rows = [
        "Presets; /preset load NAME gives this story one:",
        *(rows or ["  none yet: /preset save NAME"]),
    ]
    if templates:
        rows += [
            "Templates; /set template NAME writes prompts with one:",
            *(f"  {t}" for t in templates),
        ]
    client.notify("\n".join(rows))


async def delete_preset(engine: Engine, client: Client, argument: str) -> None:
    """Deletes a preset, or a template that was imported; stories keep the settings they have."""
    database = engine.services.database
    user = client.visitor.id
    for kind in presets.KINDS if not user else (presets.SAMPLERS,):  # templates are everybody's
        if await database.write(presets.remove, kind, argument, user):
            client.notify(f"✓ {argument} is deleted.")
            return
    raise CommandError(await _missing(engine, client, argument))


async def _preset(engine: Engine, client: Client, wanted: str) -> tuple[str, dict[str, object]]:
    found = await engine.services.database.read(
        presets.find, presets.SAMPLERS, wanted, client.visitor.id
    )
    if found is None:
        raise CommandError(await _missing(engine, client, wanted))
    return found[0], samplers.checked(found[1])


async def _missing(engine: Engine, client: Client, wanted: str) -> str:
    known = await engine.services.database.read(presets.names, presets.SAMPLERS, client.visitor.id)
    return f"Which preset? There is no {wanted!r}.{closest(wanted, list(known))}"


def _told(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items()) or "nothing"
