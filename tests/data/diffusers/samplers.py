"""Records whole trajectories of diffusers' schedulers, with an analytic function as the network.

Keys of samplers.safetensors, `case` being sampler/schedule/prediction/spacing/steps[/karras]:

  case/timesteps   (steps,)             what the network is asked at, as float
  case/sigmas      (steps + 1,)         where the scheduler has them (all but ddim)
  case/trajectory  (steps + 1, 1,2,4,4) the scaled start, then the sample after each step
  alphas_cumprod/schedule (1000,)
  noise/start (1,2,4,4), noise/steps (20,1,2,4,4): noise/steps[i] is what ancestral step i adds
"""

import itertools

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete as ancestral
from safetensors.torch import save_file

SHAPE = (1, 2, 4, 4)
SAMPLERS = {
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler-a": EulerAncestralDiscreteScheduler,
    "dpmpp-2m": DPMSolverMultistepScheduler,
}
SCHEDULES = {
    "scaled-linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "linear": dict(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
    "cosine": dict(beta_schedule="squaredcos_cap_v2"),
    "zero-snr": dict(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, rescale_betas_zero_snr=True
    ),
}
SPACINGS = ("leading", "linspace", "trailing")
PREDICTIONS = ("epsilon", "v_prediction")


def network(sample, timestep):
    """Stands for the UNet: bounded, smooth, and dependent on both arguments."""
    return torch.tanh(0.3 * sample + 0.001 * timestep) + 0.1 * sample


def cases():
    for sampler, prediction, spacing, steps in itertools.product(SAMPLERS, PREDICTIONS, SPACINGS, (7, 10)):
        yield sampler, "scaled-linear", prediction, spacing, steps, False
        if sampler in ("euler", "dpmpp-2m"):
            yield sampler, "scaled-linear", prediction, spacing, steps, True
    for sampler, steps in itertools.product(SAMPLERS, (10, 20)):
        yield sampler, "cosine", "v_prediction", "trailing", steps, False
    yield "ddim", "zero-snr", "v_prediction", "trailing", 10, False
    yield "dpmpp-2m", "scaled-linear", "sample", "trailing", 10, False
    yield "euler", "scaled-linear", "sample", "trailing", 10, False
    yield "ddim", "scaled-linear", "sample", "trailing", 10, False


def scheduler_of(sampler, schedule, prediction, spacing, karras):
    config = dict(SCHEDULES[schedule], prediction_type=prediction, timestep_spacing=spacing, steps_offset=1)
    if sampler == "ddim":
        config.update(clip_sample=False, set_alpha_to_one=False)
    if karras:
        config["use_karras_sigmas"] = True
    return SAMPLERS[sampler](**config)


def walk(scheduler, steps, start, noises):
    scheduler.set_timesteps(steps)
    sample = start * scheduler.init_noise_sigma
    trajectory = [sample]
    for timestep, noise in zip(scheduler.timesteps, noises):
        ancestral.randn_tensor = lambda *_, noise=noise, **__: noise
        output = network(scheduler.scale_model_input(sample, timestep), timestep)
        sample = scheduler.step(output, timestep, sample).prev_sample
        trajectory.append(sample)
    return torch.stack(trajectory)


def record(path):
    generator = torch.Generator().manual_seed(11)
    start = torch.randn(SHAPE, generator=generator)
    noises = torch.randn((20, *SHAPE), generator=generator)
    tensors = {"noise/start": start, "noise/steps": noises}
    for name, schedule in SCHEDULES.items():
        tensors[f"alphas_cumprod/{name}"] = DDIMScheduler(**schedule).alphas_cumprod
    for sampler, schedule, prediction, spacing, steps, karras in cases():
        scheduler = scheduler_of(sampler, schedule, prediction, spacing, karras)
        case = f"{sampler}/{schedule}/{prediction}/{spacing}/{steps}" + ("/karras" if karras else "")
        tensors[f"{case}/trajectory"] = walk(scheduler, steps, start, noises)
        tensors[f"{case}/timesteps"] = scheduler.timesteps.float()
        if sampler != "ddim":
            tensors[f"{case}/sigmas"] = scheduler.sigmas.float()
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
