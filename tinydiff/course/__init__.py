"""What the notebooks of the course take: the reader's own functions, guesses, and pictures that sliders move.

A reader writes functions. ``keep`` holds each to its laws and writes it into ``mine.py``, which begins empty and
imports NumPy alone. Later cells and notebooks call ``mine.q_sample``, which is the reader's, or the library's until
there is one. The colour of a figure says whose functions drew it; ``credit`` gives colour and title. ``guess`` asks
before an answer is shown, and ``play`` lets sliders move a picture. ``digits_model`` is the trained network of digits,
``narrow_model`` a small one.
"""

from tinydiff.course.digits import digits_judge, digits_model, narrow_model, unseen_digits
from tinydiff.course.file import Mine, mine
from tinydiff.course.keeping import Credit, Verdict, credit, keep
from tinydiff.course.views import Guess, guess, play

__all__ = [
    "Credit",
    "Guess",
    "Mine",
    "Verdict",
    "credit",
    "digits_judge",
    "digits_model",
    "guess",
    "keep",
    "mine",
    "narrow_model",
    "play",
    "unseen_digits",
]
