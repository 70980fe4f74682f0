package verify

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// joined gives its input out as [N, 6, 8] in which each column is a box in pixels and the chances of two classes, all of these less by a number.
func joined(t *testing.T, less float64) string {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Node("Reshape", []string{b.Input("x", tensor.Float32, "N", 48), b.Ints("shape", 0, 6, 8)})
	parts := b.Several("Split", []string{x, b.Ints("parts", 4, 2)}, 2, graph.Int("axis", 1))
	chances := b.Node("Sub", []string{parts[1], b.Tensor("less", tensor.Float32, nil, []float64{less})})
	double, half := b.Tensor("double", tensor.Float32, nil, []float64{2}), b.Tensor("half", tensor.Float32, nil, []float64{0.5})
	boxes := b.Node("Mul", []string{b.Node("Mul", []string{parts[0], double}), half}) // infinite for what is large
	b.Node("Concat", []string{boxes, chances}, graph.Int("axis", 1))
	b.Output(b.Rename("found"), tensor.Float32, "N", 6, 8)
	return save(t, b)
}

// columns are samples of joined: eight places with a box of side 10 each, far from each other, and the score of one of two classes.
func columns(scores ...[]float64) memory {
	var all [][]float32
	for _, s := range scores {
		row := make([]float32, 48)
		for place := range 8 {
			row[place], row[8+place], row[16+place], row[24+place] = float32(100*place), 50, 10, 10
			if place < len(s) {
				row[8*(4+place%2)+place] = float32(s[place])
			}
		}
		all = append(all, row)
	}
	return vectors(nil, all...)
}

// TestDetections: boxes whose score falls below the least are lost, and the share of all that match is that of both models' boxes together.
func TestDetections(t *testing.T) {
	src := columns([]float64{0.9, 0.5, 0.3}, []float64{0.28, 0.8}, []float64{}, []float64{0.6, 0.6, 0.6, 0.6})
	o := Options{Kinds: map[string]Kind{"found": outputs.Boxes}, Evidence: Unseen}
	for _, less := range []float64{0, 0.1, 0.4, 0.9} {
		batch := o
		for batch.Batch = 1; batch.Batch <= 4; batch.Batch++ { // does not matter
			r, err := compare(t, joined(t, 0), joined(t, less), src, batch)
			if err != nil {
				t.Fatal(err)
			}
			d := r.Detections
			after := 0
			for _, s := range []float64{0.9, 0.5, 0.3, 0.28, 0.8, 0.6, 0.6, 0.6, 0.6} {
				if s-less >= outputs.LeastScore {
					after++
				}
			}
			if d == nil || d.Before != 9 || d.After != after || d.Matched != after || d.Samples != 3 || d.Output != "found" || !near(d.Share, 2*float64(after)/float64(9+after)) {
				t.Fatalf("less %v: %+v, want %d after (%s)", less, d, after, r.Unmatched)
			}
			if !(d.Low <= d.Share+1e-12 && d.Share <= d.High && d.High <= 1 && d.Low >= 0 && d.Low < d.High) {
				t.Errorf("less %v: the share %v is not within %v to %v", less, d.Share, d.Low, d.High)
			}
			j := r.Judged
			if j.Measure != Boxes || j.Kind != outputs.Boxes || *j.Value != d.Share || !strings.Contains(j.Text, "on 4 unseen samples") {
				t.Errorf("%+v", j)
			}
			f, err := Boxes.Of(r)
			if err != nil || f.Value != d.Share {
				t.Errorf("%+v, %v", f, err)
			}
		}
	}
}

// TestUnmatched: where boxes cannot be read, or there are none, the report says why, and judges by numbers.
func TestUnmatched(t *testing.T) {
	o := Options{Kinds: map[string]Kind{"found": outputs.Boxes}}
	for _, c := range []struct {
		src  memory
		want string
	}{
		{columns([]float64{0.2}, []float64{0.1, 0.24}), "no sample has a box with a score of 0.25 or more"},
		{columns([]float64{0.2}, []float64{7}), "the layout of its boxes is not known"}, // a logit
	} {
		r, err := compare(t, joined(t, 0), joined(t, 0.01), c.src, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Detections != nil || r.Unmatched != c.want || r.Judged.Measure != SNR {
			t.Errorf("%+v, %q, judged by %s; want %q", r.Detections, r.Unmatched, r.Judged.Measure, c.want)
		}
		if _, err := Boxes.Of(r); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	blind := columns([]float64{0.9}, []float64{0.9, 0.8})
	blind[1].Inputs["x"].Float32s()[0] = math.MaxFloat32
	r, err := compare(t, joined(t, 0), joined(t, 0.1), blind, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Detections; d == nil || d.Before != 1 || d.Matched != 1 {
		t.Errorf("beside a sample that is not finite: %+v", d)
	}
}

// suppressed gives out those of five rows [box, score, class] whose score is above a bound.
func suppressed(t *testing.T, above float64) string {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Node("Squeeze", []string{b.Input("x", tensor.Float32, 1, 5, 6), b.Ints("axes", 0)})
	scores := b.Node("Gather", []string{x, b.Tensor("score", tensor.Int64, nil, []float64{4})}, graph.Int("axis", 1))
	kept := b.Node("Greater", []string{scores, b.Tensor("above", tensor.Float32, nil, []float64{above})})
	b.Node("Compress", []string{x, kept}, graph.Int("axis", 0))
	b.Output(b.Rename("found"), tensor.Float32, "found", 6)
	return save(t, b)
}

// TestSuppressedDetections: where the number of boxes is another, these are compared all the same.
func TestSuppressedDetections(t *testing.T) {
	var src memory
	for _, s := range columns([]float64{}, []float64{}) {
		d := tensor.New(tensor.Float32, 5, 6)
		for i := range 5 {
			copy(d.Float32s()[6*i:], []float32{float32(100 * i), 10, float32(100*i + 30), 40, 0.15 + 0.2*float32(i), float32(i % 2)})
		}
		s.Inputs["x"] = d
		src = append(src, s)
	}
	o := Options{Kinds: map[string]Kind{"found": outputs.Boxes}}
	r, err := compare(t, suppressed(t, 0.3), suppressed(t, 0.6), src, o)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Detections; d == nil || d.Before != 8 || d.After != 4 || d.Matched != 4 || !near(d.Share, 8./12) || r.Judged.Measure != Boxes {
		t.Errorf("%+v (%s), %+v", d, r.Unmatched, r.Judged)
	}
}

// TestInterval: where samples all differ alike the interval is Wilson's of the boxes of one model; where one sample has all of the loss, it is wider.
func TestInterval(t *testing.T) {
	even, uneven := make([]reading, 50), make([]reading, 50)
	for i := range even {
		even[i] = reading{before: 10, after: 10, matched: 9}
		uneven[i] = reading{before: 10, after: 10, matched: 10}
		if i < 5 {
			uneven[i].matched = 0
		}
	}
	a, b := summed(even), summed(uneven)
	low, high := Wilson(0.9, 500)
	if a.Share != b.Share || a.Low != low || a.High != high || !(b.Low < a.Low && b.High > a.High) {
		t.Errorf("%+v, %+v", a, b)
	}
	all := summed([]reading{{before: 3, after: 3, matched: 3}, {before: 2, after: 2, matched: 2}})
	if low, high := Wilson(1, 2); all.Low != low || all.High != high {
		t.Errorf("%+v", all)
	}
}

// compare compares two models on all samples.
func compare(t *testing.T, original, compressed string, src memory, o Options) (*Report, error) {
	t.Helper()
	return Compare(t.Context(), orttest.Open(t), original, compressed, src, testkit.Count(len(src)), o)
}
