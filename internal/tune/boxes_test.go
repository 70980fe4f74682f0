package tune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// scenes are images for testmodels.Detector.
func scenes(n int) memory {
	r := rand.New(rand.NewPCG(7, 8))
	var out memory
	for i := range n {
		d := tensor.New(tensor.Float32, 3, 16, 16)
		for k := range d.Float32s() {
			d.Float32s()[k] = float32(r.NormFloat64())
		}
		out = append(out, samples.Sample{Name: fmt.Sprint("scene ", i), Label: -1, Inputs: map[string]tensor.Dense{"image": d}})
	}
	return out
}

// TestBoxLoss: what a training step takes for the loss of a detector is what held-out samples are judged by, and both are what the numbers of its
// boxes count by the original.
func TestBoxLoss(t *testing.T) {
	lib, src := orttest.Open(t), scenes(48)
	original, small := testkit.Built(t, testmodels.Detector(1)), testkit.Built(t, testmodels.Detector(2))
	tr, err := newTrainer(t.Context(), lib, original, small, src, testkit.Count(len(src)), Options{Batch: 8}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	if !tr.terms[0].counted {
		t.Fatal("the layout is not known")
	}
	v, err := tr.judge(t.Context(), tr.weights)
	if err != nil {
		t.Fatal(err)
	}
	judged := v.distance / float64(v.samples)

	student, err := sessionFor(tr.host, small, []string{"found"})
	if err != nil {
		t.Fatal(err)
	}
	defer student.Close()
	runs, err := feed.New(src, tr.held, tr.inputs, 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	direct, step := 0., 0.
	if err := runs.Merge(t.Context(), 1, func(string, int, int) {}, func(_ context.Context, r *feed.Run) (func(), error) {
		answers, err := tr.teacher.ask(t.Context(), r, false)
		if err != nil {
			return nil, err
		}
		own, err := student.Run(t.Context(), r.Inputs, []string{"found"})
		if err != nil {
			return nil, err
		}
		defer own.Close()
		y, z, share := own.Get(0).Float32s(), answers[0].Float32s(), float64(len(r.Samples))/float64(len(tr.held))
		for k := range r.Samples {
			before := outputs.Numbers{Shape: []int{6, 64}}
			for _, x := range z[k*6*64:][:6*64] {
				before.Values = append(before.Values, float64(x))
			}
			counts, _ := outputs.BoxCounts([]outputs.Output{{Kind: outputs.Boxes, Weight: 1}}, []outputs.Numbers{before})
			for i, c := range counts[0] {
				d := float64(y[k*6*64+i]) - before.Values[i]
				direct += c * d * d / 6 / 64 / float64(len(tr.held)) * tr.terms[0].weight
			}
		}
		results, err := tr.run(t.Context(), r)
		if err != nil {
			return nil, err
		}
		defer results.Close()
		step += share * float64(results.Get(0).Float32s()[0])
		return func() {}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if math.Abs(judged/direct-1) > 1e-4 || math.Abs(step/direct-1) > 1e-4 || !(direct > 0) {
		t.Errorf("held-out samples %v, steps %v, want %v", judged, step, direct)
	}
}

// TestDistilBoxes: the loss of a detector falls.
func TestDistilBoxes(t *testing.T) {
	b := testmodels.Detector(1)
	other := testmodels.Detector(2)
	d := distil(t, orttest.Open(t), testkit.Built(t, b), testkit.Built(t, other), scenes(160), Options{Epochs: 8, Batch: 16, Threads: 2, Optimizer: Adam, Rate: 1e-2})
	if first, best := d.Curve[0], d.Curve[d.Best]; best.Held > first.Held/2 {
		t.Errorf("from %+v to %+v", first, best)
	}
}

// TestBoxUnit: boxes that are squared distances have the unit of their scores, and those that a user gives another loss keep theirs.
func TestBoxUnit(t *testing.T) {
	boxes, scores := tensor.New(tensor.Float32, 1, 8, 4), tensor.New(tensor.Float32, 1, 8, 2)
	for i := range 8 {
		copy(boxes.Float32s()[4*i:], []float32{1, 1, 3, 3})
		copy(scores.Float32s()[2*i:], []float32{0.1, 0.05 * float32(i)})
	}
	for _, loss := range []Loss{MSE, Cosine} {
		tr := &trainer{outputs: 2, terms: []term{{value: "boxes", loss: loss}, {value: "scores", loss: MSE}}, kinds: map[string]outputs.Output{
			"boxes": {Kind: outputs.Boxes, Weight: 1, Type: tensor.Float32}, "scores": {Kind: outputs.Values, Weight: 1, Type: tensor.Float32},
		}}
		tr.findBoxes(&feed.Run{Batch: 1}, []tensor.Dense{boxes, scores})
		spreads := []variance{{loss: loss, n: 1}, {loss: MSE, n: 2}}
		tr.weighBoxes(spreads)
		if shared := spreads[0].n == 2; shared != (loss == MSE) || tr.terms[0].counted != (loss == MSE) || tr.terms[1].counted {
			t.Errorf("%s: the unit of scores %t, terms %+v", loss, shared, tr.terms)
		}
	}
}
