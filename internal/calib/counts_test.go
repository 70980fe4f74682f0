package calib

import (
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// found runs a detector on a sample alone, and says what each number of its output counts.
func found(t *testing.T, lib *ort.Library, m *onnxio.Model, s samples.Sample) (values, counts []float64) {
	t.Helper()
	session, err := lib.NewSessionFile(testkit.Save(t, m), ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	x := s.Inputs["image"]
	x.Shape = append([]int{1}, x.Shape...)
	out, err := session.Run(t.Context(), map[string]tensor.Dense{"image": x}, []string{"found"})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if values, err = out.Get(0).Float64s(); err != nil {
		t.Fatal(err)
	}
	all, _ := outputs.BoxCounts([]outputs.Output{{Kind: outputs.Boxes, Weight: 1}}, []outputs.Numbers{{Shape: []int{6, 64}, Values: values}})
	if all == nil {
		t.Fatal("the layout is not known")
	}
	return values, all[0]
}

// TestBoxChange: the change of a detector's output is what its numbers count, by the original's boxes, whatever the batch.
func TestBoxChange(t *testing.T) {
	lib, src := orttest.Open(t), random(10, "image", tensor.Float32, 3, 16, 16)
	m, changed := testkit.Built(t, testmodels.Detector(1)), testkit.Built(t, testmodels.Detector(2))
	want := 0.
	for _, s := range src {
		before, counts := found(t, lib, m, s)
		after, _ := found(t, lib, changed, s)
		for i, v := range before {
			want += counts[i] * (after[i] - v) * (after[i] - v) / float64(len(src))
		}
	}
	for _, batch := range []int{1, 4} {
		o, err := Observe(t.Context(), lib, m, src, testkit.Count(len(src)), Options{Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Change(t.Context(), changed, func(string, int, int) {})
		if err != nil || math.Abs(got/want-1) > 1e-4 {
			t.Errorf("batch %d: %v, %v; want %v", batch, got, err, want)
		}
	}
}

// TestBoxDirections: a direction in a detector's output is the one of numbers that count alike, multiplied with the roots of what they count.
func TestBoxDirections(t *testing.T) {
	lib, src := orttest.Open(t), random(3, "image", tensor.Float32, 3, 16, 16)
	m := testkit.Built(t, testmodels.Detector(1))
	list, err := targets(m, Options{})
	if err != nil || boxed(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	inputs, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	gs := &gradients{host: feed.Host{Library: lib}, model: m, inputs: inputs, targets: list}
	indices := testkit.Count(len(src))
	if err := gs.locate(t.Context(), src, indices, 3); err != nil {
		t.Fatal(err)
	}
	defer gs.forward.close()
	r, err := feed.First(t.Context(), src, indices, inputs, 3)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := gs.counting(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	p := &pass{cotangents: []cotangent{{target: list[0], input: "direction", typ: tensor.Float32, shape: []int{3, 6, 64}}}}
	draw := func(c counting) []float32 {
		in, why, err := p.directions(r, gs.axes, c, 1, 0)
		if err != nil || why != "" {
			t.Fatal(why, err)
		}
		return in["direction"].Float32s()
	}
	plain, weighed := draw(nil), draw(counts)
	for k, s := range src {
		_, own := found(t, lib, m, s)
		for i, c := range own {
			got, want := float64(weighed[k*6*64+i]), math.Sqrt(c)*float64(plain[k*6*64+i])
			if math.Abs(got-want) > 1e-4*math.Abs(want)+1e-9 {
				t.Fatalf("sample %d, number %d: %v, want %v", k, i, got, want)
			}
		}
	}
}

// TestUnreadableBoxes: beside samples whose boxes can be read, one counts nothing whose numbers fit no layout; where none can be read, all count alike.
func TestUnreadableBoxes(t *testing.T) {
	m := testkit.Built(t, testmodels.Detector(1))
	list, err := targets(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	values, counts := found(t, orttest.Open(t), m, random(1, "image", tensor.Float32, 3, 16, 16)[0])
	all := tensor.New(tensor.Float32, 2, 6, 64)
	for i, v := range values {
		all.Float32s()[i], all.Float32s()[len(values)+i] = float32(v), float32(v)
	}
	r := &feed.Run{Batch: 2, Samples: make([]samples.Sample, 2)}
	look := func() (counting, []int) {
		c, scores, err := countingOf(list, feed.Axes{list[0].name: 0}, r, []tensor.Dense{all})
		if err != nil {
			t.Fatal(err)
		}
		return c, scores
	}
	spoil := func(sample int) {
		for _, class := range []int{4, 5} { // no chances
			all.Float32s()[sample*len(values)+class*64] = 7
		}
	}
	spoil(1)
	c, scores := look()
	if scores == nil || c[0] == nil {
		t.Fatal("no sample is read")
	}
	for i, v := range counts {
		if math.Abs(float64(c[0][i])-math.Sqrt(v)) > 1e-6*math.Sqrt(v) || c[0][len(counts)+i] != 0 {
			t.Fatalf("number %d counts %v and %v, want %v and nothing", i, c[0][i], c[0][len(counts)+i], math.Sqrt(v))
		}
	}
	spoil(0)
	if c, scores = look(); c[0] != nil || scores != nil {
		t.Errorf("numbers of no layout count %v", c[0][:4])
	}
}
