"""In which notebook each function of mine.py is asked for."""

ASKED: dict[int, tuple[str, ...]] = {
    0: ("q_step",),
    1: ("alpha_bar", "q_sample", "diffuse_mixture"),
    2: ("normal_kl", "prior_kl", "snr", "betas_from_log_snr"),
    3: ("posterior", "mixture_x0", "x0_from_eps", "ddpm_step", "ancestral"),
    4: ("score_from_eps", "tweedie", "eps_from_x0", "v_from_x0_eps"),
    5: ("vlb_weight", "elbo_step"),
    6: (*("linear_backward", "silu_backward", "from_v", "mlp", "adam_step", "ema_update", "fourier_features"), "fit"),
    7: ("empirical_denoiser", "edm_coefficients", "newton_schulz", "train_well"),
    8: ("ddim_step", "ddim"),
    9: ("euler_maruyama_step", "reverse_family_drift", "probability_flow_drift", "reverse_sde_drift"),
    10: ("hutchinson", "flow_log_density"),
    11: ("euler_step", "heun_step", "dpm_solver_2m_step", "multistep_step", "my_sampler"),
    12: ("flow_matching_loss", "velocity_from_eps", "to_straight"),
    13: ("two_steps_in_one", "consistency_output", "my_map"),
    14: ("effective_neighbours", "from_few"),
    15: ("cfg", "tilted_gaussian", "my_guidance"),
    16: ("condition_gaussian", "measurement_guidance", "inpaint_known", "my_posterior"),
    17: ("draw", "my_digits"),
}
