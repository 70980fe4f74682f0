package tune

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// averager gives the mean of what a layer makes of the tokens of a text: of those that are no padding, or of all.
func averager(t *testing.T, masked bool) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	ids, mask := b.Input("input_ids", tensor.Int64, "N", "S"), b.Input("attention_mask", tensor.Int64, "N", "S")
	x := b.Node("Tanh", []string{b.Node("MatMul", []string{b.Node("Gather", []string{b.Random("table", -1, 1, words, 8), ids}), b.Random("weight", -1, 1, 8, 6)})})
	one := b.Ints("one", 1)
	counts := b.Node("Unsqueeze", []string{b.Node("Cast", []string{mask}, graph.Int("to", int(tensor.Float32))), b.Ints("two", 2)})
	if masked {
		x = b.Node("Mul", []string{x, counts})
		x = b.Node("ReduceSum", []string{x, one}, graph.Int("keepdims", 0))
		b.Node("Div", []string{x, b.Node("ReduceSum", []string{counts, one}, graph.Int("keepdims", 0))})
	} else {
		b.Node("ReduceMean", []string{x}, graph.Ints("axes", 1), graph.Int("keepdims", 0))
	}
	b.Output(b.Rename("sentence_embedding"), tensor.Float32, "N", 6)
	return testkit.Built(t, b)
}

// longTexts are texts of 32 positions, of which the first three to 22 are no padding.
func longTexts() memory {
	var out memory
	for i := range 40 {
		ids, mask := make([]int64, 32), make([]int64, 32)
		for k := range 3 + i%20 {
			ids[k], mask[k] = int64((i+k)%words), 1
		}
		out = append(out, samples.Sample{Name: fmt.Sprint("text ", i), Label: -1, Inputs: map[string]tensor.Dense{
			"input_ids": tensor.FromInt64([]int{32}, ids), "attention_mask": tensor.FromInt64([]int{32}, mask),
		}})
	}
	return out
}

// Padding behind texts is left out where the model does not read it, and only there. Tables of embeddings that the original has stay as they are.
func TestTrim(t *testing.T) {
	lib := orttest.Open(t)
	for masked, want := range map[bool][]int{true: {8, 16, 24}, false: {32}} {
		m := averager(t, masked)
		o := Options{Epochs: 1, Batch: 8, Optimizer: Adam}.withDefaults()
		tr, err := newTrainer(t.Context(), lib, m, m, longTexts(), testkit.Count(40), o)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		var got []int
		for _, i := range tr.learn {
			s, err := tr.src.Sample(i)
			if err != nil {
				t.Fatal(err)
			}
			if n := s.Inputs["input_ids"].Shape[0]; !slices.Contains(got, n) {
				got = append(got, n)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("masked: %t: the lengths are %v, want %v", masked, got, want)
		}
		if names := tr.params.names(); !slices.Equal(names, []string{"weight"}) {
			t.Errorf("tuned are %v", names)
		}
		if err := tr.train(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
