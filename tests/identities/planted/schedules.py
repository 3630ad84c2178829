"""What the identities of schedules must catch; bugs.py says how a bug is written."""

import numpy as np

import tinydiff as td
from identities.bugs import edit, scaled, with_answer, with_argument
from tinydiff import grids


def one_minus_the_signal(right, self, t):
    return np.sqrt(1 - self.alpha(t) ** 2)


def alpha_for_its_square(right, self):
    return right(self) - np.log(self.alpha)


def sigma_for_its_square(right, self):
    return right(self) + np.log(self.sigma)


BUGS = {
    1: [(td.Discrete.index, with_answer(lambda n: n - 1)), edit(td.Discrete._log_alpha_bar, "np.cumsum(_)", "_")],
    2: [(td.Discrete.sigma, one_minus_the_signal)],
    3: [
        (td.Level.log_snr, alpha_for_its_square),
        (td.Level.log_snr, sigma_for_its_square),
        (td.Process.log_snr, scaled(0.5)),
        (td.Level.log_snr, scaled(-1)),
    ],
    4: [
        (td.Discrete.cosine, with_argument("beta_max", lambda _: 1.0)),
        edit(td.Discrete.cosine, "_**2", "_"),
        edit(td.Discrete.cosine, "_ / T + s", "_ / T"),
    ],
    5: [
        edit(td.VP.integral, "0.5 * _", "_"),
        (td.Discrete.linear, with_argument("rescale", lambda _: False)),
        (td.VP.alpha, with_answer(np.square)),
        edit(td.VP.beta, "self.beta_max - self.beta_min", "self.beta_max"),
    ],
    6: [
        (grids.karras, with_answer(np.flip)),
        edit(grids.karras, "_**rho", "_"),
        edit(grids.karras, "-2 * _", "-_"),
        edit(grids._finished, "ts[-1] = _", "pass"),
    ],
    7: [
        edit(td.Discrete.zero_terminal_snr, "_ * root[1] / (root[1] - root[-1])", "_"),
        edit(td.Discrete.zero_terminal_snr, "0.5 * _", "_"),
        edit(td.Discrete.zero_terminal_snr, "root[1:] - root[-1]", "root[1:]"),
    ],
}
