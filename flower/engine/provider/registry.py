"""Every narrator there is: configured endpoints, servers found on this machine, local files, offline.

Owns the providers and the catalogue of models. Providers are made when first used. Lists of models
are fetched in the background, in parallel, and survive a restart in a file, so that nothing here ever
makes a start or a prompt wait.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import trio

from flower import file_io, limits
from flower.engine.offline.provider import OfflineNarrator
from flower.engine.provider import models as catalogue
from flower.engine.provider import services
from flower.engine.provider.base import ModelInfo, Provider
from flower.engine.provider.capabilities import Composing
from flower.engine.provider.endpoint import KINDS, Endpoint
from flower.engine.provider.llamacpp.files import ModelFiles
from flower.engine.provider.llamacpp.provider import LocalProvider
from flower.engine.provider.models import Listed, known_model
from flower.engine.provider.setup import read_setup
from flower.engine.provider.text_prompts import BASE_NOTE, is_base
from flower.errors import ProviderError
from flower.file_io import write_whole
from flower.home import Home
from flower.protocol.messages import ModelOption
from flower.settings.config import Config, SupportedModel

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 0.3  # looking for local servers must not be felt
CATALOGUE_MAX_AGE_S = 24 * 3600.0  # prices change slowly; a start must not wait for lists

OFFLINE = "offline/narrator"
SHIPPED_MODELS = Path(__file__).resolve().parents[2] / "models"


class ModelRegistry:
    """All narrators. ``on_change`` is called when the list of models has changed.

    ``build`` makes the provider of an endpoint, ``clock`` is Unix time.
    """

    def __init__(
        self,
        config: Config,
        home: Home,
        *,
        environ: Mapping[str, str] | None = None,
        build: Callable[[Endpoint], Provider] = services.build,
        clock: Callable[[], float] = time.time,
    ) -> None:
        setup = read_setup(config, os.environ if environ is None else environ, home.root)
        self.problems = setup.problems
        self.on_change: Callable[[], None] = _nothing
        self._config = config
        self._configured = setup.configured
        self._probed = setup.probed
        self._alive: set[str] = set()  # names of probed servers that listen
        self._build = build
        self._clock = clock
        self._file = home.root / "catalogue.json"
        self._catalogue: dict[str, Listed] = {}
        self._offline = OfflineNarrator(
            words_per_s=config.narrator.words_per_s, phrases=home.assets / "phrases"
        )
        self._local = LocalProvider(ModelFiles((home.models, SHIPPED_MODELS)), home.logs / "llama.log")
        self._built_in = (self._offline.name, self._local.name)
        self._providers: dict[str, Provider] = dict(
            zip(self._built_in, (self._offline, self._local), strict=True)
        )
        self._options: tuple[ModelOption, ...] | None = None

    # --- questions ------------------------------------------------------------------------------

    def resolve(self, model_id: str) -> tuple[Provider, str]:
        """Returns the provider of a model id and the model's name there.

        Raises ``ProviderError``: ``model_not_found`` names the closest match, ``auth`` the key that
        is missing.
        """
        name, model = self._locate(model_id)
        if name == self._local.name:
            self._local.check(model)
        return self._provider(name), model

    def default(self) -> str:
        """Returns the id of the model that narrates when the user has chosen none."""
        if self._config.default_model:
            return self._config.default_model
        for endpoint in self._configured:
            return f"{endpoint.name}/{self._first_model(endpoint)}"
        return OFFLINE

    def info(self, model_id: str) -> ModelInfo | None:
        """Returns what is known of a model; None when nobody offers it."""
        try:
            name, model = self._locate(model_id)
        except ProviderError:
            return None
        listed = self._info(name, model)
        return _priced(listed, self._favourite(model_id))

    def composes(self, model_id: str) -> bool:
        """Returns whether a model id means a narrator that plays without a model."""
        return isinstance(self._providers.get(model_id.partition("/")[0]), Composing)

    def options(self) -> tuple[ModelOption, ...]:
        """Returns all models for a picker: favourites, configured, on this machine, offline."""
        if self._options is None:
            options = {option.id: option for option in reversed([*self._list_options()])}
            self._options = tuple(reversed(options.values()))
        return self._options

    # --- life -----------------------------------------------------------------------------------

    @property
    def file_problems(self) -> tuple[str, ...]:
        """Files in the models folder that are no models, each with the reason."""
        return self._local.files.problems

    async def look_for_files(self) -> None:
        """Looks into the models folder again and tells of what is new."""
        await self._local.files.scan()
        self._options = None
        self.on_change()

    def local_bytes(self) -> Mapping[str, int]:
        """Returns the bytes of each model from a file, by its id."""
        return self._local.files.sizes()

    async def run(self) -> None:
        """Keeps the catalogue fresh and unloads idle local models, until cancelled."""
        self._catalogue.update(await trio.to_thread.run_sync(self._load))
        self._changed()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._local.run)
            nursery.start_soon(self._warm)
            while True:
                await self._refresh(self._stale())
                await trio.sleep(CATALOGUE_MAX_AGE_S)

    async def _warm(self) -> None:
        """Imports what the configured providers need, so that the first prompt does not wait for it."""
        for kind in {endpoint.kind for endpoint in self._configured}:
            await trio.to_thread.run_sync(services.load, kind)

    async def refresh(self) -> tuple[str, ...]:
        """Fetches every list now; returns one sentence for each that could not be had."""
        return await self._refresh(self._configured)

    async def aclose(self) -> None:
        """Closes every connection and ends every child process."""
        for provider in self._providers.values():
            await provider.aclose()

    # --- finding --------------------------------------------------------------------------------

    def _endpoints(self) -> tuple[Endpoint, ...]:
        return self._configured + self._probed

    def _locate(self, model_id: str) -> tuple[str, str]:
        head, _, rest = model_id.partition("/")
        if head in self._built_in and rest:
            return head, rest
        if head in self.problems:
            raise ProviderError("bad_request", self.problems[head])
        try:
            return catalogue.locate(model_id, self._endpoints(), self._catalogue)
        except ProviderError as error:
            near = [option.id for option in self.options() if model_id.lower() in option.id.lower()]
            if error.kind != "model_not_found" or len(near) != 1:
                raise
            raise ProviderError(
                error.kind, f"There is no model {model_id!r}; did you mean {near[0]}?"
            ) from None

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            endpoint = next(e for e in self._endpoints() if e.name == name)
            self._providers[name] = self._build(endpoint)
        return self._providers[name]

    def _first_model(self, endpoint: Endpoint) -> str:
        if endpoint.models:
            return endpoint.models[0]
        usual = KINDS[endpoint.kind].first_model
        listed = self._catalogue.get(endpoint.name)
        if listed is None or not listed.models:
            return usual.removeprefix("openrouter/") or catalogue.FIRST
        if catalogue.find(self._catalogue, endpoint.name, usual) is not None:
            return usual.removeprefix("openrouter/") or listed.models[0].id
        return listed.models[0].id

    def _info(self, name: str, model: str) -> ModelInfo:
        if name == self._local.name:
            return self._local.files.info(model) or ModelInfo(model, model)
        return catalogue.find(self._catalogue, name, model) or known_model(model)

    def _favourite(self, model_id: str) -> SupportedModel | None:
        return next((m for m in self._config.supported_models if m.id == model_id), None)

    # --- listing --------------------------------------------------------------------------------

    def _list_options(self) -> Iterable[ModelOption]:
        for favourite in self._config.supported_models:
            info = self.info(favourite.id) or ModelInfo(favourite.id, favourite.id)
            yield _option(favourite.id, _priced(info, favourite), "")
        for endpoint in self._configured:
            yield from self._endpoint_options(endpoint)
        for info in self._local.files.listed():
            yield _option(f"{self._local.name}/{info.id}", info, "on this machine")
        for endpoint in self._probed:
            if endpoint.name in self._alive:
                yield from self._endpoint_options(endpoint)
        yield ModelOption(OFFLINE, "Offline narrator (no AI model)", 0.0, 0.0, note="needs no network")

    def _endpoint_options(self, endpoint: Endpoint) -> Iterable[ModelOption]:
        note = "on this machine" if endpoint.local else ""
        listed = self._catalogue.get(endpoint.name)
        models = [self._info(endpoint.name, model) for model in endpoint.models]
        models += listed.models if listed is not None else ()
        if not models:
            first = self._first_model(endpoint)
            models = [ModelInfo(first, f"{endpoint.name}: the first model it offers")]
            if first != catalogue.FIRST:
                models = [self._info(endpoint.name, first)]
        for info in models:
            remark = BASE_NOTE if endpoint.own and is_base(info.id) else ""
            own = info.id.removeprefix("openrouter/") if endpoint.kind == "openrouter" else info.id
            yield _option(f"{endpoint.name}/{own}", info, "; ".join(filter(None, (note, remark))))

    # --- fetching -------------------------------------------------------------------------------

    def _stale(self) -> tuple[Endpoint, ...]:
        """Returns the endpoints to ask: local servers always, remote ones when their list is old."""
        oldest = self._clock() - CATALOGUE_MAX_AGE_S
        return tuple(
            endpoint
            for endpoint in self._configured
            if endpoint.local
            or endpoint.name not in self._catalogue
            or self._catalogue[endpoint.name].fetched_at < oldest
        )

    async def _refresh(self, endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
        problems: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._local.files.scan)
            for endpoint in endpoints:
                nursery.start_soon(self._fetch, endpoint, problems)
            for endpoint in self._probed:
                nursery.start_soon(self._probe, endpoint)
        self._changed()
        await trio.to_thread.run_sync(self._save, dict(self._catalogue))
        return tuple(problems)

    async def _probe(self, endpoint: Endpoint) -> None:
        """Asks a server that listens; what else may live at such a port is nobody's problem."""
        if await listens(endpoint.base_url):
            await self._fetch(endpoint, [])
        else:
            self._alive.discard(endpoint.name)

    async def _fetch(self, endpoint: Endpoint, problems: list[str]) -> None:
        await trio.to_thread.run_sync(services.load, endpoint.kind)
        try:
            with trio.fail_after(limits.CATALOGUE_TIMEOUT_S):
                models = await self._provider(endpoint.name).models()
        except ProviderError as error:
            self._alive.discard(endpoint.name)
            problems.append(str(error))
            return
        except trio.TooSlowError:
            problems.append(
                f"{endpoint.name} did not send its list of models in time; try again later."
            )
            return
        except (
            Exception
        ) as bug:  # an edge: one server that answers nonsense must not hide all the others
            log.exception("the list of models of %s could not be read", endpoint.name)
            self._alive.discard(endpoint.name)
            kind = type(bug).__name__
            problems.append(f"The list of models of {endpoint.name} could not be read ({kind}).")
            return
        self._alive.add(endpoint.name)
        self._catalogue[endpoint.name] = Listed(endpoint.base_url, self._clock(), models)

    def _changed(self) -> None:
        self._options = None
        self.on_change()

    def _load(self) -> dict[str, Listed]:
        try:
            data = file_io.read(self._file, 32 * limits.MIB)
        except OSError:
            return {}  # the first start, or lists nobody needs
        return catalogue.decode(data, self._endpoints())

    def _save(self, lists: Mapping[str, Listed]) -> None:
        """A list lost to a full disk is fetched again."""
        try:
            write_whole(self._file, [catalogue.encode(lists)], durable=False)
        except OSError as error:
            log.warning("the list of models was not kept: %s", error)


def _nothing() -> None:
    """Nobody listens."""


def _option(model_id: str, info: ModelInfo, note: str) -> ModelOption:
    unknown = info.prompt_price is None and not info.price_varies and not note
    return ModelOption(
        id=model_id,
        name=info.name,
        prompt_price=info.prompt_price or 0.0,
        completion_price=info.completion_price or 0.0,
        price_varies=info.price_varies,
        context=info.context_tokens,
        note="price unknown" if unknown else note,
    )


def _priced(info: ModelInfo, favourite: SupportedModel | None) -> ModelInfo:
    """Returns ``info`` with the name and prices the user gave."""
    if favourite is None:
        return info
    priced = favourite.prompt_price is not None or favourite.completion_price is not None
    return ModelInfo(
        id=info.id,
        name=favourite.name or info.name,
        context_tokens=info.context_tokens,
        prompt_price=favourite.prompt_price if priced else info.prompt_price,
        completion_price=favourite.completion_price if priced else info.completion_price,
        price_varies=info.price_varies and not priced,
    )


# --- Looks whether a server listens, without bothering it.
#
# Opens a connection and closes it again; never sends a byte. Only for addresses on this machine, where
# an answer takes microseconds.


async def listens(base_url: str) -> bool:
    """Returns whether something accepts connections at the address within ``PROBE_TIMEOUT_S``."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with trio.move_on_after(PROBE_TIMEOUT_S):
        try:
            stream = await trio.open_tcp_stream(parts.hostname or "127.0.0.1", port)
        except OSError:
            return False
        await trio.aclose_forcefully(stream)
        return True
    return False
