"""What a check has found, as an object, as text and as HTML."""

import re
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from tinydiff.check.letters import letters


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """The outcome of a check: true where all laws held, else the first that did not and its smallest counterexample.

    It shows itself as text, and in a notebook as a coloured box.

    Parameters
    ----------
    passed : bool
        Whether all laws held; the truth value of the report.
    law : str or None
        The law that is broken, in words.
    case : str or None
        The call, or the calls, that broke it, as text to paste.
    yours, expected : array, number or str
        What the function gave in that case and what it should have given, or words for what was no number.
    hint : str
        What the error is like, where that is known.
    name : str
        The name of the function.
    what : str
        What ``yours`` and ``expected`` are, where they are not the answer itself.
    held : tuple of str
        The laws that held, in the order in which they were tried.
    source : str
        The paper and the equation that the function comes from.
    calls : int
        How often the function was called.
    written : bool
        False for a function without a body, such as an exercise that is not begun: it breaks no law yet.

    Examples
    --------
    >>> from tinydiff.check import check
    >>> report = check(lambda c, u, w: u + w * (c - u), "cfg")
    >>> bool(report), report.law
    (False, 'w = 0 is the conditional prediction')
    >>> print(report.hint)
    Consistent with the other convention, u + w (c − u), where w = 1 is no guidance.
    """

    passed: bool
    law: str | None = None
    case: str | None = None
    yours: Any = None
    expected: Any = None
    hint: str = ""
    name: str = field(default="", kw_only=True)
    what: str = field(default="", kw_only=True)
    held: tuple[str, ...] = field(default=(), kw_only=True)
    source: str = field(default="", kw_only=True)
    calls: int = field(default=0, kw_only=True)
    written: bool = field(default=True, kw_only=True)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        if self.passed:
            return (
                f"{self.name} obeys its {len(self.held)} laws ({self.calls} calls)."
                + "\n" * bool(self.hint)
                + self.hint
            )
        if not self.written:
            return f"{self.name}: not yet. {self.hint}"
        lines = [wrapped(f"{self.name} breaks a law: {self.law}"), ""]
        lines += [f"    {line}" for line in (self.case or "").splitlines()]
        lines += [f"    {self.what}:"] if self.what else []
        yours, expected = self.shown
        lines += [f"    yours     {yours}", f"    expected  {expected}", ""]
        return "\n".join(lines + [wrapped(line) for line in [*self.hint.splitlines(), *self.letters, self.more]])

    def __str__(self) -> str:
        return spelled(repr(self), getattr(sys.stdout, "encoding", None) or "utf-8")

    def show(self) -> None:
        """Show the box in a notebook, and print the text elsewhere."""
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            ipython.display.display(self)
        else:
            print(self)

    @property
    def shown(self) -> tuple[str, str]:
        """Both answers as text; of long ones the first row where they differ."""
        yours, expected = self.yours, self.expected
        if np.size(yours) <= LONG or np.shape(yours) != np.shape(expected) or not np.ndim(yours):
            return show(yours), show(expected)
        same = np.isclose(yours, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
        row = int(np.argmin(same.reshape(len(same), -1).all(axis=1)))
        return f"{show(np.asarray(yours)[row])} in row {row}", f"{show(np.asarray(expected)[row])}"

    @property
    def letters(self) -> list[str]:
        """What the letters in the law and the hint mean, in one line, where there are some."""
        found = letters(f"{self.law} {self.what} {self.hint}")
        return [f"Letters: {'; '.join(found)}."] if found else []

    @property
    def more(self) -> str:
        """Where to read on."""
        return f"More: spec({self.name!r}); {self.source}."

    def _repr_html_(self) -> str:
        colour, mark = ("#1a7f37", "✓") if self.passed else ("#c62828", "✗")
        box = f"border-left: 4px solid {colour}; padding: .4em 1em"
        if self.passed:
            laws = "".join(f"<li>{escape(law)}</li>" for law in self.held)
            title = f"<b>{mark} {escape(self.name)}</b> obeys its {len(self.held)} laws ({self.calls} calls)"
            note = f"<p>{marked(self.hint)}</p>" if self.hint else ""
            return f'<details style="{box}"><summary>{title}</summary><ul>{laws}</ul></details>{note}'
        if not self.written:
            box = "border-left: 4px solid #8a8a8a; padding: .4em 1em"
            return f'<div style="{box}">○ <b>{escape(self.name)}</b>: not yet. {marked(self.hint)}</div>'
        table = "".join(
            f'<tr><td style="text-align: left">{name}</td>'
            f'<td style="text-align: left"><code>{escape(value)}</code></td></tr>'
            for name, value in zip(("yours", "expected"), self.shown, strict=True)
        )
        what = f"<p>{escape(self.what)}:</p>" if self.what else ""
        case = f'<pre style="white-space: pre-wrap">{escape(self.case)}</pre>' if self.case else ""
        texts = "".join(f"<p>{marked(text)}</p>" for text in [*self.hint.splitlines(), *self.letters, self.more])
        title = f"<b>{mark} {escape(self.name)}</b> breaks a law: {escape(self.law or '')}"
        return f'<div style="{box}">{title}{case}{what}<table style="color: inherit">{table}</table>{texts}</div>'


SPELLED = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "η": "eta", "θ": "theta", "λ": "lambda",
    "μ": "mu", "ν": "nu", "π": "pi", "σ": "sigma", "τ": "tau", "φ": "phi", "ω": "omega", "Π": "Pi", "Σ": "sum ",
    "∏": "prod ", "√": "sqrt ", "∂": "d", "∇": "grad ", "∫": "integral ", "−": "-", "–": "-", "±": "+-", "·": "*",
    "≤": "<=", "≥": ">=", "≈": "~", "∝": "~", "→": "->", "←": "<-", "‖": "||", "⟨": "<", "⟩": ">", "∞": "inf",
    "½": "1/2", "²": "^2", "³": "^3", "ᵀ": "^T", "ᶜ": "^c", "ᵏ": "^k", "₀": "_0", "₁": "_1", "₂": "_2",
    "′": "'", "…": "...", "✓": "+", "✗": "x", "○": "o", "“": '"', "”": '"', "§": "section ", "ø": "o",
    "\u0302": "_hat", "\u0303": "_tilde", "\u0304": "_bar", "\u0307": "_dot",
}  # fmt: skip


def spelled(text: str, encoding: str) -> str:
    """The text as it is, or spelled in the letters of a terminal that does not have its own, as those of Windows."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        plain = "".join(SPELLED.get(letter, letter) for letter in unicodedata.normalize("NFD", text))
        return plain.encode(encoding, "replace").decode(encoding)


def marked(text: str) -> str:
    """The text as HTML, with `code` as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


class Between:
    """Any number from low to high."""

    def __init__(self, low: Any, high: Any):
        self.low, self.high = low, high

    def __repr__(self) -> str:
        return f"from {show(self.low)} to {show(self.high)}"


def show(value: Any) -> str:
    """Words as they are, numbers to 7 digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray | np.number | float | int | list):
        array = np.asarray(value)
        if array.size == 1:
            return f"{array.item():.7g}"
        text = np.array2string(array, precision=7, separator=", ", suppress_small=False)
        return " ".join(text.split())
    return repr(value)


def call(name: str, parameters: Sequence[str], args: Sequence[Any], pulled: Sequence[Any] = ()) -> str:
    """The call as source to paste, by keywords where parameters are given; then that of a pullback of `pulled`."""
    values = map(_source, args)
    text = f"{name}({', '.join(map('='.join, zip(parameters, values, strict=True)) if parameters else values)})"
    return f"y, pullback = {text}\ny, *pullback({', '.join(map(_source, pulled))})" if pulled else text


LONG = 30  # numbers, beyond which an array is not shown whole


def _source(value: Any) -> str:
    """An argument as source; an array that repeats itself, as so many copies of its beginning."""
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    if not isinstance(value, np.ndarray):
        return repr(value.item()) if isinstance(value, np.generic) else repr(value)
    if value.ndim == 1 and value.size > LONG and np.array_equal(value, np.linspace(value[0], value[-1], value.size)):
        return f"np.linspace({value[0]}, {value[-1]}, {value.size})"
    for axis in range(value.ndim) if value.size > LONG else ():
        length = value.shape[axis]
        for size in range(1, length // 2 + 1):
            part = np.take(value, range(size), axis)
            if length % size == 0 and np.array_equal(value, np.concatenate([part] * (length // size), axis)):
                along = f", axis={axis}" if axis else ""
                return f"np.concatenate([{_source(part)}] * {length // size}{along})"
    return f"np.array({value.tolist()})"


def wrapped(text: str) -> str:
    """The text in lines of ninety characters."""
    return textwrap.fill(text, 90, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
