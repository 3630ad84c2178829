"""Questions that are asked before their answer is shown, and pictures that sliders move."""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Callable
from html import escape
from io import BytesIO
from numbers import Real
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from tinydiff.check.report import marked

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Guess:
    """A question, and what the reader guesses; ``reveal`` folds the answer away until the guess is made."""

    def __init__(self, question: str, yours: Any, unit: str = ""):
        self.question, self.unit = question, unit
        self.choices = tuple(yours) if isinstance(yours, list | tuple) else ()
        self.made = None if self.choices or isinstance(yours, EllipsisType) else yours

    def choose(self, choice: str) -> None:
        """Take one of the choices, as its button does."""
        self.made = choice

    def shown(self, value: Any) -> str:
        """A number with its unit, or a choice."""
        return value if isinstance(value, str) else f"{value:.4g} {self.unit}".strip()

    def compared(self, truth: Any) -> str:
        """The answer, and how far off the guess was."""
        answer = f"It is {self.shown(truth)}."
        if self.made is None:
            return answer
        if isinstance(truth, str):
            verdict = "right" if self.made == truth else "not so"
        elif self.made * truth > 0 and not 1 / 2 <= self.made / truth <= 2:
            ratio = self.made / truth
            verdict = f"off by a factor of {max(ratio, 1 / ratio):.2g}"
        else:
            verdict = f"off by {self.shown(abs(self.made - truth))}"
        return f"You guessed {self.shown(self.made)}: {verdict}. {answer}"

    def reveal(
        self, truth: Any, words: str = "", picture: Figure | None = None, alt: str = "", table: str = ""
    ) -> None:
        """Show the answer in a fold, which is open where a guess was made.

        Parameters
        ----------
        truth : number or str
            The answer; one of the choices, where there are some.
        words : str
            What there is to see, and why.
        picture : Figure, optional
            What shows it.
        alt : str
            What is to be seen in the picture, in words.
        table : str
            Lines of text, in columns.

        Raises
        ------
        ValueError
            For a picture without words, and for an answer that is none of the choices.
        """
        if picture is not None and not alt.strip():
            raise ValueError("alt must say in words what the picture shows; got nothing.")
        if self.choices and truth not in self.choices:
            raise ValueError(f"truth must be one of the choices {self.choices}; got {truth!r}.")
        from IPython.display import HTML, display

        summary = "No guess was made. Open for the answer" if self.made is None else "The answer to your guess"
        html = f"<p><b>{escape(self.compared(truth))}</b></p>"
        if picture is not None:
            source = f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
            html += f'<img style="max-width: 100%" alt="{escape(" ".join(alt.split()))}" src="{source}">'
        html += f"<pre>{escape(table)}</pre>" * bool(table) + f"<p>{marked(words)}</p>" * bool(words)
        is_open = " open" * (self.made is not None)
        display(HTML(f"<details{is_open}><summary>{summary}</summary>{html}</details>"))


def guess(question: str, yours: Any = ..., unit: str = "") -> Guess:
    """Ask for a guess, and show the question.

    Parameters
    ----------
    question : str
        What is asked.
    yours : number, ``...`` or list of str
        The reader's number, ``...`` until there is one; or the choices, for which buttons are shown.
    unit : str
        The unit of the number.

    Returns
    -------
    Guess
        Its ``reveal`` shows the answer beside the guess.

    Raises
    ------
    TypeError
        For a guess that is no number.

    Examples
    --------
    >>> from tinydiff.course import guess
    >>> variance = guess("Which variance is left?", 0.5)
    Which variance is left? Your guess: 0.5.
    >>> variance.compared(1.0)
    'You guessed 0.5: off by 0.5. It is 1.'
    """
    made = Guess(question, yours, unit)
    number = isinstance(yours, Real) and not isinstance(yours, bool) and math.isfinite(yours)
    if not (number or yours is ... or (made.choices and all(isinstance(choice, str) for choice in made.choices))):
        raise TypeError(f"a guess is a number in the place of `...`, or a choice of texts; got {yours!r}.")
    if made.choices:
        todo = f"Choose: {' / '.join(made.choices)}."
    elif made.made is None:
        todo = f"Put your number{f' ({unit})' * bool(unit)} in the place of `...`."
    else:
        todo = f"Your guess: {made.shown(made.made)}."
    if not in_notebook():
        print(f"{question} {todo}")
        return made
    from IPython.display import HTML, display

    box = "border-left: 4px solid #000000; padding: .4em 1em"
    display(HTML(f'<div style="{box}"><b>Guess.</b> {marked(question)}<br>{marked(todo)}</div>'))
    if made.choices:
        from ipywidgets import ToggleButtons

        buttons = ToggleButtons(options=made.choices, value=None)
        buttons.observe(lambda change: made.choose(change["new"]), "value")
        display(buttons)
    return made


def play(draw: Callable[..., Figure], alt: str, **sliders: tuple[float, float, float]) -> None:
    """Show a picture that sliders move; where no kernel runs, the picture as it begins.

    Parameters
    ----------
    draw : callable
        draw(**values) makes the figure.
    alt : str
        What the first picture shows, in words.
    sliders : (least, most, first)
        For each argument of `draw`; whole numbers where all three are. A fourth number is the step.

    Raises
    ------
    ValueError
        Where `alt` is empty.

    Examples
    --------
    >>> from tinydiff.course import play
    >>> play(lambda t: None, alt="", t=(0, 10, 5))
    Traceback (most recent call last):
        ...
    ValueError: alt must say in words what the picture shows; got nothing.
    """
    if not alt.strip():
        raise ValueError("alt must say in words what the picture shows; got nothing.")
    from IPython.display import display
    from ipywidgets import FloatSlider, Image, IntSlider, VBox

    def slider(name: str, least: float, most: float, first: float, *step: float) -> Any:
        whole = all(isinstance(value, int) for value in (least, most, first, *step))
        kind, usual = (IntSlider, 1) if whole else (FloatSlider, (most - least) / 100)
        by = step[0] if step else usual
        return kind(min=least, max=most, value=first, step=by, description=name, continuous_update=False)

    moved = {name: slider(name, *values) for name, values in sliders.items()}
    still = png(draw(**{name: one.value for name, one in moved.items()}))
    image = Image(value=still, format="png")

    def again(_: Any) -> None:
        image.value = png(draw(**{name: one.value for name, one in moved.items()}))

    for one in moved.values():
        one.observe(again, "value")
    bundle = {"image/png": base64.b64encode(still).decode(), "text/plain": " ".join(alt.split())}
    view = VBox([*moved.values(), image])._repr_mimebundle_()  # which a page without a kernel cannot show
    display({**view, **bundle}, metadata={"image/png": {"alt": " ".join(alt.split())}}, raw=True)


def png(figure: Figure) -> bytes:
    """The figure as a file, closed, so that the notebook does not show it a second time."""
    import matplotlib.pyplot as plt

    figure.savefig(file := BytesIO(), format="png")
    plt.close(figure)
    return file.getvalue()


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
