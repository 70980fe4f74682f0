package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// A tuning that is interrupted over and over, and goes on from its checkpoint each time, gives the same bytes and the same
// curve as one without a break.
func TestDistilResumes(t *testing.T) {
	lib := openRuntime(t)
	original, small, src := fashion(t)
	src = src[:160]
	o := DistilOptions{Epochs: 2, Batch: 32, Threads: 2, Average: 0.9}
	want := distil(t, lib, original, small, src, o)
	o.Checkpoint, o.Resume = filepath.Join(t.TempDir(), "state"), true
	breaks := 0
	var got *Distilled
	for got == nil || got.End == Interrupted {
		ctx, stop := context.WithCancel(context.Background())
		steps := 0
		o.Progress = func(Progress) {
			if steps++; steps == 3 {
				stop()
				breaks++
			}
		}
		var err error
		if got, err = Distil(ctx, lib, original, small, src, count(len(src)), o); err != nil {
			t.Fatal(err)
		}
		stop()
		defer got.Model.Close()
		if breaks > 20 {
			t.Fatal("it never ends")
		}
	}
	if breaks < 2 {
		t.Fatalf("%d breaks, so nothing is shown", breaks)
	}
	if fmt.Sprint(got.Curve) != fmt.Sprint(want.Curve) || got.Best != want.Best {
		t.Errorf("curve %v, want %v", got.Curve, want.Curve)
	}
	if same, why := onnxio.Equal(got.Model, want.Model); !same {
		t.Errorf("another model: %s", why)
	}
	o.Progress, o.Rate = nil, 0.5
	_, err := Distil(context.Background(), lib, original, small, src, count(len(src)), o)
	if bad := (*CheckpointError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "options differs") {
		t.Errorf("with another rate: %v", err)
	}
}

// Damaged checkpoints are refused, whatever byte is wrong.
func TestCheckpointDamage(t *testing.T) {
	lib := openRuntime(t)
	original, small, src := fashion(t)
	src = src[:96]
	o := DistilOptions{Epochs: 1, Batch: 32, Checkpoint: filepath.Join(t.TempDir(), "state")}
	distil(t, lib, original, small, src, o)
	data, err := os.ReadFile(o.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	o.Resume = true
	for name, damaged := range map[string][]byte{
		"empty": {}, "short": data[:len(data)-1], "head": data[:40], "magic": append([]byte("x"), data[1:]...),
		"numbers": slices.Concat(data[:len(data)-100], []byte{data[len(data)-100] ^ 1}, data[len(data)-99:]),
	} {
		if err := os.WriteFile(o.Checkpoint, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Distil(context.Background(), lib, original, small, src, count(len(src)), o)
		if bad := (*CheckpointError)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A learning rate that is far too large ends with the start, and says so.
func TestDistilDiverges(t *testing.T) {
	lib := openRuntime(t)
	original, small, src := fashion(t)
	d := distil(t, lib, original, small, src[:96], DistilOptions{Epochs: 3, Batch: 16, Rate: 30, Clip: -1, Average: -1})
	if d.End != Diverged || d.Improved || d.Advice == "" {
		t.Errorf("%s, improved %v, advice %q", d.End, d.Improved, d.Advice)
	}
	if same, why := onnxio.Equal(d.Model, small); !same {
		t.Errorf("the model is not the start: %s", why)
	}
}

// An interrupt before the first step leaves the start.
func TestDistilInterrupted(t *testing.T) {
	lib := openRuntime(t)
	original, small, src := fashion(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	d, err := Distil(ctx, lib, original, small, src[:160], count(160), DistilOptions{Epochs: 50, Batch: 32, Progress: func(p Progress) {
		if p.Epoch == 2 {
			stop()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Model.Close()
	if d.End != Interrupted || !d.Improved {
		t.Errorf("%s, improved %v", d.End, d.Improved)
	}
}
