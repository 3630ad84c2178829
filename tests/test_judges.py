"""The judges of exercises that no law judges: each refuses what students get wrong, and says which part it is."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff import course_answers
from tinydiff.course_tests import (
    bound,
    denoiser_is_score,
    guidance,
    inverse_problems,
    learning_well,
    network,
    one_noisy_step,
    race_of_solvers,
    schedules,
    start_here,
    undoing_one_step,
)

MODES = np.array([0.35, 0.65]), np.array([[-1.5], [0.8]]), np.array([0.02, 0.15])


def right(marks):
    return [bool(mark) for mark, _ in marks]


# ---- 0


@pytest.mark.parametrize(("beta", "holds"), [(1 - 2**-0.1, True), (1 / 20, False), (0.06697, True), (0.0672, False)])
def test_half_is_left_after_ten_steps(beta, holds):
    assert all(right(start_here.half_after_ten(beta))) is holds


def test_a_beta_beyond_its_range_is_said_and_not_tried():
    assert right(start_here.half_after_ten(2.0)) == [False]


def test_the_sharpest_cloud_is_not_the_mended_one():
    def back(root):
        def program(denoiser, law_back, rng):
            x = rng.standard_normal((2000, 2))
            for t in range(100, 0, -1):
                mean, variance = law_back(x, denoiser(x, t), t)
                x = mean + variance**root * rng.standard_normal(x.shape)
            return x

        return program

    assert right(start_here.who_made_them("abd", 5, back(0.5))) == [True] * 5
    assert right(start_here.who_made_them("bad", 4, back(1.0))) == [False, False, True, False, False]
    assert right(start_here.who_made_them("ab", 5, back(0.5))) == [True, True, False, True, True]


# ---- 1


def test_a_lost_bar_is_found_in_line_1_and_leaves_a_ratio_of_49():
    def jump(of):
        return lambda x0, t, eps, betas: np.sqrt(of(betas, t)) * x0 + np.sqrt(1 - of(betas, t)) * eps

    whole, one = jump(lambda betas, t: np.prod(1 - betas[:t])), jump(lambda betas, t: 1 - betas[t - 1])
    assert all(right(one_noisy_step.where_is_the_noise(1, 49, whole)))
    assert right(one_noisy_step.where_is_the_noise(2, 4e-5, one)) == [False] * 4


def test_a_shuffled_chain_changes_its_path_and_not_its_end():
    def correlation(first):
        return lambda betas: np.sqrt(np.prod(1 - betas[first:]))

    assert all(right(one_noisy_step.shuffled(False, True, correlation(1))))
    found = right(one_noisy_step.shuffled(True, False, correlation(0)))
    assert not any(found)


def test_a_constant_is_no_estimate_of_a_share():
    assert not any(right(one_noisy_step.left_share(lambda x, means, variances: 0.5)))


# ---- 2


def test_images_need_their_brightness_and_their_grain():
    def images(bright, grain):
        return lambda rng, n: bright * rng.standard_normal((n, 1)) + grain * rng.standard_normal((n, 784))

    assert all(right(schedules.grey_images(1, images(np.sqrt(0.91), 0.3))))
    assert right(schedules.grey_images(3, images(0.077, 0.3))) == [False, False, True]
    assert right(schedules.grey_images(1, images(np.sqrt(0.91), 0.4)))[-1] is False


def test_fifty_steps_are_judged_by_both_demands():
    def chain(*lam):
        return course_answers.betas_from_log_snr(np.concatenate(lam))

    assert all(right(schedules.fifty_steps(chain([6.0], np.linspace(5, -5, 48), [-10.6]))))
    assert right(schedules.fifty_steps(chain(np.linspace(6, -10.6, 50)))) == [True, True, True, False]
    assert right(schedules.fifty_steps(chain([6.0], np.linspace(5, -5.2, 49)))) == [True, True, False, True]
    assert right(schedules.fifty_steps(np.full(49, 0.1))) == [False]


def test_the_middle_is_no_estimate_of_a_time():
    assert not any(right(schedules.which_time(lambda x, weights, means, variances: 2.0)))


# ---- 3


def test_pictures_and_mended_steps_are_judged_apart():
    def step(of):
        def mended(x, x0_hat, t, z, betas):
            mean, variance = course_answers.posterior(x, x0_hat, t, betas)
            return mean + of(variance) * z

        return mended

    good, bad = step(np.sqrt), step(lambda variance: variance)
    assert all(right(undoing_one_step.four_pictures(3, 2, 4, 1, good, good)))
    assert right(undoing_one_step.four_pictures(3, 4, 2, 1, bad, good)) == [True, False, False, True, False, True]


def test_a_variance_is_better_by_both_numbers_or_not_at_all():
    known = undoing_one_step.known()
    assert known["ours"] == pytest.approx(undoing_one_step.OURS * np.array([1, -1]), rel=1e-3)
    for choice in (lambda betas: betas, lambda betas: 0 * betas + 0.01):
        assert not all(right(undoing_one_step.better_variances(choice)))
    assert right(undoing_one_step.better_variances(lambda betas: betas[1:])) == [False]
    assert right(undoing_one_step.better_variances(lambda betas: -betas)) == [False]


# ---- 4


@pytest.mark.parametrize(
    ("floor", "holds"),
    [
        (lambda lam, v: v / (v + np.exp(-lam)), True),
        (lambda lam, v: 1 / (1 + np.exp(-lam)), False),
        (lambda lam, v: 1 / (1 + v * np.exp(lam)), False),
    ],
)
def test_the_floor_of_a_gaussian(floor, holds):
    assert all(right(denoiser_is_score.floor_of_a_gaussian(floor))) is holds


def test_line_ratio_and_step_of_the_broad_ring():
    def mended(x, t, z, betas):
        ring = td.toys.ring8()
        x0_hat = course_answers.mixture_x0(x, ring.weights, ring.means, ring.covariances[:, 0, 0], t, betas)
        mean, variance = course_answers.posterior(x, x0_hat, t, betas)
        return mean + np.sqrt(variance) * z

    assert all(right(denoiser_is_score.broad_ring(3, 2.0, mended)))
    found = right(denoiser_is_score.broad_ring(4, 1.41, lambda x, t, z, betas: x))
    assert not any(found)


def test_a_guess_of_0_does_not_beat_the_circle():
    def nothing(x_t, t, betas):
        return 0 * x_t

    def long(x_t, t, betas):
        a = 1
        b = a
        c = b
        d = c
        e = d
        f = e
        return f * nothing(x_t, t, betas)

    assert right(denoiser_is_score.denoiser_in_six_lines(nothing)) == [True, False]
    assert right(denoiser_is_score.denoiser_in_six_lines(long)) == [False, False]
    with pytest.raises(ValueError, match="def"):
        list(denoiser_is_score.denoiser_in_six_lines(lambda x_t, t, betas: 0 * x_t))


# ---- 5


def test_five_reports_and_the_constant():
    def program(constant):
        def mended(loss, weights, prior, snr_1, D):
            return prior + weights @ loss[1:] + 0.5 * loss[0] + constant * np.log(2 * np.pi / snr_1)

        return mended

    assert right(bound.five_reports("24513", program(1.5))) == [True, True]
    assert right(bound.five_reports("24531", program(0.5))) == [False, False]
    values = bound.reports()
    assert values["b"] < bound.LINE.entropy()[0] < values["d"] < values["a"] < values["e"] < values["c"]


def test_the_posteriors_variance_is_tight_for_a_point_alone():
    def true(t, v, betas):
        total = lambda k: np.prod(1 - betas[:k]) * v + 1 - np.prod(1 - betas[:k])  # noqa: E731
        return betas[t - 1] * total(t - 1) / total(t)

    assert all(right(bound.tight_variance(true)))
    assert not any(right(bound.tight_variance(lambda t, v, betas: betas[t - 1])))
    assert not any(right(bound.tight_variance(lambda t, v, betas: 0.0)))


def test_a_gap_needs_falling_levels_and_positive_variances():
    grid = np.linspace(4, -10, 20)
    assert right(bound.twenty_steps(grid, np.full(20, 0.1))) == [False]
    assert right(bound.twenty_steps(grid[::-1], np.full(20, 0.1)))[0] is False
    assert right(bound.twenty_steps(grid[:19], np.full(19, 0.1)))[0] is False
    assert right(bound.ten_steps(np.linspace(4, -10, 10), np.full(10, 0.1))) == [False]


# ---- 6


def test_a_detective_neither_accuses_the_right_nor_passes_the_wrong():
    for verdict in (True, False):
        found = right(network.suspicion(lambda net, params, x, dy, v=verdict: [v] * len(params), "B", "D"))
        assert found == [False, True, True]
    found = right(network.suspicion(lambda net, params, x, dy: [True], "A", "C"))
    assert found == [False]


def test_suspects_have_one_forward_pass_and_pullbacks_that_differ():
    rng = np.random.default_rng(0)
    params, x, dy = network.init(rng), rng.standard_normal((5, 18)), rng.standard_normal((5, 2))
    y, pullback = network.right(params, x)
    whole, _ = course_answers.mlp([p[0] if i % 2 else p for i, p in enumerate(params)], x)
    assert np.allclose(y, whole, rtol=0, atol=1e-12)
    for suspect in network.suspects.values():
        other, pull = suspect(params, x)
        assert np.array_equal(other, y)
        assert any(not np.allclose(a, b) for a, b in zip(pull(dy)[0], pullback(dy)[0], strict=True))


def test_a_network_that_answers_0_has_learned_nothing():
    def fit(data, betas, steps, rng):
        return lambda x_t, t: (0 * x_t, None), np.ones(steps)

    assert right(network.fit(fit)) == [True, False, False]
    assert right(network.better_network(lambda x_t, t: (0 * x_t, None))) == [False]


# ---- 7


def test_the_perfect_network_is_no_nats_over_the_floor():
    chain = td.Discrete(learning_well.BETAS)

    def network(x_t, t):
        now = chain.at(t / len(learning_well.BETAS))
        score = learning_well.RING.diffused(now.alpha, now.sigma).score(x_t)
        return -(score + x_t) * now.sigma / now.alpha, None  # v = (ε − σ x_t)/α with ε = −σ ∇ ln q

    assert learning_well.nats(network, learning_well.BETAS) < 1e-12
    assert learning_well.nats(lambda x_t, t: (network(x_t, t)[0] + 0.1, None), learning_well.BETAS) == pytest.approx(
        0.01 * np.trapezoid(1 / (1 + np.exp(-learning_well.LEVELS[::-1])), learning_well.LEVELS[::-1]), rel=1e-3
    )  # α² of it is the error of ε
    assert all(right(learning_well.better_network(network)))


def test_a_network_that_answers_0_is_not_trained_well():
    def nothing(data, betas, steps, rng):
        return lambda x_t, t: (0 * x_t, None), np.zeros(steps)

    assert right(learning_well.train_well(nothing)) == [True, False]
    assert right(learning_well.better_network(lambda x_t, t: (0 * x_t, None))) == [False]


def test_the_lower_loss_is_not_the_better_network():
    def seen(divide):
        def program(x_t, t):
            waves = np.full(len(x_t), 9 - 17 * divide(t - 1, 340))[:, None] * 2.0 ** np.arange(-4, 4)
            return np.concatenate([x_t, np.cos(waves), np.sin(waves)], axis=1)

        return program

    assert all(right(learning_well.two_judgements("None", "a", 1, 6.25, seen(np.divide))))
    assert not any(right(learning_well.two_judgements("VP", "B", 2, 3.5, seen(np.floor_divide))))


# ---- 11


def test_a_heun_that_asks_for_its_second_slope_at_t_is_refused():
    def late(f, x, t, s):
        k1 = f(x, t)
        return x + (s - t) / 2 * (k1 + f(x + (s - t) * k1, t))

    assert all(right(race_of_solvers.second_slope(4, course_answers.heun_step, 3)))
    assert right(race_of_solvers.second_slope(3, late, 4)) == [False] * 3


def test_eight_evaluations_are_enough_for_ours_and_no_method_on_the_given_grid_is_level():
    assert all(right(race_of_solvers.eight_evaluations(race_of_solvers.ours)))
    assert right(race_of_solvers.eight_evaluations(td.dpm_solver_2m)) == [True, False]
    assert right(race_of_solvers.eight_evaluations(td.edm_heun)) == [False]


def test_the_orders_of_many_answers_are_their_numbers():
    """Halving steps on the exact flow between two modes on a line."""
    model = td.Oracle(td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]]), td.VP())
    x, ends = np.linspace(-2, 2, 20)[:, None], [1.0, float(model.process.time(5.0))]
    truth = td.last(td.probability_flow(model, x, ends, method="rk45", rtol=1e-10, atol=1e-10))[1]
    for order in (1, 2, 3):
        walks = [
            race_of_solvers.multistep(order)(model, x, td.grids.even_log_snr(td.VP(), n, end=5)) for n in (64, 128)
        ]
        off = [np.sqrt(np.mean((td.last(walk)[1] - truth) ** 2)) for walk in walks]
        assert abs(np.log2(off[0] / off[1]) - order) < 0.15


# ---- 15


def guided_step(sign):
    def step(c, u, x, now, then, scale):
        x0_hat = course_answers.cfg(c, u, sign * (scale - 1))
        return then.alpha * x0_hat + then.sigma * (x - now.alpha * x0_hat) / now.sigma

    return step


def test_the_variance_of_guided_samples_is_not_that_of_the_tilted_law():
    assert right(guidance.variance_of_samples(lambda v, w: v ** (1 + w))) == [True] * 5
    assert right(guidance.variance_of_samples(lambda v, w: course_answers.tilted_gaussian(0, v, w)[1])) == [False] * 5


def test_noise_leads_from_the_flow_towards_the_tilted_law():
    known = [guidance.family_ends(1.0, 0.3, 2.0, eta) for eta in (0.0, 1.0, 30.0)]
    assert np.allclose(known[0], guidance.flow_ends(1.0, 0.3, 2.0), rtol=1e-4)
    assert np.allclose(known[1], (1.39, 0.0855), rtol=1e-3)
    assert np.allclose(known[2], course_answers.tilted_gaussian(1.0, 0.3, 2.0), rtol=2e-3)


def test_the_sign_of_the_weight_is_at_fault_and_leaves_the_answer_without_a_label():
    assert all(right(guidance.wrong_digits(1, "u", guided_step(1))))
    assert right(guidance.wrong_digits(2, "neither", guided_step(-1))) == [False] * 3


def test_who_insists_at_all_noise_is_certain_and_too_far_and_who_does_not_is_not_certain():
    assert all(right(guidance.insisting(guidance.doubtful)))
    assert right(guidance.insisting(guidance.ROWS[guidance.BEST])) == [True, True, False]
    assert right(guidance.insisting(guidance.within(1.0))) == [True, False, False]
    assert right(guidance.insisting(guidance.within(0.0))) == [False, False]


@pytest.mark.slow
def test_the_table_of_guidance_has_the_rows_that_are_measured():
    known = guidance.measured(seeds=2)
    assert known.keys() == guidance.TABLE.keys()
    for name, (means, _) in known.items():
        assert np.allclose(means, guidance.TABLE[name], atol=0.012), name


# ---- 16


def test_a_repaint_is_mended_by_one_step_back_up_and_the_clouds_are_judged_apart():
    def rounds(back_up):
        def program(x0_hat_of, known, mask, x, rounds, rng, betas):
            for t in range(len(betas), 0, -1):
                for z, eps, back in rng.standard_normal((rounds, 3, *x.shape)):
                    mean, variance = course_answers.posterior(x, x0_hat_of(x, t), t, betas)
                    y = course_answers.inpaint_known(mean + variance**0.5 * z, known, mask, t - 1, eps, betas)
                    x = back_up(y, t, back, betas)
                x = y
            return x

        return program

    judge = inverse_problems.which_is_a_lie
    assert right(judge("C", "A", "D", "B", 5, rounds(course_answers.q_step))) == [True] * 3
    assert right(judge("A", "C", "D", "B", 4, rounds(course_answers.q_sample))) == [False] * 3
    assert right(judge("C", "A", "D", "B", 5, rounds(lambda y, t, back, betas: y))) == [True, True, False]


def test_the_true_cloud_is_nearest_and_the_one_with_lost_peaks_is_farthest():
    other = inverse_problems.posterior(-0.9).sample(1, 3000)
    off = {name: td.energy_distance(x, other) for name, x in inverse_problems.clouds().items()}
    rms = {name: np.sqrt(np.mean((x[:, 0] + 0.9) ** 2)) / 0.1 for name, x in inverse_problems.clouds().items()}
    letters = inverse_problems.LETTERS
    assert min(off, key=off.get) == letters["true"]
    assert max(off, key=off.get) == letters["peaks"]
    assert rms[letters["spread"]] < 1e-9 < rms[letters["peaks"]] < min(rms[letters["true"]], rms[letters["weights"]])


def test_the_peaks_that_the_play_asks_for():
    """Two where |y| is from 1.2 to 1.5 and one beyond, at τ = .1; at y = −.9 three up to τ = .2, and then four."""

    def found(y, tau=0.1):
        law, height = inverse_problems.posterior(y, tau), np.linspace(-2.4, 2.4, 300)
        parts = zip(law.weights, law.means[:, 1], law.covariances[:, 1, 1], strict=True)
        return inverse_problems.peaks(sum(w * np.exp(-((height - m) ** 2) / (2 * v)) / np.sqrt(v) for w, m, v in parts))

    rows = {y: found(y / 10) for y in range(-20, 21)}
    assert {abs(y) for y, n in rows.items() if n == 2} == {12, 13, 14, 15}
    assert rows[-11] == rows[11] == 3
    assert {abs(y) for y, n in rows.items() if n == 1} == {16, 17, 18, 19, 20}
    assert [found(-0.9, tau) for tau in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)] == [3, 3, 3, 3, 4, 4]


def test_a_weighed_crowd_is_nearer_to_the_posterior_than_any_covariance():
    assert all(right(inverse_problems.energy_to_the_posterior(inverse_problems.ours)))
    assert right(inverse_problems.energy_to_the_posterior(inverse_problems.by("mmps"))) == [False]
    with pytest.raises(ValueError, match="1000 finite points"):
        list(inverse_problems.energy_to_the_posterior(lambda model, x, *rest: x[:5]))


def test_a_multiple_of_1_is_mmps():
    found = [
        inverse_problems.energies(walk, 50, 20, range(1))
        for walk in (inverse_problems.larger(1.0), inverse_problems.by("mmps"))
    ]
    np.testing.assert_allclose(*found, rtol=1e-6)
