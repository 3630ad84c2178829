"""Laws that a student's own function must obey, and the smallest counterexample when it does not::

    from tinydiff.check import check

    def q_sample(x0, t, eps, betas):
        alpha_bar = np.prod(1 - betas[:t])
        return alpha_bar * x0 + np.sqrt(1 - alpha_bar) * eps

    check(q_sample)

No answer key is used: a function is judged by what it must do, such as that a jump to t is t single steps. All are
pure and follow DDPM's notation: t is an integer from 1 to T, β_t = ``betas[t - 1]``, ᾱ_0 = 1, noise is an argument,
points are arrays (B, D). ``specs()`` names them all, and ``spec(name)`` shows what one must be.
"""

from tinydiff.check import laws, mistakes  # noqa: F401  (they register)
from tinydiff.check.engine import LawBroken, check, spec, specs
from tinydiff.check.grading.grade import grade
from tinydiff.check.report import Report

__all__ = ["LawBroken", "Report", "check", "grade", "spec", "specs"]
