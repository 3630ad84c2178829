"""The page of the errata of lecture notes, written from the tests that hold them."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from catalogue_pages import killer, link, put
from identities.catalogue import marked

INTRODUCTION = """# Errata of lecture notes

{count} formulas and phrases that lecture notes often have and that do not hold, for those who teach and for those who
wonder why their sampler draws mush. Most look like the right ones and run without an error: they show in a number, if
one knows which.

Each is a small function in `tests/identities/test_errata.py`. In the place of the right function of the library it is
killed by the identity that is named with it, at every run of the tests; the numbers are for the linear β of DDPM with
T = 1000 and the exact denoiser, where nothing else is said. In all of them $\\bar\\alpha_t = \\prod_{{s \\le t}}
(1 - \\beta_s)$ and, with {{ref}}`DDPM <ho2020>`, $\\alpha_t = 1 - \\beta_t$; the library's `alpha` is
$\\sqrt{{\\bar\\alpha_t}}$.

To find such a line in your own code, ask [check](check/index.md): it knows these mistakes by what they give.

| | often written | what breaks |
| --- | --- | --- |
"""


def write(path: Path) -> None:
    """A table of all at a glance, and a section for each."""
    errata = marked("erratum")
    rows = (
        f"| {{ref}}`{i} <erratum-{slug(one)}>` | {one.erratum.written} | {one.erratum.breaks} |"
        for i, one in enumerate(errata, 1)
    )
    head = INTRODUCTION.format(count=number(len(errata)))
    cards = "\n".join(card(i, one) for i, one in enumerate(errata, 1))
    put(path, head + "\n".join(rows) + "\n\n" + cards)


def number(count: int) -> str:
    """Thirteen for 13, as long as it is."""
    return {13: "Thirteen", 14: "Fourteen", 15: "Fifteen"}.get(count, str(count))


def slug(wrong: Callable) -> str:
    """one_step_for_all → one-step-for-all."""
    return wrong.__name__.replace("_", "-")


def heading(wrong: Callable) -> str:
    """one_step_for_all → One step for all."""
    words = wrong.__name__.replace("_", " ").replace("the steps noise", "the step's noise")
    return words[0].upper() + words[1:]


def card(i: int, wrong: Callable) -> str:
    """One erratum: what is written, what is right, why, what breaks, what kills it, and the wrong line itself."""
    known = wrong.erratum
    why = inspect.getdoc(wrong)
    source = inspect.getsource(wrong)
    code = re.sub(r'\n    """.*?"""', "", source[source.index("def ") :], count=1, flags=re.DOTALL)
    lines = [
        f"(erratum-{slug(wrong)})=\n## {i}. {heading(wrong)}\n",
        f"- *Often written:* {known.written}",
        f"- *Correct:* {known.correct}",
        *([f"- *Why:* {' '.join(why.split())}"] if why else []),
        f"- *What breaks:* {known.breaks}",
        f"- *In the place of* {link(known.function)} *it is killed by* {killer(wrong)}",
        f"\n<details><summary>The wrong line</summary>\n\n```python\n{code}```\n\n</details>\n",
    ]
    return "\n".join(lines)
