package tune

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/calib"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// fashion returns the demo network, the same with chains of half the rank in place of its convolutions, and its images.
func fashion(t testing.TB) (original, small *onnxio.Model, src memory) {
	t.Helper()
	original, err := testmodels.Fashion()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { original.Close() })
	pixels := testmodels.FashionImages()
	const side = testmodels.FashionSize
	for i := range testmodels.FashionRecords {
		record := pixels[i*(1+side*side) : (i+1)*(1+side*side)]
		d := tensor.New(tensor.Float32, 1, side, side)
		for k, v := range record[1:] {
			d.Float32s()[k] = float32(v) / 255
		}
		src = append(src, calib.Sample{Name: fmt.Sprint("image ", i), Label: int(record[0]), Inputs: map[string]tensor.Dense{"image": d}})
	}
	sites := sitesOf(t, original, src[0])
	ranks := make([]int, len(sites))
	for i, s := range sites {
		if s.Op == "Conv" {
			ranks[i] = (s.Kernel.FullRank() + 2) / 3
		}
	}
	choices := choose(t, sites, ranks...)
	return original, compress(t, original, choices, before(choices)), src
}

func distil(t testing.TB, lib *ort.Library, original, small *onnxio.Model, src memory, o DistilOptions) *Distilled {
	t.Helper()
	d, err := Distil(context.Background(), lib, original, small, src, count(len(src)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Model.Close() })
	return d
}

// Two epochs over 320 images bring the loss on held-out images down by more than half, and agreement up; what the
// curve says of the best state is what the returned model computes.
func TestDistilImproves(t *testing.T) {
	lib := openRuntime(t)
	original, small, src := fashion(t)
	src = src[:400]
	d := distil(t, lib, original, small, src, DistilOptions{Epochs: 2, Batch: 32, Threads: 2})
	if d.End != Completed || !d.Improved || len(d.Curve) != 3 {
		t.Fatalf("%s, improved %v, curve %+v", d.End, d.Improved, d.Curve)
	}
	best := d.Curve[d.Best]
	if best.Held > d.Curve[0].Held/2 || best.Agreement <= d.Curve[0].Agreement {
		t.Errorf("from %+v to %+v", d.Curve[0], best)
	}
	held := src[:0:0]
	for i := range 40 {
		held = append(held, src[i*10+9])
	}
	y, z := watch(t, lib, d.Model, held, "logits"), watch(t, lib, original, held, "logits")
	same := 0.
	for i := range y {
		if largest(y[i][0].Float32s()) == largest(z[i][0].Float32s()) {
			same++
		}
	}
	if got := same / float64(len(y)); math.Abs(got-best.Agreement) > 1e-9 {
		t.Errorf("the model agrees on %g of the held-out images, the curve says %g", got, best.Agreement)
	}
}

// The same bytes for any number of threads.
func TestDistilThreads(t *testing.T) {
	lib := openRuntime(t)
	original, small, src := fashion(t)
	src = src[:160]
	var first []byte
	for _, threads := range []int{1, 2, 5} {
		d := distil(t, lib, original, small, src, DistilOptions{Epochs: 1, Batch: 48, Threads: threads, Decay: 1e-3})
		data, err := d.Model.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !d.Improved {
			t.Fatal("nothing changed, so nothing is shown")
		}
		if first == nil {
			first = data
		} else if !slices.Equal(first, data) {
			t.Errorf("%d threads give another model", threads)
		}
	}
}
