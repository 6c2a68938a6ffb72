"""Commands about models: choosing one, getting files of them, and how they write: settings, and presets of these."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from flower.engine.commands.lookup import closest, story_of
from flower.engine.provider.capabilities import Remarking
from flower.engine.provider.llamacpp import fetch, sizes
from flower.engine.provider.llamacpp.files import core_count, read_memory
from flower.engine.provider.llamacpp.sizes import Measured
from flower.engine.provider.text_prompts import SERVER, TEMPLATES
from flower.engine.sessions import snapshot
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.fetches import Fetch
from flower.engine.sessions.rights import OWNER, Need
from flower.engine.sessions.session import Client
from flower.engine.store import selections
from flower.engine.store.library import presets
from flower.errors import CommandError
from flower.settings import samplers
from flower.settings.samplers import parsed, value_text

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
HEX = re.compile(r"[0-9a-fA-F]{4,}")
WHERE = (
    'Which file: take one whose name says "instruct", "it" or "chat": it follows what the story '
    'asks; one without ("base") only goes on with text. Each model has files of several '
    "quantisations; Q4_K_M is the one to begin with.\n"
    "Where: on the web, sites that host models have a page for each; search for GGUF and the size "
    "that fits. The page lists the files and, behind the name, the SHA-256 of each. Copy the address"
    " behind Download, which ends with .gguf.\n"
    "Then: /models get ADDRESS [SHA256], or the path of a file you have. What runs it: ./start.sh "
    "--setup local, once."
)


async def select_model(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which model? /model ID, for example " + engine.registry.default() + ".")
    provider, model = engine.registry.resolve(argument)
    await engine.choose(client, model=argument)
    remarks = provider.remarks(model) if isinstance(provider, Remarking) else ()
    text = " ".join((f"✓ Model: {argument}.", *remarks))
    client.notify(text, snapshot.selection_state(client.chosen, engine.registry))


async def refresh_models(engine: Engine, client: Client, argument: str) -> None:
    client.notify("Asking the providers …")
    problems = await engine.registry.refresh()
    count = len(engine.registry.options())
    count_text = "1 model is" if count == 1 else f"{count} models are"
    # In one piece: a client shows the newest news only, and the count would hide the trouble.
    client.notify(
        f"✗ {' '.join(problems)} {count_text} in the list."
        if problems
        else f"✓ {count_text} in the list."
    )


async def get(engine: Engine, client: Client, argument: str) -> None:
    """``/models get [ADDRESS|PATH] [SHA256]``, ``/models get stop``."""
    source, sha256 = _parts(argument)
    if not source:
        client.notify(f"{await advice(engine)}\n{WHERE}")
        return
    if client.rights != OWNER:
        raise CommandError("Models are fetched by the engine's own user on its machine only.")
    if source == "stop":
        client.notify("✓ Stopping." if engine.fetches.stop() else "Nothing is being fetched.")
        return
    if engine.program is None:
        raise CommandError("This engine has no models folder.")
    folder = engine.program.home.models
    name = fetch.file_name(source)
    work: Fetch
    if source.lower().startswith(("http://", "https://")):
        work = partial(_download, source, folder, sha256)
    elif "://" in source:
        raise CommandError("An address begins with https://; anything else is taken for a path.")
    else:
        work = partial(_take, _path(source), folder, sha256)
    engine.fetches.start(name, work, client.notify, engine.registry.look_for_files)
    client.notify(f"Fetching {name} …")


async def _download(url: str, folder: Path, sha256: str, report: fetch.Report) -> fetch.Fetched:
    return await fetch.fetch(url, folder, report, sha256=sha256)


def _path(source: str) -> Path:
    return Path(source).expanduser()


async def _take(path: Path, folder: Path, sha256: str, report: fetch.Report) -> fetch.Fetched:
    return await fetch.take(path, folder, sha256=sha256)


def _parts(argument: str) -> tuple[str, str]:
    """Returns the address or path, which may have blanks, and the SHA-256 behind it.

    Raises ``CommandError`` for digits that are none.
    """
    before, _, last = argument.strip().rpartition(" ")
    if before.endswith(".gguf") and HEX.fullmatch(last) and not SHA256.fullmatch(last):
        raise CommandError(f"A SHA-256 has 64 digits out of 0-9 and a-f, and not {len(last)}.")
    return (before.strip(), last) if before and SHA256.fullmatch(last) else (argument.strip(), "")


async def advice(engine: Engine) -> str:
    """Returns what this machine can run."""
    await engine.registry.look_for_files()
    sizes_here = engine.registry.local_bytes()
    measured = [
        Measured(model, sizes_here[model], rate)
        for model, rate in engine.metrics.rates.items()
        if model in sizes_here
    ]
    memory_bytes, _ = read_memory()
    have = f"\nHere already: {', '.join(sizes_here)}." if sizes_here else ""
    return sizes.advice(memory_bytes, core_count(), measured) + have


PRESETS_MOST = 500  # of one home

# --- /set lists, sets and takes back; per story, or per model in every story ---------------------------


async def set_(engine: Engine, client: Client, argument: str) -> None:
    words = argument.split(None, 1)
    if words and words[0] == "model":
        client.check(Need.HOME)
        await _set_for_model(engine, client, words[1] if len(words) > 1 else "")
    elif words:
        await _set_for_story(engine, client, *await _setting(engine, argument))
    else:
        await _list(engine, client)


async def _setting(engine: Engine, argument: str) -> tuple[str, object]:
    """Returns name and value; raises ``CommandError`` for what is no setting, no value or no template."""
    name, value = parsed(argument)
    if name == samplers.TEMPLATE and isinstance(value, str):
        imported = await engine.services.database.read(presets.names, presets.INSTRUCT)
        templates = {one.lower(): one for one in (*TEMPLATES, SERVER, *imported)}
        if value.lower() not in templates:
            raise CommandError(f"There is no template {value!r}.{closest(value, sorted(templates))}")
        value = templates[value.lower()]
    return name, value


async def _set_for_story(engine: Engine, client: Client, name: str, value: object) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /set model NAME VALUE sets it for the model.")
    await engine.services.database.write(selections.set_of_story, client.session.id, name, value)
    client.notify(f"✓ {name} is {value_text(value)} in this story.")


async def _set_for_model(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which setting? /set model temperature 0.8 sets it for the chosen model.")
    name, value = await _setting(engine, argument)
    model = client.chosen.model or engine.registry.default()
    await engine.services.database.write(selections.set_of_model, model, name, value)
    client.notify(f"✓ {name} is {value_text(value)} for {model}.")


async def _list(engine: Engine, client: Client) -> None:
    model = client.chosen.model or engine.registry.default()
    own = await _own(engine, client)
    everywhere = dict(engine.services.params)
    rows = [f"{name} {value_text(value)}" for name, value in {**everywhere, **own}.items()]
    hint = "It can be one of: " + ", ".join(samplers.NAMES) + ". /set NAME off takes a setting back."
    client.notify("\n".join([f"Settings for {model}:", *(rows or ["none: the model's own"]), hint]))


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
    names = await engine.services.database.read(presets.names, presets.SAMPLERS, client.visitor.id)
    if len(names) >= PRESETS_MOST and argument not in names:
        raise CommandError(f"There are {PRESETS_MOST} presets, the most one home holds; delete some.")
    database = engine.services.database
    values = samplers.checked(own)
    await database.write(
        presets.put, presets.SAMPLERS, argument, values, engine.now(), client.visitor.id
    )
    client.notify(f"✓ Preset {argument}: {_listed(own)}.")


async def load_preset(engine: Engine, client: Client, argument: str) -> None:
    """Makes the settings of this story those of a preset."""
    session = story_of(client)
    name, values = await _preset(engine, client, argument)
    await engine.services.database.write(selections.set_all_of_story, session.id, values)
    client.notify(f"✓ This story has the settings of {name}: {_listed(values)}.")


async def list_presets(engine: Engine, client: Client, argument: str) -> None:
    database = engine.services.database
    listed = await database.read(presets.listed, presets.SAMPLERS, client.visitor.id)
    templates = await database.read(presets.names, presets.INSTRUCT)
    rows = [f"  {name}: {_listed(samplers.checked(values))}" for name, values in listed.items()]
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


async def _preset(engine: Engine, client: Client, name: str) -> tuple[str, dict[str, object]]:
    preset = await engine.services.database.read(
        presets.find, presets.SAMPLERS, name, client.visitor.id
    )
    if preset is None:
        raise CommandError(await _missing(engine, client, name))
    return preset[0], samplers.checked(preset[1])


async def _missing(engine: Engine, client: Client, name: str) -> str:
    names = await engine.services.database.read(presets.names, presets.SAMPLERS, client.visitor.id)
    return f"Which preset? There is no {name!r}.{closest(name, list(names))}"


def _listed(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items()) or "nothing"
