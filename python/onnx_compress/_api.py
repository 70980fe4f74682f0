"""The functions of the package."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any, Iterable, Optional, Union

from . import _program, _samples, _result
from ._errors import CompressError, UsageError
from ._result import Compressed
from ._samples import LIMIT, Samples, inputs_of
from ._stage import PathLike, Stage

if TYPE_CHECKING:
    import onnx

Model = Union[str, "os.PathLike[str]", "onnx.ModelProto"]


def compress(
    model: Model,
    samples: Optional[Samples] = None,
    target: Union[str, Iterable[str], None] = None,
    *,
    output: Optional[PathLike] = None,
    limit: Optional[int] = LIMIT,
    progress: Optional[bool] = None,
    **options: Any,
) -> Compressed:
    """Compresses a model, as the command onnx-compress does, to the same bytes.

    model is a path or an onnx.ModelProto. samples are what the command takes, by a path; or a dict of arrays, one per input; or
    anything to run through that gives dicts, arrays, tuples of arrays, or batches of these, as data loaders of torch and TensorFlow
    do. No more than limit are taken then. target is one of the command's, or several: "agree=99%", ["macs=0.5", "params=60%"];
    without any, the goal is the one that fits what the model gives.

    In place of samples, texts with a tokenizer (a file with one text a line or anything that gives texts, and a tokenizer.json) become
    tokens, of length at most: see onnx_compress.texts.encode. waves (a folder of WAV files, or several) become sound at a rate, of so many
    seconds: see onnx_compress.waves.load.

    options are the command's flags with _ for -, checked by the program: methods="svd,width", input_shape={"x": (1, 3, 224, 224)},
    for_="cpu", threads=2. A configuration is read only where config names one. labels may be integers, too, one a sample.

    With an output the model goes there when it is done, replacing a file only with force=True; else Compressed.save writes it.
    progress shows a bar, by default on a terminal and in a notebook.

    Raises a CompressError, whose class tells the exit code and whose words are the program's: UsageError, UnmetError and others.
    """
    refuse(options, json="is what .report has", plan="is what .plan has", quiet="is progress=False", calib="is what samples are")
    force = bool(options.pop("force", False))
    if output is not None:
        _result.free(pathlib.Path(output), force, model)
    stage = _stage_for(model if output is None else output)
    try:
        path = stage.model(model)
        name = pathlib.Path(output).name if output is not None else pathlib.Path(path).stem + ".small.onnx"
        result = stage.results / name
        words = ["compress", path, f"--output={result}", f"--json={stage.told / 'result.json'}", f"--plan={stage.told / 'plan.json'}"]
        words += _about(stage, path, samples, "calib", limit, options)
        words += _program.words_of({"target": [target] if isinstance(target, str) else list(target or []), **options})
        _run(stage, words, progress)
        files = [result, *(p for p in stage.produced() if p != result)]
        report, plan = (stage.words(_json(stage.told / f)) for f in ("result.json", "plan.json"))
        text = stage.words(_said(stage))
        if output is None:
            return Compressed(stage, files, report, plan, text)
        files = _result.put(files, pathlib.Path(output), force)
        stage.close()
        return Compressed(None, files, report, plan, text)
    except BaseException:
        stage.close()
        raise


def inspect(model: Model, **options: Any) -> dict[str, Any]:
    """Lists what can be compressed, what cannot, and why, as the command inspect does with --json."""
    refuse(options, json="is what is returned")
    stage = _stage_for(model)
    try:
        _run(stage, ["inspect", stage.model(model), "--json", "--quiet", *_configured(options), *_program.words_of(options)], False)
        found: dict[str, Any] = stage.words(json.loads(_said(stage)))
        return found
    finally:
        stage.close()


def verify(
    original: Model,
    compressed: Union[Model, Compressed],
    samples: Optional[Samples] = None,
    *,
    limit: Optional[int] = None,
    progress: Optional[bool] = None,
    **options: Any,
) -> dict[str, Any]:
    """Compares two models on the same samples, as the command verify does with --json.

    texts and waves may stand in place of samples, as for compress. With require=["agree=99%"] a bound that does not hold raises a BoundError, whose report has the comparison.
    """
    refuse(options, json="is what is returned", quiet="is progress=False", data="is what samples are")
    stage = _stage_for(original)
    try:
        path = stage.model(original)
        other = stage.model(compressed.path if isinstance(compressed, Compressed) else compressed)
        told = stage.told / "result.json"
        try:
            _run(stage, ["verify", path, other, f"--json={told}", *_about(stage, path, samples, "data", limit, options), *_program.words_of(options)], progress)
        except CompressError as err:
            if told.exists():
                err.report = stage.words(_json(told))
            raise
        compared: dict[str, Any] = stage.words(_json(told))
        return compared
    finally:
        stage.close()


def refuse(options: dict[str, Any], **instead: str) -> None:
    """Refuses options that the package itself sets."""
    for name, words in instead.items():
        if name in options:
            raise UsageError(f"{name} {words}")


def _stage_for(place: Any) -> Stage:
    """Makes the folders of a run whose result goes beside a file, or to the current folder."""
    return Stage(pathlib.Path(os.path.abspath(place)).parent if isinstance(place, (str, os.PathLike)) else os.curdir)


def _about(stage: Stage, model: str, samples: Optional[Samples], flag: str, limit: Optional[int], options: dict[str, Any]) -> list[str]:
    """Places samples and what belongs to them, takes them from the options, and returns the words that name them."""
    words = _configured(options)
    samples = _prepared(model, samples, limit, options)
    for name, given, file in ((flag, samples, "samples.npz"), ("tune-data", options.pop("tune_data", None), "tune.npz")):
        if given is None:
            continue
        if isinstance(given, (str, os.PathLike)):
            words.append(f"--{name}={stage.place(given)}")
            continue
        path = stage.file(file)
        _samples.write(path, given, inputs_of(model), limit)
        words.append(f"--{name}={path}")
    labels = options.get("labels")
    if labels is not None and not isinstance(labels, (str, os.PathLike)):
        path = stage.told / "labels.txt"
        path.write_text("".join(f"{int(n)}\n" for n in _samples.array_of(labels).ravel()), encoding="ascii")
        options["labels"] = str(path)
    return words


def _prepared(model: str, samples: Optional[Samples], limit: Optional[int], options: dict[str, Any]) -> Optional[Samples]:
    """Returns the samples, made of texts or waves where the options name these, which are taken from them."""
    own = {n: options.pop(n) for n in ("texts", "tokenizer", "length", "waves", "rate", "seconds") if options.get(n) is not None}
    texts, waves = own.pop("texts", None), own.pop("waves", None)
    if sum(s is not None for s in (samples, texts, waves)) > 1:
        raise UsageError("samples, texts and waves are three ways to give the same; want one of them")
    goes = {"tokenizer": texts, "length": texts, "rate": waves, "seconds": waves}
    for name in own:
        if goes[name] is None:
            raise UsageError(f"{name} says how {'texts become tokens' if name in ('tokenizer', 'length') else 'waves are read'}, but there are none of these")
    if texts is not None:
        if "tokenizer" not in own:
            raise UsageError("texts need the tokenizer of the model: tokenizer='tokenizer.json'")
        from .texts import encode

        return encode(texts, inputs=inputs_of(model), limit=limit, **own)
    if waves is not None:
        from .waves import load

        return load(waves, inputs_of(model), limit=limit, **own)
    return samples


def _configured(options: dict[str, Any]) -> list[str]:
    return [] if options.get("config") else ["--no-config"]


def _run(stage: Stage, words: list[str], progress: Optional[bool]) -> None:
    """Runs the program; the words of its error have the user's own names of files."""
    try:
        remarks = stage.words(_program.run(words, stage.told / "said", progress))
    except CompressError as err:
        err.args = (stage.words(str(err)),)
        raise
    if remarks:
        print(remarks, file=sys.stderr)


def _said(stage: Stage) -> str:
    return (stage.told / "said").read_text(encoding="utf-8", errors="replace")


def _json(path: pathlib.Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
