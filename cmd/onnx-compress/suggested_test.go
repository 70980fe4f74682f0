package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// suggestedFor is what is suggested for a model whose sizes are open.
type suggestedFor struct {
	build  func(b *testmodels.Builder)
	shapes string // what inspect suggests
	flags  string // how samples are given
	made   string // of the command that makes them
}

// openModels are models whose sizes are open, by what they are for.
func openModels() map[string]suggestedFor {
	return map[string]suggestedFor{
		"classifier": {func(b *testmodels.Builder) {
			x := b.Node("GlobalAveragePool", []string{b.Conv(b.Input("x", tensor.Float32, "N", 3, "H", "W"), 3, 8, []int{3, 3})})
			b.Linear(b.Node("Flatten", []string{x}), 8, 5, true)
			b.Output(b.Rename("scores"), tensor.Float32, "N", 5)
		}, " --input-shape x=1x3x224x224", "--resize 256 --crop 224 --normalize imagenet", ""},
		"detector": {func(b *testmodels.Builder) {
			y := b.Conv(b.Input("images", tensor.Float32, "N", 3, "H", "W"), 3, 8, []int{3, 3})
			b.Node("Concat", []string{b.Node("Exp", []string{y}), b.Node("Sigmoid", []string{y})}, graph.Int("axis", 1))
			b.Node("Reshape", []string{b.Rename("all"), b.Ints("places", 0, 16, -1)})
			b.Output(b.Rename("found"), tensor.Float32, "N", 16, "M")
		}, " --input-shape images=1x3x640x640", "--resize 640x640", ""},
		"a detector that says its size": {func(b *testmodels.Builder) {
			y := b.State("imgsz", "[320, 256]").Conv(b.Input("images", tensor.Float32, "N", 3, "H", "W"), 3, 8, []int{3, 3})
			b.Node("Concat", []string{b.Node("Exp", []string{y}), b.Node("Sigmoid", []string{y})}, graph.Int("axis", 1))
			b.Node("Reshape", []string{b.Rename("all"), b.Ints("places", 0, 16, -1)})
			b.Output(b.Rename("found"), tensor.Float32, "N", 16, "M")
		}, " --input-shape images=1x3x320x256", "--resize 320x256", ""},
		"lines of text": {func(b *testmodels.Builder) {
			b.Conv(b.Input("x", tensor.Float32, "N", 3, 48, "W"), 3, 8, []int{3, 3})
			b.Output(b.Rename("y"), tensor.Float32, "N", 8, 46, "V")
		}, " --input-shape x=1x3x48x320", "--resize 48 --normalize half", ""},
		"lines of any height": {func(b *testmodels.Builder) {
			y := b.Conv(b.Input("x", tensor.Float32, "N", 3, "H", "W"), 3, 8, []int{3, 3})
			b.Node("Squeeze", []string{b.Node("ReduceMean", []string{y}, graph.Ints("axes", 2)), b.Ints("high", 2)})
			b.Node("Softmax", []string{b.Node("Transpose", []string{b.Rename("columns")}, graph.Ints("perm", 0, 2, 1))}, graph.Int("axis", 2))
			b.Output(b.Rename("y"), tensor.Float32, "N", "V", 8)
		}, " --input-shape x=1x3x48x320", "--resize 48 --normalize half", ""},
		"texts": {func(b *testmodels.Builder) {
			ids := b.Input("input_ids", tensor.Int64, "N", "T")
			b.Input("attention_mask", tensor.Int64, "N", "T")
			b.Linear(b.Node("Gather", []string{b.Weight("table", 1, 50, 8), ids}), 8, 5, true)
			b.Output(b.Rename("y"), tensor.Float32, "N", "T", 5)
		}, " --input-shape attention_mask=1x128 --input-shape input_ids=1x128", "calib.npz", "onnx_compress.texts"},
		"sound": {func(b *testmodels.Builder) {
			x := b.Node("Unsqueeze", []string{b.Input("audio", tensor.Float32, "N", "T"), b.Ints("at", 1)})
			b.Conv(x, 1, 8, []int{9})
			b.Output(b.Rename("y"), tensor.Float32, "N", 8, "S")
		}, " --input-shape audio=1x16000", "calib.npz", "onnx_compress.waves recordings/ --model model.onnx --rate 16000 -o"},
		"a stream": {func(b *testmodels.Builder) {
			x, h := b.Input("input", tensor.Float32, "N", "T"), b.Input("h", tensor.Float32, 2, "N", 8)
			b.Input("sr", tensor.Int64)
			b.Conv(b.Node("Unsqueeze", []string{x, b.Ints("at", 1)}), 1, 8, []int{9})
			b.Output(b.Rename("y"), tensor.Float32, "N", 8, "S")
			b.Linear(h, 8, 8, true)
			b.Output(b.Rename("hn"), tensor.Float32, 2, "N", 8)
		}, " --input-shape h=2x1x8 --input-shape input=1x512", "calib.npz", "onnx_compress.waves recordings/ --model model.onnx --rate 16000 --seconds 0.032 -o"},
		"a decoder": {func(b *testmodels.Builder) {
			ids, past := b.Input("input_ids", tensor.Int64, "N", "T"), b.Input("past_key_values.0.key", tensor.Float32, "N", 2, "P", 4)
			b.Linear(b.Node("Gather", []string{b.Weight("table", 1, 50, 8), ids}), 8, 50, true)
			b.Output(b.Rename("logits"), tensor.Float32, "N", "T", 50)
			b.Node("Identity", []string{past})
			b.Output(b.Rename("present.0.key"), tensor.Float32, "N", 2, "Q", 4)
		}, " --input-shape input_ids=1x128 --input-shape past_key_values.0.key=1x2x0x4", "calib.npz", "onnx_compress.texts"},
	}
}

// TestSuggested: what is suggested for a model can be pasted: flags parse, shapes leave nothing unknown, and images are prepared to what its inputs take.
func TestSuggested(t *testing.T) {
	for name, c := range openModels() {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			drawn(t, "photos", 300, 400)
			b := testmodels.NewBuilder(3, 17, 8)
			c.build(b)
			if err := os.Rename(testkit.Save(t, testkit.Built(t, b)), "model.onnx"); err != nil {
				t.Fatal(err)
			}
			m, err := onnxio.Read("model.onnx")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			found, err := compress.Inspect(m, nil, compress.Selection{})
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := report.Inspection(&text, found, false); err != nil || !strings.Contains(text.String(), "for example"+c.shapes+"\n") {
				t.Errorf("%v; want %s in\n%s", err, c.shapes, text.String())
			}
			var shapes []string
			for word := range strings.FieldsSeq(c.shapes) {
				if word != "--input-shape" {
					shapes = append(shapes, word)
				}
			}
			given, err := inputShapes(shapes)
			if err != nil {
				t.Fatal(err)
			}
			if found, err = compress.Inspect(m, given, compress.Selection{}); err != nil || len(found.Unknown) > 0 || len(found.Suggested) > 0 {
				t.Errorf("with these shapes: %v, unknown %v, suggested %v", err, found.Unknown, found.Suggested)
			}
			said := (&compressCommand{}).ways("model.onnx").Error()
			if !strings.HasSuffix(said, "--target macs=0.9"+c.shapes) || !strings.Contains(said, c.flags) || !strings.Contains(said, c.made) {
				t.Errorf("want %s and %s in\n%s", c.flags, c.made, said)
			}
			lines := regexp.MustCompile(`(?m)^  onnx-compress (.*)$`).FindAllStringSubmatch(said, -1)
			if len(lines) < 3 {
				t.Fatalf("%d commands in\n%s", len(lines), said)
			}
			for _, line := range lines {
				pasted(t, m, strings.Fields(line[1]))
			}
		})
	}
}

// pasted has the flags of a command read, and images opened that it names.
func pasted(t *testing.T, m *onnxio.Model, words []string) {
	t.Helper()
	cmd, rest, err := newRoot(streams{}).Find(slices.Concat([]string{"compress"}, words))
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	at := slices.Index(words, "--calib")
	if at < 0 || words[at+1] != "photos/" {
		return
	}
	flags := sampleFlags{}
	for name, value := range map[string]*string{"resize": &flags.resize, "crop": &flags.crop, "normalize": &flags.normalize} {
		*value = cmd.Flags().Lookup(name).Value.String()
	}
	source, err := openSamples(m, words[at+1], &flags)
	if err == nil {
		_, err = source.Sample(0)
	}
	if err != nil {
		t.Errorf("%q: %v", words, err)
	}
}

// TestMeasuredNext: where a run did not measure how fast its result runs, the command that it suggests for that measures it.
func TestMeasuredNext(t *testing.T) {
	provisiontest.Need(t, provision.ONNXRuntime)
	for name, calib := range map[string][]string{"the sizes that were given": {"--input-shape=x=1x3x32x32"}, "samples": {"--calib=photos", "--resize=32x32", "--calib-samples=2", "--batch=1"}} {
		t.Chdir(t.TempDir())
		for i := range 4 {
			drawn(t, "photos", 30+i, 40)
		}
		b := testmodels.NewBuilder(3, 17, 8)
		x := b.Conv(b.Conv(b.Input("x", tensor.Float32, "N", 3, "H", "W"), 3, 32, []int{3, 3}), 32, 32, []int{3, 3})
		b.Linear(b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})}), 32, 5, true)
		b.Output(b.Rename("scores"), tensor.Float32, "N", 5)
		if err := os.Rename(testkit.Save(t, testkit.Built(t, b)), "model.onnx"); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		args := slices.Concat([]string{"model.onnx", "--target=macs=0.9", "--accept-damage", "--json"}, calib)
		if code := run(args, streams{out: &out, err: &errs}); code != exitDone {
			t.Fatalf("%s: %s", name, errs.String())
		}
		var r compress.Result
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		steps := r.Verdict.Next
		if len(steps) == 0 || !strings.HasPrefix(steps[len(steps)-1].Command, "onnx-compress bench model.onnx model.small.onnx ") {
			t.Fatalf("%s: %+v", name, steps)
		}
		out.Reset()
		if code := run(strings.Fields(steps[len(steps)-1].Command)[1:], streams{out: &out, err: &errs}); code != exitDone || !strings.Contains(out.String(), "model.small.onnx") {
			t.Errorf("%s: %s gives %d: %s%s", name, steps[len(steps)-1].Command, code, out.String(), errs.String())
		}
	}
}
