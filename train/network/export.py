"""The model folder: weights and configuration in timm's format, the ONNX network, metadata, splits and card."""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import importlib.metadata
import json
import logging
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from timm.models import save_for_hf
from torch import nn
from torch.nn import functional

from catdog.model.metadata import ONNX_FILE, FileHash, Preprocessing, hash_file
from train.network import heatmap
from train.network.backbone import TRUNK, branch_maps, has_trunk, trunk_maps

PIXELS = "pixel_values"
"""The name of an ONNX file's input."""
_LIBRARIES = ("torch", "timm", "onnx", "onnxruntime", "datasets", "numpy", "pillow", "scikit-learn")


def export_network(network: nn.Module, folder: Path, *, labels: tuple[str, ...], spec: Preprocessing) -> None:
    """Write `config.json`, `model.safetensors` and `onnx/model.onnx`."""
    network.to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    side = spec.input_size
    save_for_hf(
        network,
        str(folder),
        model_config={"label_names": list(labels)},
        safe_serialization=True,
        data_config={
            "input_size": (3, side, side),
            "mean": spec.mean,
            "std": spec.std,
            "interpolation": spec.interpolation,
            "crop_pct": spec.crop_pct,
            "crop_mode": spec.crop_mode,
        },
    )
    # safetensors makes its file for the owner alone; a model is for whoever may read its folder.
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode & 0o777)
    _drop_repeated_size(folder / "config.json")
    export_served(network, folder / ONNX_FILE, side=side)


def export_served(network: nn.Module, path: Path, *, side: int) -> None:
    """Write a network's ONNX file with everything that is served.

    The maps of its trunk, where it has one, keep their name but are not an output: see `train.ood.branch`.
    """
    served = Served(network)
    export_onnx(served, path, shape=(3, side, side), outputs=served.outputs)
    model = onnx.load(path)
    outputs = list(model.graph.output)
    del model.graph.output[:]
    for output in outputs:
        (model.graph.value_info if output.name == TRUNK else model.graph.output).append(output)
    onnx.save(model, path)


class Served(nn.Module):
    """A timm network with everything that is served: logits, the features before them, and where it can, heat maps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.explains = heatmap.can_explain(network)
        self.has_trunk = has_trunk(network)
        self.outputs = (
            "logits",
            "features",
            *([heatmap.OUTPUT] if self.explains else []),
            *([TRUNK] if self.has_trunk else []),
        )

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs, in the order of their names."""
        if not self.has_trunk:
            return self._head(self.network.forward_features(pixels))  # type: ignore[operator]
        maps = trunk_maps(self.network, pixels)
        return *self._head(branch_maps(self.network, maps)), maps

    def _head(self, maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        network = self.network
        if not self.explains:
            features = network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
            return network.get_classifier()(features), features  # type: ignore[operator]
        hidden = heatmap.hidden_features(network, maps)  # computed once, for the logits and for the heat map
        features = functional.hardswish(hidden)  # the network's own would overwrite what the heat map needs
        return network.classifier(features), features, heatmap.hirescam(network, maps, hidden)  # type: ignore[operator]


def export_onnx(
    network: nn.Module, path: Path, *, shape: tuple[int, int, int], source: str = PIXELS, outputs: tuple[str, ...]
) -> None:
    """Write one ONNX file, from `source` float32 (n, *shape) to `outputs`, each with n rows.

    Args:
        network: In evaluation mode; returns one tensor, or a tuple as long as `outputs`.
        path: The file; its folder is made.
        shape: Channels, height and width of the input.
        source: The input's name.
        outputs: The outputs' names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            network,
            (torch.zeros(2, *shape),),
            path,
            input_names=[source],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    drop_traces(path)


def exported(module: nn.Module, shape: tuple[int, int, int], source: str, output: str) -> onnx.ModelProto:
    """A part of a network with one output; see `export_onnx`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.onnx"
        export_onnx(module.eval(), path, shape=shape, source=source, outputs=(output,))
        return onnx.load(path)


def drop_traces(path: Path) -> None:
    """Take the exporter's notes out of an ONNX file: stack traces, which name the paths of the machine that made it."""
    model = onnx.load(path)
    for noted in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        del noted.metadata_props[:]
    onnx.save(model, path)


def _drop_repeated_size(path: Path) -> None:
    """Take `num_classes` out of timm's model arguments: it stands above them too, and transformers refuses it twice."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.get("model_args", {}).pop("num_classes", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def hash_files(folder: Path) -> tuple[FileHash, ...]:
    """Every file that the folder has so far, with its hash."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(FileHash(path=path.relative_to(folder).as_posix(), sha256=hash_file(path)) for path in paths)


def library_versions() -> dict[str, str]:
    """Of the libraries that shape the result."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}
