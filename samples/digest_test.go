package samples

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func fewSamples() memory {
	var out memory
	for i := range 9 {
		out = append(out, Sample{Name: fmt.Sprint(i), Label: -1, Inputs: map[string]tensor.Dense{"x": tensor.FromFloat32([]int{2}, []float32{float32(i), 1})}})
	}
	return out
}

// Every sample counts, and all of what a model sees of it, in order; labels and threads do not.
func TestDigest(t *testing.T) {
	ctx, all := context.Background(), testkit.Count(9)
	want, err := Digest(ctx, fewSamples(), all, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		same   bool
		change func(m memory)
	}{
		"nothing": {true, func(memory) {}},
		"a label": {true, func(m memory) { m[4].Label = 3 }},
		"numbers in the middle": {false, func(m memory) {
			m[4].Inputs = map[string]tensor.Dense{"x": tensor.FromFloat32([]int{2}, []float32{4, 2})}
		}},
		"a shape": {false, func(m memory) {
			m[4].Inputs = map[string]tensor.Dense{"x": tensor.FromFloat32([]int{2, 1}, []float32{4, 1})}
		}},
		"a name":        {false, func(m memory) { m[4].Name = "other" }},
		"a whole batch": {false, func(m memory) { m[4].Whole = true }},
		"another input": {false, func(m memory) {
			m[4].Inputs = map[string]tensor.Dense{"y": m[4].Inputs["x"]}
		}},
		"the order": {false, func(m memory) { m[4], m[5] = m[5], m[4] }},
	} {
		m := fewSamples()
		c.change(m)
		if got, err := Digest(ctx, m, all, 3); err != nil || (got == want) != c.same {
			t.Errorf("%s is another: the digest is the same: %v, %v", name, got == want, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Digest(ctx, fewSamples(), all, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
