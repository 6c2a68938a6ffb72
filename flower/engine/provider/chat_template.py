"""Chat templates as models bring them: Jinja, rendered within bounds.

Pure. A template is a program by a stranger, so it gets a sandbox with far less in it than Jinja's own: a list of
filters, of methods of texts and of mappings, no other attribute. Every loop, call, look-up and text that is made
costs of one budget of steps and characters; what goes beyond ends the rendering, so that no template takes
longer than the budget, whatever it does. The same template and messages give the same text.

What templates expect is what Hugging Face's ``apply_chat_template`` gives them: ``messages``, ``bos_token``,
``eos_token``, ``add_generation_prompt``, ``raise_exception``, and blocks trimmed. There is no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from flower.engine.provider.base import PromptMessage, Role

SOURCE_CHARS = 64 * 1024
STEPS = 200_000  # turns of loops, calls, look-ups: some 0.3 s at most
CHARS = 8 * 1024 * 1024  # of all texts that are made on the way, and of the prompt
RANGE = 10_000
NUMBER = 2**63
CACHED = 8  # templates that stay compiled

_FILTERS = (
    "trim", "upper", "lower", "capitalize", "title", "length", "count", "default", "d", "first", "last", "list",
    "string", "int", "float", "abs", "round", "min", "max", "items", "dictsort", "unique", "safe", "tojson",
    "map", "select", "reject", "selectattr", "rejectattr", "reverse",
)  # fmt: skip
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        {
            "strip",
            "lstrip",
            "rstrip",
            "startswith",
            "endswith",
            "split",
            "rsplit",
            "upper",
            "lower",
            "title",
        }
        | {
            "capitalize",
            "find",
            "rfind",
            "count",
            "replace",
            "join",
            "isdigit",
            "partition",
            "rpartition",
        }
        | {"removeprefix", "removesuffix", "splitlines"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"index", "count"}),
    tuple: frozenset({"index", "count"}),
}
_FORMATTING = ("format", "format_map")  # widths make a text of any size
_LOOP = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "depth", "depth0"}
)  # fmt: skip


class ChatTemplateError(Exception):
    """A template that cannot be used; the text says why, for a sentence."""


class _Budget:
    """What one rendering may still do."""

    def __init__(self) -> None:
        self.steps = STEPS
        self.chars = CHARS

    def step(self, count: int = 1) -> None:
        self.steps -= count
        if self.steps < 0:
            raise ChatTemplateError("it does too much")

    def made(self, value: Any) -> Any:
        """Counts a text or number that has come out of something; returns it."""
        if isinstance(value, str):
            self.make(len(value))
        elif isinstance(value, int) and abs(value) > NUMBER:
            raise ChatTemplateError("it counts too far")
        elif isinstance(value, list | tuple | dict):
            self.step(len(value))
        return value

    def make(self, chars: int) -> None:
        """Counts a text before it is made."""
        self.chars -= chars
        if self.chars < 0:
            raise ChatTemplateError("it makes too much text")


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with less in it. ``budget`` is set for each rendering."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            optimized=False,  # nothing is computed before there is a budget
            cache_size=0,
            extensions=["jinja2.ext.loopcontrols"],
        )
        self.budget = _Budget()
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters["join"] = self._join
        self.filters["replace"] = self._replace
        self.globals.clear()
        self.globals.update(
            namespace=Namespace,
            range=self._range,
            raise_exception=_raise,
            _each=self._each,
            _input=self._input,
            _text_of=self._text_of,
            _joined=self._joined,
        )

    # --- what a template may touch ---------------------------------------------------------------

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Returns whether a template may look at an attribute; nothing but what is listed."""
        if isinstance(obj, LoopContext):
            return attr in _LOOP
        if isinstance(obj, Namespace):
            return not attr.startswith("_")
        return attr in _METHODS.get(type(obj), ())

    def is_safe_callable(self, obj: Any) -> bool:
        """Everything that can be reached at all may be called."""
        return True

    def getattr(self, obj: Any, attribute: str) -> Any:
        self.budget.step()
        if isinstance(obj, str) and attribute in _FORMATTING:
            return self.unsafe_undefined(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        self.budget.step()
        if isinstance(obj, str) and argument in _FORMATTING:
            return self.unsafe_undefined(obj, str(argument))
        return self.budget.made(super().getitem(obj, argument))

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        self.budget.step()
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            name = getattr(obj, "__name__", "")
            self.budget.make(len(owner))
            if name == "replace":
                return self._replace(owner, *args)
            if name == "join":
                return self._join(args[0] if args else (), owner)
        return self.budget.made(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.budget.step()
        if operator == "**" and not (abs(left) < 1_000 and abs(right) < 20):
            raise ChatTemplateError("it counts too far")
        if operator == "%" and isinstance(left, str):
            raise ChatTemplateError("it formats texts in a way that is not known here")
        if operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            self._repeated(left, right)
        return self.budget.made(super().call_binop(context, operator, left, right))

    def _repeated(self, left: Any, right: Any) -> None:
        what, times = (right, left) if isinstance(left, int) else (left, right)
        size = len(what) * max(times, 0) if isinstance(times, int) and hasattr(what, "__len__") else 0
        self.budget.make(size)
        if not isinstance(what, str):
            self.budget.step(size)

    # --- functions and filters -------------------------------------------------------------------

    def _range(self, *numbers: int) -> range:
        whole = range(*numbers)
        if len(whole) > RANGE:
            raise ChatTemplateError("it counts too far")
        return whole

    def _each(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.budget.step()
            yield item

    def _input(self, value: Any) -> Any:
        """Counts what a filter is given; it may read all of it."""
        if isinstance(value, str):
            self.budget.make(len(value))
        elif hasattr(value, "__len__"):
            self.budget.step(len(value))
        elif isinstance(value, Iterator):
            return self._each(value)
        return value

    def _text_of(self, value: Any) -> str:
        return str(self.budget.made(str(value)))

    def _joined(self, *parts: Any) -> str:
        texts = [str(part) for part in parts]
        self.budget.make(sum(map(len, texts)))
        return "".join(texts)

    def _join(self, value: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
        if attribute is not None:
            raise ChatTemplateError("it joins in a way that is not known here")
        texts = [str(part) for part in self._each(value)]
        self.budget.make(sum(map(len, texts)) + len(str(d)) * len(texts))
        return str(d).join(texts)

    def _replace(self, s: str, old: str, new: str, count: int = -1) -> str:
        text = str(s)
        times = text.count(old) if old else len(text) + 1
        self.budget.make(len(text) + times * max(len(new) - len(old), 0))
        return text.replace(old, new, count if count is not None else -1)


def _raise(message: object = "") -> None:
    raise ChatTemplateError(f"it says: {' '.join(str(message).split())[:200]}")


class _Counted(NodeTransformer):
    """Puts the budget into a template: around what loops go over and every text that is written or joined."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.iter = _call("_each", node.iter)
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.nodes = [
            _call("_text_of", nodes.Const(one.data) if isinstance(one, nodes.TemplateData) else one)
            for one in node.nodes
        ]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        return _call("_joined", *node.nodes)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if node.node is not None:
            node.node = _call("_input", node.node)
        return node


def _call(name: str, *arguments: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load"), list(arguments), [], None, None)


@lru_cache(CACHED)
def _compiled(source: str) -> tuple[_Environment, Any]:
    environment = _Environment()
    tree = _Counted().visit(environment.parse(source))
    nodes.Node.set_environment(tree, environment)
    for number, node in enumerate(tree.iter_child_nodes(), start=1):
        node.set_lineno(number)
    return environment, environment.from_string(tree)


def render_chat(
    source: str, messages: Sequence[PromptMessage], tokens: Mapping[str, str] | None = None
) -> str:
    """Returns the messages as the template writes them, up to where the reply begins.

    An assistant's message at the end stays open: the reply goes on in it. ``tokens``: ``bos_token`` and
    ``eos_token``. Raises ``ChatTemplateError``.
    """
    if len(source) > SOURCE_CHARS:
        raise ChatTemplateError("it is too long")
    lines = list(messages)
    begun = lines.pop().content.rstrip() if lines and lines[-1].role == "assistant" else ""
    try:
        text = _rendered(source, lines, tokens or {})
    except ChatTemplateError:
        folded = _folded(lines)  # many know no system role, or want user and assistant in turn
        if folded == lines:
            raise
        text = _rendered(source, folded, tokens or {})
    return text + begun


def _rendered(source: str, messages: Sequence[PromptMessage], tokens: Mapping[str, str]) -> str:
    parts: list[str] = []
    try:
        environment, template = _compiled(source)
        environment.budget = _Budget()
        rows = [{"role": message.role, "content": message.content} for message in messages]
        variables = {"bos_token": "", "eos_token": "", **tokens}
        parts = list(template.generate(messages=rows, add_generation_prompt=True, **variables))
    except ChatTemplateError:
        raise
    except RecursionError as error:
        raise ChatTemplateError("it is nested too deep") from error
    except MemoryError as error:
        raise ChatTemplateError("it makes too much text") from error
    except TemplateError as error:
        raise ChatTemplateError(f"it is broken: {' '.join(str(error).split())[:200]}") from error
    except Exception as error:  # a program by a stranger may fail in any way
        raise ChatTemplateError(f"it fails ({type(error).__name__})") from error
    return "".join(parts)


def _folded(messages: Sequence[PromptMessage]) -> list[PromptMessage]:
    """Returns the messages with system text before the next line of the player, and neighbours joined."""
    folded: list[PromptMessage] = []
    for message in messages:
        role: Role = "assistant" if message.role == "assistant" else "user"
        if folded and folded[-1].role == role:
            folded[-1] = PromptMessage(role, f"{folded[-1].content}\n\n{message.content}")
        else:
            folded.append(PromptMessage(role, message.content))
    return folded
