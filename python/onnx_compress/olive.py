"""A pass of Olive, Microsoft's package olive-ai, that compresses an ONNX model as onnx_compress.compress does.

    python -m onnx_compress.olive > packages.json
    olive run --config run.json --package-config packages.json

Olive finds passes by a configuration of its packages; the first line prints Olive's own, with the pass OnnxCompress in it.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, Optional, Union

from olive.data.config import DataConfig  # type: ignore[import-not-found,unused-ignore]
from olive.model import ONNXModelHandler  # type: ignore[import-not-found,unused-ignore]
from olive.package_config import OlivePackageConfig  # type: ignore[import-not-found,unused-ignore]
from olive.passes import Pass  # type: ignore[import-not-found,unused-ignore]
from olive.passes.pass_config import PassConfigParam  # type: ignore[import-not-found,unused-ignore]

from ._api import compress


class OnnxCompress(Pass):  # type: ignore[misc,unused-ignore]
    """Replaces layers of an ONNX model by chains of low-rank factors, and makes them narrower."""

    @classmethod
    def _default_config(cls, accelerator_spec: Any) -> dict[str, Any]:
        return {
            "target": PassConfigParam(
                type_=Union[str, list[str]],
                default_value=None,
                description="what to reach, as the flag --target of onnx-compress has it: macs=0.5, agree=99%, or a list of such; without one, the least with next to nothing lost on samples",
            ),
            "samples": PassConfigParam(type_=str, default_value=None, description="a path to samples, in the forms that the flag --calib takes"),
            "data_config": PassConfigParam(type_=Union[DataConfig, dict], default_value=None, description="the configuration of data that are samples, in place of a path"),
            "options": PassConfigParam(type_=dict, default_value={}, description="further options of onnx_compress.compress: methods, limit, texts, tokenizer, seed, ..."),
        }

    def _run_for_config(self, model: Any, config: Any, output_model_path: str) -> Any:
        if not isinstance(model, ONNXModelHandler):
            raise TypeError(f"OnnxCompress takes ONNX models, and was given a {type(model).__name__}; put a conversion before it")
        samples: Any = config.samples
        if config.data_config is not None:
            if samples is not None:
                raise ValueError("samples and data_config are two ways to give the same; want one of them")
            data = config.data_config
            samples = (data if isinstance(data, DataConfig) else DataConfig(**data)).to_data_container().create_dataloader()
        folder = pathlib.Path(output_model_path).with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        name = pathlib.Path(model.model_path).name
        compress(model.model_path, samples, config.target, output=folder / name, force=True, **config.options)
        return ONNXModelHandler(model_path=folder, onnx_file_name=name, model_attributes=model.model_attributes)


def package_config(path: Optional[str] = None) -> dict[str, Any]:
    """Returns a configuration of packages, Olive's own unless a path names another, with the pass in it."""
    text = pathlib.Path(path or OlivePackageConfig.get_default_config_path()).read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    every = {f"supported_{what}": ["*"] for what in ("providers", "accelerators", "precisions")}
    config["passes"] = {**config["passes"], "OnnxCompress": {"module_path": "onnx_compress.olive.OnnxCompress", **every}}
    return config


if __name__ == "__main__":
    print(json.dumps(package_config(*sys.argv[1:2]), indent=4))
