"""What nobody says is nothing: no owner but the home's, no limit, no flag that is on, no text, no number."""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import msgspec

from flower.engine import store

# Those that say something; of functions that are defaults, whoever calls them without finds what they do.
OTHERS = {
    "lease.opens": True,  # whoever asks for a story is going to play it
    "ChatNode.shown": True,
    "Node.variant": 1,
    "Node.variants": 1,
    "SessionExtra.table_last": -1,  # 0 is the home's owner
    "Table.page": 500,
    "fold.most": 120,
    "list_passages.limit": 100,
    "search.most": 20,
    "sessions.most": 200,
    "listed.most": 200,
}


def modules() -> Iterator[ModuleType]:
    """Yields the modules of the package, those for a server only with its driver."""
    has_driver = importlib.util.find_spec("psycopg") is not None
    for module in pkgutil.walk_packages(store.__path__, f"{store.__name__}."):
        if has_driver or ".postgres." not in module.name:
            yield importlib.import_module(module.name)


def defaults(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yields "name.parameter" and the default of all functions and records that a module has."""
    own = [one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__]
    for one in own:
        if inspect.isclass(one) and issubclass(one, msgspec.Struct):
            values = one.__struct_defaults__
            for field, value in zip(
                one.__struct_fields__[-len(values) or None :], values, strict=False
            ):
                if isinstance(value, bool | int | float | str | tuple):  # else a factory
                    yield f"{one.__name__}.{field}", value
        elif inspect.isclass(one):
            named = getattr(one, "_field_defaults", {})
            yield from ((f"{one.__name__}.{name}", value) for name, value in named.items())
            for part in vars(one).values():
                function = getattr(part, "__func__", part)
                if inspect.isfunction(function) and function.__name__ != "__new__":
                    yield from _of(function)
        elif inspect.isfunction(one):
            yield from _of(one)


def _of(function: object) -> Iterator[tuple[str, object]]:
    assert inspect.isfunction(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not parameter.empty and not callable(parameter.default):
            yield f"{function.__name__}.{name}", parameter.default


def test_what_nobody_says_is_nothing() -> None:
    speaking = {
        name: value
        for module in modules()
        for name, value in defaults(module)
        if value and value is not ...
    }
    assert speaking == OTHERS
