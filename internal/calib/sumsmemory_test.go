package calib

import (
	"io"
	"runtime"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// weighing looks at what is alive whenever something is read.
type weighing struct {
	io.ReaderAt
	look func(read int)
}

func (w weighing) ReadAt(p []byte, at int64) (int, error) {
	w.look(len(p))
	return w.ReaderAt.ReadAt(p, at)
}

// TestMergeIsBounded: what a merge holds at once are the sums of one site, a few times, and pieces of those of the parts, however many parts
// there are.
func TestMergeIsBounded(t *testing.T) {
	const inputs, parts = 256, 8
	b := testmodels.NewBuilder(1, 17, 8)
	b.Output(b.Conv(b.Input("x", tensor.Float32, "N", inputs, 1, 1), inputs, 4, []int{1, 1}), tensor.Float32, "N", 4, 1, 1)
	list, _ := sections(t, testkit.Built(t, b), random(2*parts, "x", tensor.Float32, inputs, 1, 1), Options{Batch: 2}, parts)
	const site = 8 * inputs * inputs
	alive := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, peak, longest, sites := alive(), int64(0), 0, 0
	for _, s := range list {
		s.from = weighing{s.from, func(read int) {
			longest, peak = max(longest, read), max(peak, alive()-before)
		}}
	}
	err := Merge(t.Context(), list, linalg.Gonum(), func(Stats) error {
		sites++
		peak = max(peak, alive()-before)
		return nil
	})
	if err != nil || sites != 1 {
		t.Fatalf("%d sites, %v", sites, err)
	}
	t.Logf("the sums of a part are %d KiB; at most %d KiB were alive, %d read at once", site>>10, peak>>10, longest>>10)
	if longest > 8*piece || peak > 4*site {
		t.Errorf("%d bytes were read at once and %d alive, of %d of each part", longest, peak, site)
	}
}
