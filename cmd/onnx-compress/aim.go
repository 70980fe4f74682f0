package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// aimless tells whether the words ask for nothing: how small the model is to become then follows from what its outputs keep on samples.
func (c *compressCommand) aimless() bool { return len(c.targets) == 0 && c.plan.from == "" }

// ways says how to come by samples, or to do without. A model that can be read tells what they are.
func (c *compressCommand) ways(path string) error {
	model, takes, sizes := quote.Shell(path), "", ""
	list := []door{photoDoor("photos/", " --resize 256 --crop 224 --normalize imagenet")}
	if m, err := onnxio.Read(path); err == nil {
		defer m.Close()
		if about, err := subjectOf(m); err == nil && len(about.inputs) > 0 {
			list = about.doors()
			sizes = report.ShapeFlags(about.open)
			takes = " It takes " + strings.Join(each(about.inputs, samples.InputSpec.String), ", ") + "."
		}
	}
	list = append(list, door{from: "From a folder of test_data_set_* with input_0.pb, ..., as ONNX's own models have them", flags: "--calib sets/"})
	text := ""
	for _, d := range list {
		text += fmt.Sprintf("%s\n  onnx-compress %s %s\n", d, model, d.flags)
	}
	return usagef(`no --target and no samples, so that nothing says how small %s may become.%s
Give it a few hundred samples like those that it will see, without labels: then it becomes as small as it can be without changing more than next to none of its answers on others.
%sWithout samples say how small, and nothing real will judge it:
  onnx-compress %s --target macs=0.9%s`, quote.Name(path), takes, text, model, sizes)
}

// asked is how the command line asks for a run, for the commands that a verdict names.
func (c *compressCommand) asked(f *pflag.FlagSet, path string, m *onnxio.Model) compress.Asked {
	words := func(names ...string) string {
		return strings.Join(slices.DeleteFunc(given(f, quote.Shell), func(word string) bool {
			name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
			return !slices.Contains(names, name)
		}), " ")
	}
	out := compress.Asked{
		Model: quote.Shell(path), Inputs: words("classes", "kind", "weight", "through"), Sizes: words("input-shape"),
		Prepared: words("resize", "crop", "normalize", "mean", "std", "scale", "layout", "order"),
	}
	if out.Sizes == "" {
		if about, err := subjectOf(m); err == nil {
			out.Sizes = strings.TrimSpace(report.ShapeFlags(about.open))
		}
	}
	if c.calib != "" {
		out.Samples = strings.Join(slices.DeleteFunc([]string{quote.Shell(c.calib), words("labels"), out.Prepared}, func(s string) bool { return s == "" }), " ")
	}
	return out
}
