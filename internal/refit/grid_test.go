package refit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// TestGrid: what is summed on a grid is what all positions give when what belongs to the others is zero; the grids of consecutive runs
// see every position once.
func TestGrid(t *testing.T) {
	r, b := rand.New(rand.NewPCG(8, 9)), linalg.Gonum()
	for _, c := range []struct {
		in, out, window, strides, pads []int
	}{
		{[]int{7, 6}, []int{7, 6}, []int{3, 3}, []int{1, 1}, []int{1, 1}},
		{[]int{9, 8}, []int{4, 4}, []int{3, 2}, []int{2, 2}, []int{0, 0}},
		{[]int{5, 5}, []int{5, 5}, []int{1, 1}, []int{1, 1}, []int{0, 0}},
		{[]int{11}, []int{11}, []int{5}, []int{1}, []int{2}},
		{[]int{1, 4}, []int{1, 4}, []int{1, 3}, []int{1, 1}, []int{0, 1}},
	} {
		const samples, channels, outputs = 3, 2, 4
		axes := len(c.in)
		one := make([]int, axes)
		for i := range one {
			one[i] = 1
		}
		p := moments.Patches{Channels: channels, Groups: 1, In: c.in, Window: c.window, Strides: c.strides, Dilations: one, PadBegin: c.pads, Out: c.out}
		numbers := func(n int, size []int) []float32 {
			for _, s := range size {
				n *= s
			}
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			return x
		}
		x, z := numbers(samples*channels, c.in), numbers(samples*outputs, c.out)
		shape := append([]int{samples, outputs}, c.out...)
		cross := func(p moments.Patches, z []float32) []float32 {
			m := moments.ConvCross(p, outputs)
			sum := make([]float32, m.Size())
			m.Run(b, [][]float32{z}, x, samples, [][]float32{sum}, &moments.Scratch{})
			return sum
		}
		all := make([]float64, len(z))
		for run := range 1 << axes {
			g := gridOf(2, axes, run)
			masked := make([]float32, len(z))
			if len(c.out) == 0 {
				continue
			}
			for i := range z {
				at, on := i, true
				for axis := axes - 1; axis >= 0; axis-- {
					n := c.out[axis]
					on = on && at%n%2 == min(g.first(axis), n-1)%2
					at /= n
				}
				if on {
					masked[i] = z[i]
					all[i]++
				}
			}
			thin := g.thin(z, shape)
			got, want := cross(g.patches(p), thin), cross(p, masked)
			for i, v := range want {
				if !(math.Abs(float64(got[i]-v)) <= 1e-4) {
					t.Fatalf("%v, grid %v: entry %d of the products is %v, want %v", c, g, i, got[i], v)
				}
			}
			if n := moments.Conv(g.patches(p)).Positions(samples); n*outputs != int64(len(thin)) {
				t.Errorf("%v, grid %v: %d columns, and errors of %d", c, g, n, len(thin)/outputs)
			}
		}
		for i, n := range all {
			if n == 0 {
				t.Errorf("%v: position %d is never seen", c, i)
			}
		}
		if (grid{}).thin(z, shape)[0] != z[0] || len((grid{}).thin(z, shape)) != len(z) {
			t.Error("no grid takes positions out")
		}
	}
}

func TestStepOf(t *testing.T) {
	site := func(kind rewrite.ViewKind, in int, out ...int) *rewrite.Site {
		s := &rewrite.Site{Kernel: decomp.Shape{In: in, Out: 8, Groups: 1, Window: []int{3, 3}}, Located: true, Batch: 1}
		s.View.Kind, s.Geometry.Out = kind, out
		return s
	}
	for _, c := range []struct {
		site    *rewrite.Site
		samples int
		want    int
	}{
		{site(rewrite.ConvPatches, 16, 32, 32), 1024, 2},
		{site(rewrite.ConvPatches, 16, 32, 32), 72, 2},
		{site(rewrite.ConvPatches, 16, 32, 32), 71, 1},
		{site(rewrite.ConvPatches, 1, 32, 32), 63, 1},
		{site(rewrite.ConvPatches, 512, 4, 4), 1024, 1},
		{site(rewrite.LastAxis, 4, 1000), 1024, 1},
	} {
		if got := stepOf(c.site, c.samples); got != c.want {
			t.Errorf("%v of %d samples: every %d, want %d", c.site.Kernel, c.samples, got, c.want)
		}
	}
}
