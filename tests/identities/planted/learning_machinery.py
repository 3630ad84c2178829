"""What the identities of learning machinery must catch; bugs.py says how a bug is written."""

import numpy as np

import tinydiff as td
from identities.bugs import edit, exchanged, with_argument, without
from tinydiff.learned import layers
from tinydiff.learned.objective import loss_and_grad
from tinydiff.learned.optim import orthogonalized

BUGS = {
    68: [
        edit(loss_and_grad, "2 * scaled", "scaled"),
        edit(loss_and_grad, "b**2", "b"),
        edit(layers.silu, "s + y * (1 - s)", "s"),
        without(layers.layer_norm, "y * mean(y * dy)"),
        edit(layers.modulate, "by_row(dy * x)", "by_row(dy)"),
        edit(layers.linear, "xp.ones_like(dy[:, 0]) @ dy", "xp.mean(dy, axis=0)"),
        edit(layers.modulate, "xp.sum(_, axis=1)", "xp.mean(_, axis=1)"),
        edit(layers.swap, "_, namespace(x).matrix_transpose", "_, lambda dy: dy"),
        without(td.TimeMLP.block, "dh"),
        without(td.Mixer.mixed, "dh"),
        edit(td.Mixer.mixed, "pull_norm(du)", "du"),
        edit(td.Mixer.mixed, "pull_down(pull_back(dh), _)", "pull_down(dh, _)"),
        without(td.Mixer.block, "dc_of_tokens"),
        edit(td.Mixer.enter, "self.assembled(dx)", "xp.reshape(dx, x.shape)"),
        edit(td.Mixer.leave, "self.patches(dy)", "dy"),
        edit(td.Mixer.assembled, "framed[:, i, j] += _", "framed[:, i, j] = _"),
        edit(td.Mixer.gather, "_ / self.tokens", "_"),
        edit(td.Mixer.gather, "pull(_)", "_"),
    ],
    69: [
        without(td.Adam.update, "1 - self.b1**count"),
        without(td.Adam.update, "1 - self.b2**count"),
        edit(td.Adam.update, "xp.sqrt(_) + self.eps", "xp.sqrt(_ + self.eps)"),
        edit(td.Adam.update, "self.b2 * state.nu[_]", "self.b1 * state.nu[_]"),
        (td.ema_update, exchanged("ema", "theta")),
    ],
    73: [
        edit(orthogonalized, "a @ a", "a * a"),
        without(orthogonalized, "3.4445"),
        without(td.Muon.update, "max(1, m / n) ** 0.5"),
        edit(td.Muon.update, "max(1, m / n)", "max(1, n / m)"),
        edit(td.Muon.update, "orthogonalized(ahead)", "orthogonalized(average)"),
        edit(td.Muon.update, "orthogonalized(ahead)", "ahead"),
        edit(td.Muon.update, "xp.reshape(average[i, :, :], _)", "xp.reshape(ahead[i, :, :], _)"),
    ],
    70: [
        edit(layers.fourier_features, "xp.cos(angle)", "xp.sin(angle)"),
        (layers.fourier_features, with_argument("t", lambda t: 2 * np.pi * t)),
        edit(layers.fourier_features, "xp.stack(_, axis=2)", "xp.stack(_, axis=0)"),
        edit(layers.fourier_features, "[_, __]", "[__, _]"),
    ],
}
