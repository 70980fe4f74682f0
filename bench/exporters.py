"""Makes tiny transformers with seeded weights and writes them as ONNX by one exporter.

usage: exporters.py EXPORTER WORK

EXPORTER is torch (the TorchScript exporter and the one of torch.export, at several operator sets), optimum, builder (ONNX Runtime GenAI's)
or fuser (ONNX Runtime's optimiser for transformers, over what torch wrote). Each model is WORK/FAMILY/EXPORTER[_PART].onnx; what an
exporter said of a model that it cannot make is a line of WORK/unmade.txt.
"""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

import onnxruntime  # noqa: E402
import torch  # noqa: E402
import transformers as hf  # noqa: E402

SEED, WORDS, WIDE, INNER, LAYERS, HEADS = 1, 500, 64, 128, 2, 4
TEXTS, TOKENS, FRAMES, MELS, PIXELS, PATCH = 2, 8, 100, 80, 32, 8

common = dict(vocab_size=WORDS, hidden_size=WIDE, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS)
special = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
llama = dict(**common, **special, num_key_value_heads=2, max_position_embeddings=128)
vision = dict(**common, image_size=PIXELS, patch_size=PATCH)
del vision["vocab_size"]

# A family is a class and the arguments of its configuration.
FAMILIES = {
    "bert": (hf.BertForMaskedLM, hf.BertConfig, dict(**common, max_position_embeddings=64)),
    "distilbert": (
        hf.DistilBertForSequenceClassification,
        hf.DistilBertConfig,
        dict(vocab_size=WORDS, dim=WIDE, hidden_dim=INNER, n_layers=LAYERS, n_heads=HEADS, max_position_embeddings=64, num_labels=5),
    ),
    "deberta": (
        hf.DebertaV2ForSequenceClassification,
        hf.DebertaV2Config,
        dict(**common, max_position_embeddings=64, relative_attention=True, position_buckets=16, pos_att_type=["p2c", "c2p"], num_labels=5),
    ),
    "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config, dict(vocab_size=WORDS, n_embd=WIDE, n_layer=LAYERS, n_head=HEADS, n_positions=128, bos_token_id=1, eos_token_id=2)),
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig, llama),
    "qwen2": (hf.Qwen2ForCausalLM, hf.Qwen2Config, dict(**llama, tie_word_embeddings=True)),
    "gemma": (hf.Gemma2ForCausalLM, hf.Gemma2Config, dict(**llama, head_dim=16, query_pre_attn_scalar=16, sliding_window=64)),
    "t5": (
        hf.T5ForConditionalGeneration,
        hf.T5Config,
        dict(vocab_size=WORDS, d_model=WIDE, d_kv=16, d_ff=INNER, num_layers=LAYERS, num_heads=HEADS, feed_forward_proj="gated-gelu", decoder_start_token_id=0),
    ),
    "whisper": (
        hf.WhisperForConditionalGeneration,
        hf.WhisperConfig,
        dict(
            **special, vocab_size=WORDS, d_model=WIDE, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=HEADS, decoder_attention_heads=HEADS,
            encoder_ffn_dim=INNER, decoder_ffn_dim=INNER, num_mel_bins=MELS, max_source_positions=FRAMES // 2, max_target_positions=64,
            decoder_start_token_id=1, begin_suppress_tokens=None,
        ),
    ),
    "vit": (hf.ViTForImageClassification, hf.ViTConfig, dict(**vision, num_labels=10)),
    "clip": (
        hf.CLIPModel,
        hf.CLIPConfig,
        dict(text_config=dict(**common, **special, max_position_embeddings=64, projection_dim=WIDE), vision_config=dict(**vision, projection_dim=WIDE), projection_dim=WIDE),
    ),
}  # fmt: skip


def network(family):
    """The family's model, its matrices with a spectrum that decays as that of trained ones."""
    model, config, arguments = FAMILIES[family]
    torch.manual_seed(SEED)
    net = model(config(**arguments)).eval()
    with torch.no_grad():
        for p in {id(p): p for p in net.parameters() if p.dim() >= 2}.values():
            u, s, v = torch.linalg.svd(torch.randn(p.shape[0], p[0].numel()), full_matrices=False)
            s = torch.arange(1, len(s) + 1) ** -0.7
            p.copy_((u * (s * (p.shape[0] / s.square().sum()).sqrt()) @ v).reshape(p.shape))
    return net


class Part(torch.nn.Module):
    """What a file holds: named inputs to the tensors that are worth keeping."""

    def __init__(self, net, inputs, outputs, **fixed):
        super().__init__()
        self.net, self.inputs, self.outputs, self.fixed = net, list(inputs), outputs, fixed

    def forward(self, *values):
        result = self.net(**dict(zip(self.inputs, values)), **self.fixed)
        return tuple(result[name] for name in self.outputs)


class Pair(torch.nn.Module):
    """The decoder of a pair with its head."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, decoder_input_ids, encoder_hidden_states):
        return self.net(encoder_outputs=(encoder_hidden_states,), decoder_input_ids=decoder_input_ids, use_cache=False)


def parts(family, net):
    """The files of a family as somebody writes them who calls torch's exporters: name, module, inputs."""
    texts = torch.randint(3, WORDS, (TEXTS, TOKENS))
    ids = {"input_ids": texts, "attention_mask": torch.ones_like(texts)}
    pixels = {"pixel_values": torch.randn(TEXTS, 3, PIXELS, PIXELS)}
    if family == "clip":
        inputs = ids | pixels
        return [("", Part(net, inputs, ["logits_per_image", "text_embeds", "image_embeds"]), inputs)]
    if family == "vit":
        return [("", Part(net, pixels, ["logits"]), pixels)]
    if family not in ("t5", "whisper"):
        fixed = {} if family in ("bert", "distilbert", "deberta") else {"use_cache": False}
        return [("", Part(net, ids, ["logits"], **fixed), ids)]
    reads = ids if family == "t5" else {"input_features": torch.randn(TEXTS, MELS, FRAMES)}
    states = torch.randn(TEXTS, TOKENS if family == "t5" else FRAMES // 2, WIDE)
    writes = {"decoder_input_ids": texts, "encoder_hidden_states": states}
    return [
        ("_encoder", Part(net.get_encoder(), reads, ["last_hidden_state"]), reads),
        ("_decoder", Part(Pair(net), writes, ["logits"]), writes),
    ]


def free(inputs, dynamo):
    """The axes that are left open: the samples', and the tokens'."""
    axes = {}
    for name, value in inputs.items():
        axes[name] = {0: "batch"}
        if value.dim() == 2:
            axes[name][1] = "tokens"
    if dynamo:
        return tuple({i: torch.export.Dim(dim, max=64) for i, dim in a.items()} for a in axes.values())
    return axes


def by_torch(work):
    for family in FAMILIES:
        net = network(family)
        for part, module, inputs in parts(family, net):
            module.eval()
            values = tuple(inputs.values())
            for name, opset, dynamo in (("ts17", 17, False), ("dynamo18", 18, True), ("dynamo23", 23, True)):
                with making(work, family, name + part) as path:
                    more = {"dynamic_shapes": (free(inputs, True),), "external_data": False} if dynamo else {"dynamic_axes": free(inputs, False) | {o: {0: "batch"} for o in module.outputs}}
                    torch.onnx.export(module, values, path, input_names=list(inputs), output_names=module.outputs, opset_version=opset, dynamo=dynamo, **more)


def by_optimum(work):
    from optimum.exporters.onnx import onnx_export_from_model

    for family in FAMILIES:
        task = {"bert": "fill-mask", "distilbert": "text-classification", "deberta": "text-classification", "vit": "image-classification"}.get(family)
        tasks = [task or "feature-extraction"] if task or family == "clip" else ["text-generation", "text-generation-with-past"]
        if family in ("t5", "whisper"):
            tasks = ["text2text-generation-with-past" if family == "t5" else "automatic-speech-recognition-with-past"]
        for task in tasks:
            name = "optimum" + ("_past" if task == "text-generation-with-past" else "")
            with making(work, family, name) as path, tempfile.TemporaryDirectory() as folder:
                onnx_export_from_model(network(family), folder, task=task, do_validation=False, nb_max_frames=FRAMES)
                for made in sorted(pathlib.Path(folder).glob("*.onnx")):
                    part = made.stem.replace("_model", "").replace("model", "")
                    shutil.move(made, str(path).replace(".onnx", "_" + part + ".onnx") if part else path)


def by_builder(work):
    import onnx
    from tokenizers import Tokenizer, models

    for family in ("llama", "qwen2", "gemma", "whisper"):
        for precision in ("fp32", "int4"):
            with making(work, family, "builder_" + precision) as path, tempfile.TemporaryDirectory() as folder:
                network(family).save_pretrained(folder)
                words = Tokenizer(models.WordLevel({"w%d" % i: i for i in range(WORDS)}, "w0"))
                hf.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", bos_token="w1", eos_token="w2").save_pretrained(folder)
                command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", folder, "-o", folder + "/out", "-p", precision, "-e", "cpu", "-c", folder + "/cache"]
                run = subprocess.run(command, capture_output=True, text=True)
                if run.returncode:
                    raise RuntimeError(run.stderr.strip().splitlines()[-1])
                for made in sorted(pathlib.Path(folder, "out").glob("*.onnx")):
                    part = "" if made.stem == "model" else "_" + made.stem
                    onnx.save(onnx.load(made), str(path).replace(".onnx", part + ".onnx"))


def by_fuser(work):
    from onnxruntime.transformers.optimizer import optimize_model

    kinds = {"bert": "bert", "distilbert": "bert", "gpt2": "gpt2", "llama": "gpt2", "t5": "t5", "vit": "vit", "clip": "clip"}
    for family, kind in kinds.items():
        for source in sorted((work / family).glob("ts17*.onnx")):
            for level in (1, 2, 99):
                with making(work, family, source.stem.replace("ts17", "fused%d" % level)) as path:
                    optimize_model(str(source), kind, num_heads=HEADS, hidden_size=WIDE, opt_level=level).save_model_to_file(str(path))


@contextlib.contextmanager
def making(work, family, name):
    """Gives the path to write to; notes in the exporter's own words why nothing came of it."""
    path = work / family / (name + ".onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield path
        for made in path.parent.glob(name + "*.onnx"):
            onnxruntime.InferenceSession(str(made))
    except Exception as e:  # an exporter may raise anything
        path.unlink(missing_ok=True)
        while e.__cause__:
            e = e.__cause__
        said = [line.strip() for line in str(e).splitlines() if line.strip()] or [""]
        with open(work / "unmade.txt", "a") as f:
            f.write("%s\t%s\t%s: %s\n" % (family, name, type(e).__name__, said[0][:200]))


def main():
    exporter, work = sys.argv[1], pathlib.Path(sys.argv[2])
    {"torch": by_torch, "optimum": by_optimum, "builder": by_builder, "fuser": by_fuser}[exporter](work)


if __name__ == "__main__":
    main()
