package calib

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestSensitivityOfFixedBatch(t *testing.T) {
	src := random(6, "x", tensor.Float32, 6)
	fixed := sensitivities(t, chain(t, 4, 3, nil), src, Options{Probes: 2})
	free := sensitivities(t, chain(t, "N", 3, nil), src, Options{Probes: 2})
	for i := range fixed {
		if d := worst(fixed[i].G[0], free[i].G[0]); d > 1e-6 || fixed[i].Note != "" {
			t.Errorf("%s: filler moves G by %.2g (%q)", fixed[i].Site, d, fixed[i].Note)
		}
	}
	// The output may have the batch on another axis.
	images := random(6, "x", tensor.Float32, 3, 6, 6)
	fixed = sensitivities(t, fixedConv(t, 4), images, Options{Probes: 2})
	free = sensitivities(t, fixedConv(t, "N"), images, Options{Probes: 2})
	if d := worst(fixed[0].G[0], free[0].G[0]); d > 1e-6 || fixed[0].Note != "" {
		t.Errorf("%s: filler moves G by %.2g (%q)", fixed[0].Site, d, fixed[0].Note)
	}
	// Where the output has none for it, filled batches are left out.
	m := convWith(t, 4, true)
	all, full := sensitivities(t, m, images, Options{Probes: 1}), sensitivities(t, m, images[:4], Options{Probes: 1})
	for i := range all {
		if !sameBits(all[i].G, full[i].G) {
			t.Errorf("%s: samples of a filled batch count", all[i].Site)
		}
	}
	// The second site has no sample to be calibrated on then; the first is perturbed.
	stats, err := Collect(context.Background(), orttest.Open(t), m, sitetest.Sites(t, m, images[0])[:1], images, testkit.Count(3), Options{Probes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if st := stats[0]; !strings.Contains(st.Note, "filled up") || !(st.G[0].At(0, 0) > 0) || st.G[0].At(0, 1) != 0 {
		t.Errorf("note %q, G %v…, want a measured scale", st.Note, st.G[0].Data[:2])
	}
}

// More sizes than sessions are kept for, coming back one after the other.
func TestSensitivityOfSeveralSizes(t *testing.T) {
	m := zooModel(t, "conv_dynamic")
	const sizes = mostPasses + 2
	var src memory
	for i := range 2 * sizes {
		src = append(src, random(i+1, "x", tensor.Float32, 6, 5+i%sizes, 7)[i])
	}
	sites := sitetest.Sites(t, m, src[0])
	collect := func(indices ...int) Stats {
		stats, err := Collect(context.Background(), orttest.Open(t), m, sites, src, indices, Options{Batch: 4, Threads: 3, Probes: 1})
		if err != nil {
			t.Fatal(err)
		}
		return stats[0]
	}
	mixed, sum := collect(testkit.Count(len(src))...), collect(0, sizes)
	for i := 1; i < sizes; i++ {
		var err error
		if sum, err = Add(sum, collect(i, i+sizes)); err != nil {
			t.Fatal(err)
		}
	}
	// What is off the diagonal is shrunk in each collection by what that one shows.
	if d := worst(diagonal(mixed.G[0]), diagonal(sum.G[0])); !(d <= 1e-6) || mixed.Positions != sum.Positions || mixed.Note != "" {
		t.Errorf("sensitivities differ by %.2g; %d positions, want %d (%q)", d, mixed.Positions, sum.Positions, mixed.Note)
	}
}

// diagonal is a matrix without what is off its diagonal.
func diagonal(m *linalg.Matrix) *linalg.Matrix {
	out := linalg.New(m.Rows, m.Cols)
	for i := range m.Rows {
		out.Set(i, i, m.At(i, i))
	}
	return out
}

// counted counts how often samples are read.
type counted struct {
	memory
	reads *int
}

func (c counted) Sample(i int) (samples.Sample, error) {
	*c.reads++
	return c.memory.Sample(i)
}

func TestBySize(t *testing.T) {
	var src memory
	for i := range 6 {
		src = append(src, random(1, "x", tensor.Float32, 6, 9-i%3)...)
	}
	reads := 0
	open := []samples.InputSpec{{Name: "x", Type: tensor.Float32, Shape: []int{-1, 6, -1}}}
	got, err := bySize(context.Background(), counted{src, &reads}, []int{5, 0, 1, 2, 3, 4}, open)
	if err != nil || !slices.Equal(got, []int{5, 2, 1, 4, 0, 3}) || reads != 6 {
		t.Errorf("order %v (%v) after %d reads, want one of growing sizes", got, err, reads)
	}
	open[0].Shape[2] = 9
	got, err = bySize(context.Background(), counted{src, &reads}, []int{5, 0}, open)
	if err != nil || !slices.Equal(got, []int{5, 0}) || reads != 6 {
		t.Errorf("order %v (%v) after %d reads, want that given and none more", got, err, reads)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	open[0].Shape = nil
	if _, err = bySize(cancelled, src, []int{0, 1}, open); !errors.Is(err, context.Canceled) {
		t.Errorf("%v after cancelling", err)
	}
}

func TestEven(t *testing.T) {
	for _, c := range [][3]int{{1024, 32, 32}, {1000, 32, 25}, {33, 32, 32}, {31, 32, 31}, {5, 32, 32}, {7, 3, 3}, {8, 3, 2}, {1, 1, 1}} {
		if got := even(c[0], c[1]); got != c[2] {
			t.Errorf("%d samples in batches of %d for %d, want %d", c[0], got, c[1], c[2])
		}
	}
}
