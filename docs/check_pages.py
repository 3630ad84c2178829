"""The pages of tinydiff.check: what it prints for ten mistakes, and every specification, written at each build."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

from catalogue_pages import put
from ten_mistakes import TEN

from tinydiff.check import check, spec, specs

ROOT = Path(__file__).parents[1]
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

Numbers are compared to two parts in 10⁵, so a coefficient off by one part in ten thousand is found, and 1e-8 in a
divisor is not held against you. Where several answers are right, as with the variance of a reverse step, which may lie
anywhere from β̃ to β, all of them pass.

Small numbers are special, with ½ = 1 − ½ and 0 = −0, so random cases follow the small ones: several rows and columns,
numbers far out, chains of other lengths. `check(f, level="deep")` goes on with cases that Hypothesis draws
(`pip install "tinydiff[testing]"`).

A hint says which of {mistakes} known mistakes gives the same number in the same case, and the same answers in sixty
random ones. Where none does, check looks for one change with which all laws hold, and names it: *All laws hold once
variance is squared*, or x_t and x0 exchanged, or t − 1 in the place of t. Where there is none, it gives no hint: a
wrong one costs an evening. An exercise that is not begun is *not yet*, and no mistake. A function that raises, prints,
changes its arguments, draws noise of its own, computes in float32, returns nothing or never returns gets a sentence
that says so. Where a line is `check(f)` alone, in a script too, the report is shown.

## A file, and marks

```console
$ tinydiff check mine.py                  # or a notebook: a table, and a report on each function that fails
$ tinydiff check mine.py --watch          # again at each change
$ tinydiff check mine.ipynb --json        # marks; the exit code is 1 where a function fails
```

In Python, `grade("mine.ipynb", {{"q_sample": 10}})` gives the same marks. The judge of a mark is not the student's
notebook: functions are taken out of the file as text and run in a process of their own, which is given arguments and
gives back numbers, within bounds of time and memory. Points are for each law, so half an answer gets half. How to
grade a class, with nbgrader, with Otter or with neither, is on [the page for instructors](../instructor.md);
[a function of your own](../howto/your_laws.md) is one short file.

## How well it does

Someone who had not seen the laws wrote 100 wrong answers and 40 right ones, in the way of students. At first sight:

| | |
| --- | --- |
| wrong, and caught | 99 of 100 |
| wrong, and the mistake named exactly | 85 of 100 |
| wrong, and the mistake named in part | 1 of 100 |
| wrong, with a misleading hint | 0 of 100 |
| right, and refused | 0 of 40 |

The others show the smallest case without a hint. The one that passed, by which a batch of more than 64 rows was cut
off, is caught now; no other was used to change anything.
[These answers](https://github.com/tinydiff/tinydiff/blob/main/tests/check/examined.py) are part of the tests, beside
57 kinds of wrong answers, such as *right only for one row*, of every function where the kind makes sense.

{timed}

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
    head = INTRODUCTION.format(count=len(specs()), mistakes=mistakes, timed=timed())
    put(folder / "index.md", head + "\n".join(shown(*one) for one in TEN) + TOCTREE)
    put(folder / "specifications.md", SPECIFICATIONS + "\n".join(map(card, specs())))


def timed() -> str:
    """The times that benchmarks/check.py has measured."""
    t = json.loads((ROOT / "benchmarks" / "check.json").read_text(encoding="utf-8"))
    return f"""A check of a right answer takes {t["passing"][0]} ms, of the slowest function {t["passing"][1]} ms;
of a wrong one {t["failing"][0]} ms, and {t["failing"][1]} ms. In a new process the import and a first check take
{t["import_and_first"]} ms, of which NumPy's import is {t["import_numpy"]} ms; a mark, with the process that it runs in,
takes {t["grade"]} ms ({t["machine"]}; `make bench`). It imports neither scipy nor matplotlib."""


TOCTREE = "\n```{toctree}\n:hidden:\n\nspecifications\n```\n"


def shown(about: str, function: Callable) -> str:
    """A mistake, and the report on it."""
    source = inspect.getsource(function).split("\n", 1)[1]
    return f"{about}\n\n```python\n{source}```\n\n```text\n{check(function)}\n```\n\n---\n"


def card(name: str) -> str:
    """One specification."""
    known = spec(name)
    lines = [
        f"(laws-{name.replace('_', '-')})=\n## {name}\n",
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
