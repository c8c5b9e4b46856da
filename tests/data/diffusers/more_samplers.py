"""Records trajectories of the schedulers that samplers.py does not have, with the same analytic network.

    python more_samplers.py     # diffusers==0.42.1, torch (CPU), scipy, torchsde

Keys of more_samplers.safetensors, by case:

  case/timesteps   (calls,)             what the network is asked at, as float
  case/trajectory  (calls + 1, 1,2,4,4) the scaled start, then the sample after each call
  noise/start (1,2,4,4), noise/calls (40,1,2,4,4): noise/calls[i] is the noise that call i draws

The metadata's `cases` tells of each case the sampler's id, the number of steps and the scheduler's file.
"""

import json
from pathlib import Path

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    DPMSolverSDEScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers import scheduling_lcm, scheduling_tcd
from safetensors.torch import save_file

from samplers import SHAPE, network

BETAS = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
SPACINGS = ("leading", "linspace", "trailing")


def cases():
    """Id of the sampler, class, steps, and what the file says beside the betas."""
    for prediction in ("epsilon", "v_prediction"):
        for spacing in SPACINGS:
            for steps in (7, 10):
                file = dict(prediction_type=prediction, timestep_spacing=spacing, steps_offset=1)
                yield "plms", PNDMScheduler, steps, dict(file, skip_prk_steps=True)
                for name, cls in (("lms", LMSDiscreteScheduler), ("heun", HeunDiscreteScheduler)):
                    yield name, cls, steps, file
                yield "dpm++-sde", DPMSolverSDEScheduler, steps, file
                yield "unipc", UniPCMultistepScheduler, steps, file
                yield "dpm++-2m-sde", DPMSolverMultistepScheduler, steps, dict(file, algorithm_type="sde-dpmsolver++")
    karras = dict(use_karras_sigmas=True, prediction_type="epsilon", timestep_spacing="leading", steps_offset=1)
    yield "lms-karras", LMSDiscreteScheduler, 10, karras
    yield "heun-karras", HeunDiscreteScheduler, 10, karras
    yield "dpm++-sde-karras", DPMSolverSDEScheduler, 10, karras
    yield "unipc-karras", UniPCMultistepScheduler, 10, karras
    yield "dpm++-2m-sde-karras", DPMSolverMultistepScheduler, 10, dict(karras, algorithm_type="sde-dpmsolver++")
    linspace = dict(prediction_type="epsilon", timestep_spacing="linspace")
    for order in (1, 3):
        yield "unipc", UniPCMultistepScheduler, 10, dict(linspace, solver_order=order)
    yield "unipc", UniPCMultistepScheduler, 10, dict(
        linspace, solver_type="bh1", solver_order=3, final_sigmas_type="sigma_min"
    )  # with "zero" this class ends in NaN
    yield "unipc", UniPCMultistepScheduler, 10, dict(linspace, final_sigmas_type="sigma_min")
    yield "dpm++-2m", DPMSolverMultistepScheduler, 10, dict(linspace, solver_order=1)
    yield "dpm++-2m", DPMSolverMultistepScheduler, 10, dict(linspace, solver_type="heun")
    sde = dict(linspace, algorithm_type="sde-dpmsolver++")
    yield "dpm++-2m-sde", DPMSolverMultistepScheduler, 10, dict(sde, solver_type="heun")
    for steps in (10, 16):
        for more in ({}, dict(lower_order_final=False), dict(euler_at_final=True)):
            end = dict(linspace, final_sigmas_type="sigma_min", **more)
            yield "dpm++-2m", DPMSolverMultistepScheduler, steps, end
    yield "euler", EulerDiscreteScheduler, 10, dict(linspace, final_sigmas_type="sigma_min")
    for name, cls in (("lcm", LCMScheduler), ("tcd", TCDScheduler)):
        for prediction in ("epsilon", "v_prediction", "sample"):
            for steps in (1, 4, 7):
                yield name, cls, steps, dict(prediction_type=prediction)
        yield name, cls, 3, dict(prediction_type="epsilon", original_inference_steps=20)
    yield "lcm", LCMScheduler, 4, dict(prediction_type="epsilon", timestep_scaling=2.0)
    for name, cls in (("lcm", LCMScheduler), ("unipc", UniPCMultistepScheduler)):
        bound = dict(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1.5)
        yield name, cls, 4, dict(linspace if name == "unipc" else dict(prediction_type="epsilon"), **bound)
    for name, cls in (("plms", PNDMScheduler), ("lms", LMSDiscreteScheduler), ("heun", HeunDiscreteScheduler)):
        for steps in (1, 2):
            more = dict(skip_prk_steps=True) if name == "plms" else {}
            yield name, cls, steps, dict(prediction_type="epsilon", timestep_spacing="trailing", **more)


def brownian(noises):
    """The noise sampler of DPMSolverSDEScheduler, from independent noise for each half of a step."""
    state = {"call": 0}

    def sample(sigma, sigma_next):
        call = state["call"]
        state["call"] += 1
        if call % 2 == 0:
            state["half"] = (sigma, sigma_next)
            return noises[call]
        start, middle = state["half"]
        early, late = start - middle, middle - sigma_next
        return (noises[call - 1] * early.sqrt() + noises[call] * late.sqrt()) / (early + late).sqrt()

    return sample


def walk(scheduler, steps, start, noises):
    scheduler.set_timesteps(steps)
    sample = start * scheduler.init_noise_sigma
    trajectory = [sample]
    if isinstance(scheduler, DPMSolverSDEScheduler):
        scheduler.noise_sampler = brownian(noises)
    for timestep, noise in zip(scheduler.timesteps, noises):
        scheduling_lcm.randn_tensor = scheduling_tcd.randn_tensor = lambda *_, noise=noise, **__: noise
        output = network(scheduler.scale_model_input(sample, timestep), timestep).float()
        more = dict(variance_noise=noise) if isinstance(scheduler, DPMSolverMultistepScheduler) else {}
        sample = scheduler.step(output, timestep, sample, **more).prev_sample.float()
        trajectory.append(sample)
    return torch.stack(trajectory)


def record(path):
    generator = torch.Generator().manual_seed(12)
    start = torch.randn(SHAPE, generator=generator)
    noises = torch.randn((40, *SHAPE), generator=generator)
    tensors, about = {"noise/start": start, "noise/calls": noises}, {}
    for number, (sampler, cls, steps, file) in enumerate(cases()):
        scheduler = cls(**BETAS, **file)
        case = f"{number:03}-{sampler}"
        tensors[f"{case}/trajectory"] = walk(scheduler, steps, start, noises)
        tensors[f"{case}/timesteps"] = scheduler.timesteps.float()
        about[case] = dict(sampler=sampler, steps=steps, file=dict(BETAS, _class_name=cls.__name__, **file))
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    save_file(tensors, path, metadata={"cases": json.dumps(about, sort_keys=True)})


if __name__ == "__main__":
    torch.set_num_threads(1)
    record(Path(__file__).parent / "more_samplers.safetensors")
