"""The timm network: made, filled with starting weights, and read from a model folder."""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import os
from pathlib import Path

import timm
import timm.data
import torch
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from catdog.errors import HubError, ModelError, SettingsError
from catdog.model.metadata import Preprocessing
from train.options import RANDOM

IMAGENET_CLASSES = 1000
_ARCH = {"--init": "--arch", "--teacher": "--teacher-arch"}


def create_network(architecture: str, *, labels: int, init: str, option: str = "--init") -> nn.Module:
    """Make a timm network with a fresh head for `labels` outputs.

    Args:
        architecture: timm's name; ignored where `init` is a Hub name, which says it itself.
        labels: Number of outputs.
        init: A safetensors file with timm's parameter names (a head that does not fit is left out), `timm/NAME` or
            another Hub repository in timm's format, or `random`.
        option: Where the user said so, for messages.

    Raises:
        SettingsError: timm has no such architecture, or the file is missing.
        ModelError: the file's weights do not fit the architecture.
        HubError: the Hub does not have, or give, the weights.
    """
    if init == RANDOM:
        return _create(architecture, labels)
    if init.endswith(".safetensors") or os.path.isfile(init):  # noqa: PTH113 - fails for no name
        network = _create(architecture, labels)
        _load_weights(network, Path(init), option)
        return network
    return _fetch(init, labels, option)


def output_count(init: str) -> int:
    """How many classes the last layer of starting weights has; ImageNet's 1,000 where that cannot be seen."""
    path = Path(init)
    if not path.is_file():
        return IMAGENET_CLASSES
    try:
        with safe_open(path, framework="pt") as file:
            heads = [file.get_slice(name).get_shape() for name in file.keys() if name.endswith("classifier.weight")]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}. Fetch it again.") from None
    return int(heads[0][0]) if heads else IMAGENET_CLASSES


def preprocessing(network: nn.Module, *, input_size: int, crop_pct: float) -> Preprocessing:
    """What the network's own configuration says, at another size: aspect kept, the centre cut out."""
    config = timm.data.resolve_model_data_config(network)  # type: ignore[attr-defined, no-untyped-call]
    return Preprocessing(
        input_size=input_size,
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
        crop_pct=crop_pct,
        crop_mode="center",
    )


def classifier(network: nn.Module) -> nn.Linear:
    """The last layer.

    Raises:
        SettingsError: the architecture does not end in one linear layer.
    """
    head = network.get_classifier()  # type: ignore[operator] # every timm network has it
    if not isinstance(head, nn.Linear):
        raise SettingsError("--arch: the network must end in one linear layer. Use one of timm's MobileNetV3.")
    return head


def fold_temperature(network: nn.Module, temperature: float) -> None:
    """Divide the last layer by the temperature, so that every consumer shows calibrated probabilities."""
    head = classifier(network)
    with torch.no_grad():
        head.weight.div_(temperature)
        head.bias.div_(temperature)


def _fetch(name: str, labels: int, option: str) -> nn.Module:
    """A network from the Hub; a bare name is one of timm's own."""
    unknown = SettingsError(
        f"{option} {name} is neither a file, nor a timm model, nor a Hub repository such as timm/NAME."
    )
    if "/" not in name and not timm.is_model(name):
        raise unknown
    try:
        network: nn.Module = timm.create_model(
            f"hf_hub:{name}" if "/" in name else name, pretrained=True, num_classes=labels
        )
    except HFValidationError:
        raise unknown from None
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split("\n")[:2]).strip().rstrip(".")
        raise HubError(
            f"The weights {name} could not be loaded: {reason}. Check the name, the network and HF_TOKEN, or name a "
            "safetensors file."
        ) from None
    return network


def _create(architecture: str, labels: int) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(architecture, num_classes=labels)
    except RuntimeError as error:
        raise SettingsError(f"--arch {architecture}: {error}. Name one of timm's MobileNetV3.") from None
    return network


def _load_weights(network: nn.Module, path: Path, option: str) -> None:
    if not path.is_file():
        raise SettingsError(
            f"{option} {path}: there is no such file. Name a safetensors file, or timm/NAME on the Hub."
        )
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{option} {path} is not a readable safetensors file: {error}. Fetch it again.") from None
    advice = f"Set {_ARCH[option]} to its own."
    own = network.state_dict()
    head = {name for name in own if own[name] is classifier(network).weight or name.startswith("classifier.")}
    fitting = {name: tensor for name, tensor in weights.items() if name not in head or tensor.shape == own[name].shape}
    try:
        missing, unexpected = network.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{option} {path} does not fit the architecture: {error}. {advice}") from None
    if unexpected or set(missing) - head:
        raise ModelError(f"{option} {path} does not fit the architecture: other layers. {advice}")
