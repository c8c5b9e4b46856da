"""diffusers' networks of Stable Diffusion 1.5 with random weights, as a program that reads sides of the
latents and says how long each took.

`diffuse.py unet|vae|few f32|bf16|openvino THREADS`; the answers are those of workers/paint/examples/draw.rs.
OpenVINO gets the same networks by its own converter and takes the precision that it prefers on the machine.
`diffuse.py write FOLDER` writes a whole model in f16 for programs that read files.
"""

import json
import pathlib
import sys
import time

start = time.perf_counter()
import torch

network, kind, threads = [*sys.argv[1:], "2"][:3]
dtype = torch.bfloat16 if kind == "bf16" else torch.float32
torch.set_num_threads(int(threads))
# Parameters get other values below: those that modules give themselves cost minutes.
for name in ("kaiming_uniform_", "uniform_", "normal_", "xavier_uniform_"):
    setattr(torch.nn.init, name, lambda tensor, *args, **settings: tensor)


def ready(module):
    for name, value in module.named_parameters():
        if value.ndim > 1:
            value.uniform_(-1, 1).mul_((3 / (value.numel() / value.shape[0])) ** 0.5)
        else:
            value.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.01)
    # In the order of its channels that is quicker here.
    return module.eval().to(dtype).to(memory_format=torch.channels_last)


def unet():
    from diffusers import UNet2DConditionModel

    return ready(UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, cross_attention_dim=768,
        block_out_channels=(320, 640, 1280, 1280), attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    ))


def vae():
    from diffusers import AutoencoderKL

    return ready(AutoencoderKL(
        latent_channels=4, layers_per_block=2, block_out_channels=(128, 256, 512, 512), norm_num_groups=32,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ))


def noise(*shape):
    return torch.randn(*shape, dtype=dtype)


def maps(batch, side):
    return noise(batch, 4, side, side).to(memory_format=torch.channels_last)


class Call(torch.nn.Module):
    """A network as a function of tensors that gives one tensor: the form that OpenVINO's converter reads."""

    def __init__(self, network, call):
        super().__init__()
        self.network, self.call = network, call

    def forward(self, *tensors):
        return self.call(self.network, *tensors)


def engine(network, call, *example):
    """`call` of the network, by torch or by OpenVINO."""
    module = Call(network, call)
    if kind != "openvino":
        return module
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": int(threads)})
    compiled = core.compile_model(openvino.convert_model(module, example_input=example), "CPU")
    return lambda *tensors: torch.from_numpy(compiled([tensor.numpy() for tensor in tensors])[0])


def step(batch):
    """A step of the UNet, by latents and the states of the text."""
    call = lambda net, latents, time, states: net(latents, time, encoder_hidden_states=states, return_dict=False)[0]
    run = engine(unet(), call, maps(batch, 32), torch.tensor(500), noise(batch, 77, 768))
    return lambda latents, states: run(latents, torch.tensor(500), states)


def decoder(network):
    return engine(network, lambda net, latents: net.decode(latents, return_dict=False)[0], maps(1, 32))


def text_encoder():
    from transformers import CLIPTextConfig, CLIPTextModel

    return ready(CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )))


def write(folder):
    """A folder in the diffusers layout, with the names of tensors that published models have."""
    from safetensors.torch import save_file

    parts = (unet, "unet/diffusion_pytorch_model", ""), (vae, "vae/diffusion_pytorch_model", "")
    for make, path, start in (*parts, (text_encoder, "text_encoder/model", "text_model.")):
        file = pathlib.Path(folder, f"{path}.safetensors")
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = make().to(torch.float16).state_dict()
        save_file({start + name: value.contiguous() for name, value in tensors.items()}, file)


with torch.inference_mode():
    if network == "write":
        sys.exit(write(kind))
    if network == "unet":
        unet_step, context = step(2), noise(2, 77, 768)
        run = lambda side: unet_step(maps(2, side), context)
    elif network == "vae":
        decode = decoder(vae())
        run = lambda side: decode(maps(1, side))
    else:
        from diffusers import AutoencoderTiny

        ids = (torch.arange(77) * 600).unsqueeze(0)
        text = engine(text_encoder(), lambda net, ids: net(ids).last_hidden_state, ids)
        unet_step, decode = step(1), decoder(ready(AutoencoderTiny()))
        run = lambda side: decode(unet_step(maps(1, side), text(ids)))

    print(json.dumps({"load": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        run(int(line))
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
