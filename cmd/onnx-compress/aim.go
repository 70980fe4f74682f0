package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// aimless tells whether the words ask for nothing: how small the model is to become then follows from what its outputs keep on samples.
func (c *compressCommand) aimless() bool { return len(c.targets) == 0 && c.plan.from == "" }

// ways says how to come by samples, or to do without. A model that can be read tells what they are.
func (c *compressCommand) ways(path string) error {
	input, model := "INPUT", quote.Shell(path)
	takes, door := "", photoDoor(model, " --crop 224 --normalize imagenet")
	if m, err := onnxio.Read(path); err == nil {
		defer m.Close()
		if list, err := samples.Inputs(m); err == nil && len(list) > 0 {
			input, door = list[0].Name, doorFor(model, list)
			takes = " It takes " + strings.Join(each(list, samples.InputSpec.String), ", ") + "."
		}
	}
	return usagef(`no --target and no samples, so that nothing says how small %s may become.%s
Give it a few hundred samples like those that it will see, without labels; it becomes as small as next to no answer changes on others.
%s
From Python, prepared as you run the model, saved with numpy.savez("samples.npz", **{%q: batch}):
  onnx-compress %s --calib samples.npz
From a folder of test_data_set_* with input_0.pb, ..., as ONNX's own models have them:
  onnx-compress %s --calib sets/
Without samples say how small, and nothing real will judge it:
  onnx-compress %s --target macs=0.9`, quote.Name(path), takes, door, input, model, model, model)
}

// doorFor is the way to samples that fits what a model takes: texts where there are ids of tokens, recordings where an input is called a
// wave, else photos.
func doorFor(model string, list []samples.InputSpec) string {
	for _, in := range list {
		name := strings.ToLower(in.Name)
		switch {
		case len(in.Shape) == 2 && !in.Type.IsFloat() && (strings.HasSuffix(name, "ids") || name == "tokens"):
			return fmt.Sprintf("From a file with a text a line, by the Python package of the wheel:\n"+
				"  python -m onnx_compress.texts texts.txt --tokenizer tokenizer.json --model %s -o calib.npz\n  onnx-compress %s --calib calib.npz", model, model)
		case len(in.Shape) < 4 && slices.ContainsFunc([]string{"wave", "audio", "speech", "sound", "input_values"}, func(s string) bool { return strings.Contains(name, s) }):
			return fmt.Sprintf("From a folder of WAV files, by the Python package of the wheel:\n"+
				"  python -m onnx_compress.waves recordings/ --model %s --rate 16000 -o calib.npz\n  onnx-compress %s --calib calib.npz", model, model)
		}
	}
	return photoDoor(model, preparation(list[0]))
}

func photoDoor(model, prepared string) string {
	return "From a folder of JPEG, PNG or WebP images, prepared as the model wants them:\n  onnx-compress " + model + " --calib photos/" + prepared
}

// preparation are flags that may prepare images for an input: of its size, and of colours as most networks want them.
func preparation(in samples.InputSpec) string {
	if len(in.Shape) != 4 {
		return ""
	}
	out, size, channels := "", in.Shape[2], in.Shape[1]
	if in.Shape[3] == 1 || in.Shape[3] == 3 {
		size, channels = in.Shape[1], in.Shape[3]
	}
	if size > 0 {
		out = fmt.Sprintf(" --crop %d", size)
	}
	if channels == 3 {
		out += " --normalize imagenet"
	}
	return out
}

// asked is how the command line asks for a run, for the commands that a verdict names.
func (c *compressCommand) asked(f *pflag.FlagSet, path string) compress.Asked {
	words := func(names ...string) string {
		return strings.Join(slices.DeleteFunc(given(f, quote.Shell), func(word string) bool {
			name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
			return !slices.Contains(names, name)
		}), " ")
	}
	out := compress.Asked{Model: quote.Shell(path), Inputs: words("classes", "kind", "weight"), Prepared: words("resize", "crop", "normalize", "mean", "std", "scale", "layout", "order")}
	if c.calib != "" {
		out.Samples = strings.Join(slices.DeleteFunc([]string{quote.Shell(c.calib), words("labels"), out.Prepared}, func(s string) bool { return s == "" }), " ")
	}
	return out
}
