"""A captured network trains as the eager one does."""

import copy

import pytest
import torch
from torch import nn

from worldmodel.models.cuda_graphs import Captured
from worldmodel.models.encoders import Encoder
from worldmodel.models.kinds import make_predictor
from worldmodel.settings import EncoderConfig, PredictorConfig, TransformerConfig

B, D, A, SIDE = 12, 5, 2, 16
PREDICTORS = {
    "mlp": PredictorConfig(horizon=6, hidden=24),
    "recurrent": PredictorConfig(kind="recurrent", horizon=6, hidden=24, width=16, depth=1),
    "transformer": PredictorConfig(
        kind="transformer", history=[0, 3], horizon=6, hidden=24, transformer=TransformerConfig(block=3)
    ),
}


def test_on_a_cpu_it_is_the_function_itself():
    network = nn.Linear(3, 2)
    seen = []
    captured = Captured(network, lambda x, context: seen.append(context) or network(x))
    x = torch.randn(4, 3)
    torch.testing.assert_close(captured(x, None), network(x), rtol=0, atol=0)
    assert seen == [None]


def trained(function, network, batches):
    """The network's weights and statistics after a step on each of the batches."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for inputs in batches:
        optimizer.zero_grad(set_to_none=True)
        out = function(*inputs)
        (out.float().square().mean() + out.float().mean()).backward()
        optimizer.step()
    return network.state_dict()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["mlp", "keypoints", "glimpse", "cnn"])
def test_a_captured_encoder_learns_what_the_eager_one_learns(kind):
    """Running statistics of BatchNorm included: recording leaves no trace. Another batch size is recorded anew."""
    channels = [8, 8]
    config = EncoderConfig(kind=kind, input_size=SIDE, latent_dim=D, hidden=16, channels=channels, glimpse_size=8)
    eager = Encoder(config).cuda().train()
    captured = copy.deepcopy(eager)
    batches = [(torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8).cuda(),) for n in (B, B, B + 3, B)]
    expected = trained(eager, eager, batches)
    found = trained(Captured(captured), captured, batches)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].float(), value.float(), rtol=1e-3, atol=1e-4, msg=name)
    captured.eval()
    torch.testing.assert_close(Captured(captured)(*batches[0]), captured(*batches[0]))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", PREDICTORS)
@pytest.mark.parametrize("with_context", [False, True])
def test_a_captured_predictor_learns_what_the_eager_one_learns(kind, with_context):
    eager = make_predictor(PREDICTORS[kind], D, A, 4 if with_context else 0).cuda().train()
    captured = copy.deepcopy(eager)
    context = torch.randn(B, 4).cuda() if with_context else None
    batches = [(torch.randn(B, eager.state_dim).cuda(), torch.randn(B, 1, 6, A).cuda(), context) for _ in range(3)]
    expected = trained(eager, eager, batches)
    found = trained(Captured(captured), captured, batches)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.gpu
def test_gradients_reach_what_a_captured_network_reads():
    network = nn.Linear(D, D).cuda().train()
    x = torch.randn(B, D, device="cuda", requires_grad=True)
    Captured(network)(x * 2).square().sum().backward()
    (expected,) = torch.autograd.grad(network(x * 2).square().sum(), x)
    torch.testing.assert_close(x.grad, expected)
