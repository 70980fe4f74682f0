package verify

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

func TestWilson(t *testing.T) {
	low, high := Wilson(0.97, 1000)
	if math.Abs(low-0.95755) > 1e-4 || math.Abs(high-0.97890) > 1e-4 {
		t.Errorf("from %g to %g", low, high)
	}
	if low, high := Wilson(1, 10); math.Abs(high-1) > 1e-9 || !(low > 0.7 && low < 0.73) {
		t.Errorf("from %g to %g", low, high)
	}
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("of nothing from %g to %g", low, high)
	}
	for _, share := range []float64{0.9, 0.99, 0.995} {
		n := Telling(share)
		below, _ := Wilson(share, n/2)
		if low, _ := Wilson(share, n); low < 1-3*(1-share) || below >= 1-3*(1-share) {
			t.Errorf("%d samples for %g: from %g, with half as many from %g", n, share, low, below)
		}
	}
}

// embedded is x·w [N, 4], divided by its norm.
func embedded(t *testing.T, w []float64) string {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 4)
	b.Node("LpNormalization", []string{b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{4, 4}, w)})}, graph.Int("axis", 1), graph.Int("p", 2))
	b.Output(b.Rename("e"), tensor.Float32, "N", 4)
	return save(t, b)
}

// An embedding is judged by its direction and by its neighbours, which a turn of all vectors leaves alone.
func TestEmbeddings(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([][]float32, 60)
	indices := make([]int, len(rows))
	for i := range rows {
		indices[i] = i
		for range 4 {
			rows[i] = append(rows[i], float32(random.NormFloat64()))
		}
	}
	same := []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	turned := []float64{0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	flat := []float64{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}
	before := embedded(t, same)
	compare := func(after string, o Options) *Report {
		t.Helper()
		if o.Kinds == nil {
			o.Kinds = map[string]Kind{"e": outputs.Embedding}
		}
		r, err := Compare(context.Background(), orttest.Open(t), before, after, vectors(nil, rows...), indices, o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := compare(embedded(t, turned), Options{Batch: 7, Evidence: Unseen})
	if n := r.Outputs[0].Neighbours; n == nil || n.Kept != 1 || n.Of != 10 || n.Samples != 60 || r.Outputs[0].Kind != outputs.Embedding {
		t.Errorf("turned: %+v", r.Outputs[0])
	}
	if j := r.Judged; j.Measure != Cosine || *j.Value > 0.9 || *j.Recall != 1 || *j.Least > *j.Value || !strings.Contains(j.Text, "60 unseen samples") || !strings.Contains(j.Text, "100.00 % of the 10 nearest") {
		t.Errorf("turned: %+v", j)
	}
	r = compare(embedded(t, flat), Options{})
	f, err := Recall.Of(r)
	if err != nil || f.Output != "e" || !(f.Value > 10./60 && f.Value < 0.9) {
		t.Errorf("flattened: %+v, %v", f, err)
	}
	if again := compare(embedded(t, flat), Options{Batch: 7, Threads: 3}); again.Judged.Text != r.Judged.Text {
		t.Errorf("%s, in other batches %s", r.Judged.Text, again.Judged.Text)
	}
	r = compare(before, Options{Kinds: map[string]Kind{"e": outputs.Scores}})
	if r.Judged.Measure != Agreement || *r.Judged.Value != 1 || r.Judged.Samples != 60 {
		t.Errorf("as scores: %+v", r.Judged)
	}
	if _, err := Recall.Of(r); err == nil {
		t.Error("class scores have neighbours")
	}
}

// Every kind of comparison has a sentence with its numbers.
func TestJudge(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	for want, r := range map[string]*Report{
		"It gives the original's top class for 98.00 % of 100 unseen samples (with 95 % confidence for 93.00 % to 99.45 % of all such samples); top-1 accuracy went from 90.00 % to 89.00 %.": {
			Samples: 100, Evidence: Unseen, Classes: &Classes{Agreement: 0.98, Samples: 100, Accuracy: &Accuracy{Before: 0.9, After: 0.89}},
		},
		"Its outputs keep a signal to noise ratio of 12.50 dB on 1 sample, at z, where it is least.": {
			Samples: 1, Outputs: []Output{{Name: "y", Values: 3, SNR: f(20)}, {Name: "z", Values: 3, SNR: f(12.5)}, {Name: "w", Values: 3, SNR: f(1), Ignored: true}},
		},
		"Its outputs keep a signal to noise ratio of 9.00 dB on 8 samples, at boxes, where it is least; for 3 of them it gives more or fewer values than the original, such as boxes, and these are not compared.": {
			Samples: 8, Outputs: []Output{{Name: "boxes", Values: 3, SNR: f(9), Differing: 3}, {Name: "w", Values: 3, SNR: f(1), Ignored: true, Differing: 5}},
		},
		"No output that counts could be compared: all are empty for every sample, as where a detector finds nothing. Are the samples prepared as the model wants them?": {
			Samples: 7, Outputs: []Output{{Name: "boxes"}, {Name: "w", Ignored: true}},
		},
		"No output that counts could be compared: the original's pitch is NaN or infinite for 7 of 7 samples. Are the samples prepared as the model wants them?": {
			Samples: 7, Outputs: []Output{{Name: "state", Ignored: true, NonFiniteOriginal: 7}, {Name: "pitch", Kind: outputs.Embedding, NonFiniteOriginal: 7}, {Name: "sure", Kind: outputs.Scores, Values: 3}},
		},
		"Its outputs are the original's numbers on 7 samples.":                         {Samples: 7, Outputs: []Output{{Values: 3}}},
		"No output that counts could be compared.":                                     {Samples: 7, Outputs: []Output{{Uncompared: "a map"}}},
		"Nothing real judged it: random inputs show that it runs, not how good it is.": {Samples: 8, Evidence: Random, Outputs: []Output{{Values: 3, SNR: f(3)}}},
		"Its embeddings (e) keep a mean cosine of 0.9912 with the original's on 30 samples, of 0.9000 where it is least.": {
			Samples: 30, Outputs: []Output{{Name: "e", Kind: outputs.Embedding, Values: 3, Cosine: 0.9912, LeastCosine: 0.9}, {Name: "y", Values: 3, SNR: f(2)}},
		},
	} {
		if j := r.Judge(); j.Text != want || fmt.Sprint(j.Samples) != fmt.Sprint(r.Samples) {
			t.Errorf("%+v, want %s", j, want)
		}
	}
}

// TestKindsAsTheyRun: what is taken for scores and runs in another shape is said to be what it then is; four scores that lie as the corners of a
// box do for every sample are doubted, with the flag that settles it.
func TestKindsAsTheyRun(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 4)
	b.Node("Reshape", []string{x, b.Ints("places", 0, 2, 1, 2)})
	b.Output(b.Rename("wide"), tensor.Float32, "N", 2, "H", "W")
	b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{4, 4}, []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1})})
	b.Output(b.Rename("four"), tensor.Float32, "N", 4)
	path := save(t, b)
	for _, c := range []struct {
		row   []float32
		count int
		kinds map[string]Kind
		want  bool
	}{
		{[]float32{1, 2, 3, 4}, fewBoxes, nil, true},
		{[]float32{1, 2, 3, 4}, fewBoxes - 1, nil, false},
		{[]float32{1, 2, 3, 2}, fewBoxes, nil, false},
		{[]float32{-1, 2, 3, 4}, fewBoxes, nil, false},
		{[]float32{1, 2, 3, 4}, fewBoxes, map[string]Kind{"four": outputs.Scores}, false},
	} {
		rows, indices := make([][]float32, c.count), make([]int, c.count)
		for i := range rows {
			rows[i], indices[i] = c.row, i
		}
		r, err := Compare(context.Background(), orttest.Open(t), path, path, vectors(nil, rows...), indices, Options{Kinds: c.kinds})
		if err != nil {
			t.Fatal(err)
		}
		if r.Outputs[0].Kind != outputs.Values || r.Outputs[1].Kind != outputs.Scores {
			t.Errorf("kinds %s, %s", r.Outputs[0].Kind, r.Outputs[1].Kind)
		}
		if got := r.Classes.Doubt; (got != "") != c.want || c.want != strings.Contains(r.Judged.Text, "--kind four=boxes") {
			t.Errorf("%v, %d times, %v: %q, %q", c.row, c.count, c.kinds, got, r.Judged.Text)
		}
	}
}
