"""What the identities of distances must catch; bugs.py says how a bug is written."""

import tinydiff as td
from identities.bugs import edit, with_argument
from tinydiff.exact.points import Points

BUGS = {
    71: [
        edit(td.sliced_w2, "np.sort(_, axis=0) - np.sort(__, axis=0)", "_ - __"),
        edit(td.sliced_w2, "np.sqrt(np.sum(u * u, axis=0))", "np.sum(u * u, axis=0)"),
        edit(td.sliced_w2, "u /= _", "pass"),
        edit(td.sliced_w2, "apart * apart", "np.abs(apart)"),
        edit(td.frechet_distance, "2 * np.sum(cross)", "np.sum(cross)"),
        edit(td.frechet_distance, "_root(c) @ _root(other)", "c @ other"),
    ],
    72: [
        edit(td.energy_distance, "2 * _", "_"),
        edit(td.energy_distance, "np.sqrt", "np.abs"),
        edit(td.mmd, "(len(a) * kernel(a, a) - 1) / (len(a) - 1)", "kernel(a, a)"),
        (td.mmd, with_argument("bandwidth", lambda h: h / 2**0.5)),
        (Points.x0_mean, with_argument("sigma", lambda sigma: sigma / 2**0.5)),
        edit(Points._average, "2 * a * _", "2 * _"),
    ],
}
