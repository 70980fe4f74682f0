package moments

import (
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestThin: positions are left out only where the others show plenty, and some of each sample stay.
func TestThin(t *testing.T) {
	for _, c := range []struct {
		conv
		samples, want int
	}{
		{conv{16, 1, []int{32, 32}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}, 1024, 36}, // 1,024·1,024 columns of 144 inputs
		{conv{32, 1, []int{16, 16}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}, 1024, 4},  // 1,024·256 of 288
		{conv{32, 1, []int{16, 16}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}, 512, 1},   // half, which lags do as fast
		{conv{64, 1, []int{8, 8}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}, 1024, 1},    // 1,024·64 of 576
		{conv{64, 1, []int{16, 16}, []int{1, 1}, nil, nil, nil, nil}, 512, 9},                   // 512·256 of 64
		{conv{3, 1, []int{224, 224}, []int{3, 3}, []int{2, 2}, nil, nil, nil}, 512, 1156},       // 512·111² of 27
		{conv{3, 1, []int{224, 224}, []int{3, 3}, []int{2, 2}, nil, nil, nil}, 511, 1},          // too few samples
		{conv{64, 64, []int{14, 14}, []int{3, 3}, nil, nil, []int{1, 1}, []int{1, 1}}, 512, 24}, // no less than 8 positions of a sample
		{conv{1, 1, []int{1 << 12}, []int{1}, nil, nil, nil, nil}, 512, 512},
	} {
		if got := c.patches().Thin(c.samples).Share(); got != c.want {
			t.Errorf("%v, %d samples: one of %d positions is summed, want %d", c.conv, c.samples, got, c.want)
		}
	}
}

// TestThinned: what is summed in a run are windows of the whole convolution, with the outputs that belong to them, and every
// position has its run.
func TestThinned(t *testing.T) {
	const samples, channels, runs = 2, 3, 100
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range append(convs(), stridedConvs()...) {
		whole := c.patches()
		thin := make(Thinning, len(whole.Out))
		for i := range thin {
			thin[i] = 1 + r.IntN(4)
		}
		shape := append([]int{samples, channels}, whole.Out...)
		outputs := make([]float32, tensor.Product(shape))
		for i := range outputs {
			outputs[i] = float32(i)
		}
		x := noise(samples*whole.Channels*tensor.Product(whole.In), 9)
		seen := map[int]bool{}
		for run := range runs {
			p := whole.Thinned(thin, run)
			var buf []float32
			kept, left := thin.Outputs(outputs, shape, run, &buf), thin.Left(shape, run)
			if tensor.Product(left) != len(kept) || tensor.Product(p.Out) != tensor.Product(left[2:]) {
				t.Fatalf("%v by %v: %d numbers of shape %v for windows %v", c, thin, len(kept), left, p.Out)
			}
			for i, at := range coordinates(left) {
				old := tensor.Coordinates(int(kept[i]), shape)
				if old[0] != at[0] || old[1] != at[1] {
					t.Fatalf("%v by %v: output %v is taken for %v", c, thin, old, at)
				}
				for axis := range p.In {
					if before, now := old[2+axis]*whole.Strides[axis]-whole.PadBegin[axis], at[2+axis]*p.Strides[axis]-p.PadBegin[axis]; before != now {
						t.Fatalf("%v by %v, run %d: the window at %v begins at %d, and at %d with all", c, thin, run, at, now, before)
					}
				}
				seen[int(kept[i])] = true
			}
			if run < 3 {
				want, sums := plain(p, x, samples)
				holdPlan(t, Conv(p), p, x, samples, want, sums)
			}
		}
		if len(seen) != len(outputs) {
			t.Errorf("%v by %v: %d of %d outputs have a run", c, thin, len(seen), len(outputs))
		}
	}
}
