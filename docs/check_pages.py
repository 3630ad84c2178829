"""The pages of tinydiff.check: what it prints for ten mistakes, and every specification, written at each build."""

import inspect
from collections.abc import Callable
from pathlib import Path

from catalogue_pages import put
from ten_mistakes import TEN

from tinydiff.check import check, spec, specs

INTRODUCTION = """# Check your own function

```python
from tinydiff.check import check

check(q_sample)
```

finds by its name what `q_sample` must obey, such as that a jump to t is t single steps, and tries it on small numbers,
the simplest first. In a notebook the report is a coloured box, elsewhere text. It is true where all laws hold; where
one does not, it shows the smallest case that breaks it, as a call to paste, with your answer and the expected one,
which comes by another route than the function would take. No answer key is used: whatever obeys the laws is right.

Functions are pure and follow DDPM's notation: t is an integer from 1 to T, β_t = `betas[t - 1]`, ᾱ_0 = 1; noise is an
argument; points are arrays (B, D). [The specifications](specifications.md) list all {count} with their signatures;
`specs()` gives their names, `spec("q_sample")` shows one, and `check(f, "q_sample")` judges f under any name.

Numbers are compared to 1e-6, so a coefficient off by one part in ten thousand is found. Where several answers are
right, as with the variance of a reverse step, which may lie anywhere from β̃ to β, all of them pass.

A hint says which of {mistakes} known mistakes gives the same number in the same case, and the same answers in sixty
random ones: small numbers are special, and many mistakes agree on them. Where none does, check looks for one change
with which all laws hold, and names it: *All laws hold once variance is squared*, or x_t and x0 exchanged, or t − 1 in
the place of t. Where there is none, it gives no hint. An exercise that is not begun is *not yet*, and no mistake. A
function that raises, prints, changes its arguments, draws noise of its own, returns nothing or never returns gets a
sentence that says so.

For graders, `check(f, raises=True)` raises an AssertionError that holds the report, which nbgrader and otter take for a
failed test. `check(f, level="deep")` goes on with cases that Hypothesis draws (`pip install hypothesis`), longer chains
and larger batches among them.

## Ten mistakes, and what check prints

"""
SPECIFICATIONS = """# The specifications

Each with its laws, in the order in which they are tried, and the mistakes that hints know. Before its own laws, every
function must obey those of form: it takes the arguments of the signature, answers with finite numbers of the right
shape in float64, leaves its arguments as they were, gives the same answer to the same arguments, and to each row of a
batch the answer that it has alone.

"""


def write(folder: Path) -> None:
    """The page to start from, and that of all specifications."""
    folder.mkdir(exist_ok=True)
    mistakes = sum(len(spec(name).mistakes) for name in specs())
    head = INTRODUCTION.format(count=len(specs()), mistakes=mistakes)
    put(folder / "index.md", head + "\n".join(shown(*one) for one in TEN) + TOCTREE)
    put(folder / "specifications.md", SPECIFICATIONS + "\n".join(map(card, specs())))


TOCTREE = "\n```{toctree}\n:hidden:\n\nspecifications\n```\n"


def shown(about: str, function: Callable) -> str:
    """A mistake, and the report on it."""
    source = inspect.getsource(function).split("\n", 1)[1]
    return f"{about}\n\n```python\n{source}```\n\n```text\n{check(function)}\n```\n\n---\n"


def card(name: str) -> str:
    """One specification."""
    known = spec(name)
    lines = [
        f"## {name}\n",
        f"`{known.signature}`\n",
        f"**{known.statement}**\n",
        *(f"{text}\n" for text in (known.about, known.convention) if text),
        f"- *Source:* {known.source}",
        "- *Laws*",
        *(f"  - {law.statement}" for law in known.laws if not law.of_form),
        "- *Known mistakes*",
        *(f"  - {mistake.words}" for mistake in known.mistakes),
    ]
    return "\n".join(lines) + "\n"
