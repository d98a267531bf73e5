"""Heat maps are what the gradient says, and are there only where the network's head allows them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catdog.model.model import Model
from catdog.model.preprocessing import preprocess
from train.network.create import timm
from train.network.export import Served
from train.network.heatmap import OUTPUT, can_explain, hidden_features, hirescam


def test_the_closed_form_is_the_gradient_times_the_map() -> None:
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050", num_classes=3).eval()
    # Wide enough for all three parts of the hard swish.
    torch.nn.init.normal_(network.conv_head.bias, std=4.0)
    maps = torch.randn(2, network.num_features, 3, 2, requires_grad=True)
    logits = network.get_classifier()(network.forward_head(maps, pre_logits=True))
    found = hirescam(network, maps, hidden_features(network, maps))
    assert found.shape == (2, 3, 3, 2)
    for label in range(3):
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), maps, retain_graph=True)
        torch.testing.assert_close(found[:, label], (gradient * maps).sum(dim=1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small_050", "resnet10t"])
def test_another_head_is_exported_without(name: str) -> None:
    network = timm.create_model(name, num_classes=2)
    assert not can_explain(network)
    assert OUTPUT not in Served(network).outputs


def test_a_trained_folder_explains_itself(trained: Path) -> None:
    model = Model.load(trained)
    image = Image.effect_noise((90, 60), 80).convert("RGB")
    assert model.explains
    heat = model.explain(image)
    assert heat.shape == (3, 2, 2)
    assert np.isfinite(heat).all()
    features = model.features([preprocess(image, model.metadata.preprocessing)] * 2)
    assert features.shape == (2, 1024)
    assert (features[0] == features[1]).all()
