"""Errata of common lecture notes: each wrong formula, put in the place of the right one, is killed by an identity."""

from itertools import pairwise

import numpy as np
import pytest

import tinydiff as td
from identities.bugs import replaced
from identities.catalogue import erratum, identities, run
from tinydiff.backend import changed
from tinydiff.evaluation.elbo import normal_kl
from tinydiff.predictions import eps_from_x0
from tinydiff.sampling.probability_flow import velocity

DDPM = td.Discrete.linear(1000)


@erratum(
    td.Discrete._log_alpha_bar,
    written=r"$x_t = \sqrt{\alpha_t}\, x_0 + \sqrt{1 - \alpha_t}\, \varepsilon$ with $\alpha_t = 1 - \beta_t$",
    correct=r"$\bar\alpha_t = \prod_{s \le t} (1 - \beta_s)$ (DDPM, eq. 4 and Alg. 1)",
    breaks="The SNR ends at 49 instead of 4.0e-5; with β = (.5, .5) the noise has variance .5 at t = 2, not .75.",
    killed_by=1,
)
def one_step_for_all(self):
    """One step leaves √(1 − β_t) of the signal, t steps their product; with one factor for all, x_T is still data."""
    return np.concatenate([[0.0], np.log1p(-self.betas)])


@erratum(
    td.ddpm_step,
    written=r"$(1 - \alpha_t)/\sqrt{1 - \alpha_t}$ before $\hat\varepsilon$ in the sampler, $\alpha_t = 1 - \beta_t$",
    correct=r"$\beta_t/\sqrt{1 - \bar\alpha_t}$ (DDPM, eq. 11 and Alg. 2)",
    breaks="ε̂ is removed up to ten times too hard: N(0, 1) comes out with variance .092, and looks sharp.",
    killed_by=48,
)
def the_steps_noise_for_all_the_noise(x, x0_hat, now, then, z, variance="beta_tilde"):
    """ε̂ is all the noise in x_t, of deviation √(1 − ᾱ_t); √β_t is that of the last step alone."""
    (a, beta), (_, _, beta_tilde) = td.transition(now, then), td.posterior(now, then)
    mean = (x - beta**0.5 * eps_from_x0(x, x0_hat, now)) / a
    return mean + (beta if variance == "beta" else beta_tilde) ** 0.5 * z


@erratum(
    td.ddpm_step,
    written=r"reverse covariance $\alpha_t^2 I$",
    correct=r"$\sigma_t^2 I$ with $\sigma_t^2 = \beta_t$ or $\tilde\beta_t$ (DDPM, §3.2)",
    breaks="N(0, 1) comes out with variance 274.5.",
    killed_by=50,
)
def the_signal_for_the_noise(x, x0_hat, now, then, z, variance="beta_tilde"):
    """α_t is what is left of the signal, near 1, where β_t, near 0, is the noise of a step."""
    (a, _), (c_t, c_0, _) = td.transition(now, then), td.posterior(now, then)
    return c_t * x + c_0 * x0_hat + a**2 * z


@erratum(
    td.ddpm_step,
    written=r"$z \sim N(0, I)$ at every step",
    correct=r"$z = 0$ in the last step (DDPM, Alg. 2)",
    breaks="Noise of standard deviation √β₁ is left on the result.",
    killed_by=50,
)
def noise_to_the_end(x, x0_hat, now, then, z, variance="beta_tilde"):
    """The last step ends on data, which have no noise: q(x_0 | x_1, x_0) has the variance β̃_1 = 0."""
    (_, beta), (c_t, c_0, _) = td.transition(now, then), td.posterior(now, then)
    return c_t * x + c_0 * x0_hat + beta**0.5 * z


@erratum(
    td.Oracle.__call__,
    written=r"$\varepsilon_\theta(\dots\, \varepsilon\, t)$, the time lost between the lines",
    correct=r"$\varepsilon_\theta(\sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \varepsilon,\ t)$ (DDPM, Alg. 1)",
    breaks="One answer for all noise levels: on ring8 the mean loss is .39 in place of .20, the floor.",
    killed_by=39,
)
def no_time(self, x, t):
    """The same x asks for another answer at another noise level; a network without t has one for all of them."""
    end = self.process.at(self.process.t_max)
    return -end.sigma * self.marginal(end).score(x)


@erratum(
    td.transition,
    written=r"one step scales mean and standard deviation by β: $N(\sqrt{1 - \beta}\, x,\ \beta^2 I)$",
    correct=r"$N(\sqrt{1 - \beta}\, x,\ \beta I)$ (DDPM, eq. 2)",
    breaks="The stationary variance is β instead of 1.",
    killed_by=9,
)
def beta_is_a_standard_deviation(now, then):
    """Variances add: (1 − β) · 1 + β = 1 keeps a unit variance, and (1 − β) · 1 + β² does not."""
    a = now.alpha / then.alpha
    return a, (now.sigma**2 - a**2 * then.sigma**2) ** 2


@erratum(
    td.GaussianMixture.diffused,
    written="the forward process is a Gaussian convolution",
    correct=r"rescale by $\sqrt{\bar\alpha_t}$, then convolve with $N(0, (1 - \bar\alpha_t) I)$",
    breaks="Convolution alone is the variance-exploding process: at T the variance is 2 in place of 1.",
    killed_by=12,
)
def convolution_alone(self, alpha, sigma):
    """Variances add under a convolution, so that it alone never arrives at N(0, I): the signal must fade too."""
    return changed(self, variances=self.variances + sigma**2)


@erratum(
    td.ddpm_step,
    written="sampling is a deterministic mapping",
    correct=r"ancestral sampling draws at every step; DDIM with $\eta = 0$ and the flow are deterministic",
    breaks="Without its noise DDPM's variance shrinks to nothing.",
    killed_by=50,
)
def no_noise_at_all(x, x0_hat, now, then, z, variance="beta_tilde"):
    """The mean of x_s given x_t is narrower than x_s: the noise of a step gives back what the mean leaves out."""
    c_t, c_0, _ = td.posterior(now, then)
    return c_t * x + c_0 * x0_hat


@erratum(
    normal_kl,
    written=r"$L_{\mathrm{simple}}$ called the variational bound",
    correct=r"the bound weighs the errors by $\beta^2/(2\sigma^2(1-\beta)(1-\bar\alpha))$ (DDPM, eq. 12)",
    breaks="A squared error is reported as a likelihood: on ring8, of entropy .546, −ELBO would be −11.1 nats.",
    killed_by=22,
)
def squared_error_as_nats(mean, var, other_mean, other_var):
    """A KL is measured in units of its variance; without them a sum of squares is no bound."""
    return np.sum((mean - other_mean) ** 2, axis=-1)


@erratum(
    velocity,
    written="the drift pulls towards the modes of the data",
    correct=r"it pulls towards the origin; the score points to the modes: $f x - \frac12 g^2 \nabla \ln q_t$",
    breaks="A flow that shrinks towards a mode ends elsewhere: N(2, 1) comes out around −8.06.",
    killed_by=34,
)
def pull_to_a_mode(model, x, now):
    """f x knows nothing of the data: where they are comes in by the score alone."""
    mode = model.x0(0 * x, now.process.t_max)
    return now.f * (x - mode) + now.g2 / (2 * now.sigma) * model(x, now)


@erratum(
    td.GaussianMixture.score,
    written=r"$\nabla \log_{q_t}(x_t)$",
    correct=r"$\nabla_x \log q_t(x)$",
    breaks="Read as it stands, it is the logarithm of x to the base q.",
    killed_by=36,
)
def logarithm_to_the_base_q(self, x):
    """The subscript belongs to q, and the gradient is taken along x."""
    return 1 / (x * self.log_density(x)[:, None])


@erratum(
    velocity,
    written=r"$dx = [f x - g^2 \nabla \ln q_t]\, dt$ for the probability-flow ODE",
    correct=r"$dx = [f x - \frac12 g^2 \nabla \ln q_t]\, dt$; the reverse SDE has no ½, and noise",
    breaks="N(0, 1), which the flow should leave alone, shrinks to the variance exp(−∫β), 4e-5.",
    killed_by=58,
)
def no_half(model, x, now):
    """Of g² ∇ ln q one half is the flow, the other undoes the noise that the SDE adds; without noise one is left."""
    return now.f * x + now.g2 / now.sigma * model(x, now)


@erratum(
    td.Process.prior_gap,
    written="at the end you get a normal",
    correct=r"only up to $L_T = \mathrm{KL}(q(x_T|x_0)\,\|\,N(0, I))$",
    breaks="For d = 784 it is .016 nats; with β meant for T = 1000 used at T = 100, 177 nats.",
    killed_by=23,
)
def no_gap(self, x0):
    """√ᾱ_T is small and not 0: q(x_T | x_0) remembers x_0, the more the higher the dimension."""
    return 0.0 * x0[:, 0]


ERRATA = [wrong for wrong in list(vars().values()) if hasattr(wrong, "erratum")]


@pytest.mark.parametrize("wrong", ERRATA, ids=lambda wrong: wrong.__name__)
def test_an_identity_kills_it(wrong):
    test = next(test for test in identities() if test.identity.number == wrong.erratum.killed_by)
    with replaced(wrong.erratum.function, wrong), pytest.raises(AssertionError):
        run(test)  # by a number: a wrong function that does not even run would prove nothing


def variance_of_samples(step, process=DDPM):
    """The variance in which N(0, 1) comes out, with its exact denoiser x̂_0 = √ᾱ x: each step is affine in x and z."""
    variance, one, zero = 1.0, np.ones((1, 1)), np.zeros((1, 1))
    for now, then in pairwise(process.at(n / process.T) for n in range(process.T, -1, -1)):
        gain = step(one, now.alpha * one, now, then, zero, "beta")
        noise = step(zero, zero, now, then, one, "beta")
        variance = gain**2 * variance + noise**2
    return variance.item()


@pytest.mark.parametrize(
    ("step", "variance"),
    [(the_steps_noise_for_all_the_noise, 0.092), (the_signal_for_the_noise, 274.5), (no_noise_at_all, 4.0e-5)],
)
def test_wrong_samplers_change_the_variance_of_a_normal(step, variance):
    assert variance_of_samples(step) == pytest.approx(variance, rel=0.01)


def test_without_the_half_the_flow_shrinks_a_standard_normal():
    """dx/dt = ½ β x, which from t = 1 to 0 takes the variance 1 to exp(−∫β); the right drift is 0."""
    process, x = td.VP(), np.array([[1.0], [-2.0]])
    model, now = td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), process), process.at(0.3)
    assert velocity(model, x, now) == pytest.approx(0, abs=1e-12)
    assert no_half(model, x, now) == pytest.approx(0.5 * process.beta(0.3) * x)
    assert process.alpha(1.0) ** 2 == pytest.approx(4e-5, rel=0.1)


def test_noise_in_the_last_step_stays():
    right = variance_of_samples(td.ddpm_step)
    assert variance_of_samples(noise_to_the_end) - right == pytest.approx(DDPM.betas[0], rel=1e-6)


def test_one_alpha_for_all_steps_leaves_the_signal():
    """SNR_T = (1 − β_T)/β_T = 49, where the product leaves 4.0e-5; and .5 for .75 in the smallest case."""
    assert np.exp(DDPM.log_snr(1.0)) == pytest.approx(4.0e-5, rel=0.02)
    with replaced(td.Discrete._log_alpha_bar, one_step_for_all):
        assert np.exp(td.Discrete.linear(1000).log_snr(1.0)) == pytest.approx(49)
        assert td.Discrete([0.5, 0.5]).sigma(1.0) ** 2 == pytest.approx(0.5)
    assert td.Discrete([0.5, 0.5]).sigma(1.0) ** 2 == pytest.approx(0.75)


def test_std_beta_has_stationary_variance_beta():
    """v = (1 − β) v + β² at v = β; with the variance β it is 1."""
    chain = td.Discrete([0.3])
    a, v = td.transition(chain.at(1.0), chain.at(0.0))
    assert v / (1 - a**2) == pytest.approx(1)
    assert v**2 / (1 - a**2) == pytest.approx(0.3)


def test_the_end_is_a_normal_only_up_to_the_prior_gap():
    """Images of 784 coordinates of mean square 1: .016 nats at T = 1000; 177 with T = 100 and β not rescaled."""
    image = np.ones((1, 784))
    assert DDPM.prior_gap(image).item() == pytest.approx(0.016, abs=0.0005)
    assert td.Discrete.linear(100, rescale=False).prior_gap(image).item() == pytest.approx(177, abs=0.5)


def test_one_answer_for_all_noise_levels_doubles_the_loss(rng):
    """.39 in place of .20, the floor, on ring8 with t uniform."""
    process, data = td.VP(), td.toys.ring8()
    model, levels = td.Oracle(data, process), [process.at((i + 0.5) / 50) for i in range(50)]
    draws = [(now, data.sample(rng, 400), rng.standard_normal((400, 2))) for now in levels]

    def loss():
        return np.mean([(model(now.perturb(x0, eps), now) - eps) ** 2 for now, x0, eps in draws])

    assert loss() == pytest.approx(0.204, abs=0.01)
    with replaced(td.Oracle.__call__, no_time):
        assert loss() == pytest.approx(0.39, abs=0.015)


def test_convolution_alone_doubles_the_variance():
    normal = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    ends = DDPM.alpha(1.0), DDPM.sigma(1.0)
    assert normal.diffused(*ends).variances.item() == pytest.approx(1)
    with replaced(td.GaussianMixture.diffused, convolution_alone):
        assert normal.diffused(*ends).variances.item() == pytest.approx(2, rel=1e-4)


def test_a_squared_error_as_nats_passes_below_the_entropy(rng):
    """The steps of −ELBO shrink to nothing on ring8, and the last part, which lies below 0, is left alone."""
    process, data = td.VP(), td.toys.ring8()
    model, x0, ts = td.Oracle(data, process), data.sample(rng, 50), td.grids.even_log_snr(process, 99)
    assert np.mean(td.elbo(model, x0, ts, rng=1).nats) > 0
    with replaced(normal_kl, squared_error_as_nats):
        nats = np.mean(td.elbo(model, x0, ts, rng=1).nats)
    assert nats == pytest.approx(-11.1, abs=0.6)  # four standard errors


def test_a_pull_to_the_mode_ends_elsewhere():
    """x_0 = x_T + m (1 − α_T) for N(m, 1); with f (x − m) for f x that gains m ln α_T, −5.02 m."""
    process, noise = td.VP(), np.array([[0.0], [1.0]])
    model = td.Oracle(td.GaussianMixture([1.0], [[2.0]], [[[1.0]]]), process)
    ts = td.grids.even_log_snr(process, 40)

    def gained():
        return td.last(td.probability_flow(model, noise, ts))[1] - noise

    assert gained() == pytest.approx(2 * (1 - process.alpha(1.0)), abs=1e-2)
    with replaced(velocity, pull_to_a_mode):
        assert gained() == pytest.approx(-8.06, abs=0.02)
