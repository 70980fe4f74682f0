package moments

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestHalves holds the moments of both halves against those that Inputs sums of the runs of each alone: for dense layouts and
// compact ones, one size of inputs and several, with a pilot and without.
func TestHalves(t *testing.T) {
	one := []int{1, 1}
	conv := func(size int) Summation {
		return Conv(Patches{Channels: 4, Groups: 2, In: []int{size, 9}, Window: []int{3, 3}, Strides: one, Dilations: one, PadBegin: one, Out: []int{size, 9}})
	}
	r, b := rand.New(rand.NewPCG(3, 4)), linalg.Gonum()
	for name, c := range map[string]struct {
		groups, columns int
		runs            []Summation
		units, mean     int
	}{
		"rows":            {1, 6, []Summation{Rows(6, 5)}, 3, 0},
		"rows off zero":   {1, 6, []Summation{Rows(6, 5)}, 3, 50},
		"lags":            {2, 18, []Summation{conv(8)}, 2, 0},
		"lags off zero":   {2, 18, []Summation{conv(8)}, 2, 50},
		"several sizes":   {2, 18, []Summation{conv(8), conv(8), conv(11)}, 2, 0},
		"one run for now": {1, 6, []Summation{Rows(6, 5)}, 3, 0},
	} {
		pilot := NewPilot()
		h := NewHalves(c.groups, c.columns, pilot)
		alone := [2]*Inputs{NewInputs(c.groups, c.columns, pilot), NewInputs(c.groups, c.columns, pilot)}
		runs := 7
		if name == "one run for now" {
			runs = 1
		}
		for run := range runs {
			s := c.runs[run%len(c.runs)]
			g := s.grid(c.units)
			x := make([]float32, g.outer*g.major*g.inner*g.minor)
			for i := range x {
				x[i] = float32(c.mean) + float32(r.NormFloat64())
			}
			if run == 0 {
				pilot.Set(s, x, c.units, nil)
			}
			var part Part
			var scratch Scratch
			var off []float32
			h.Run(b, s, pilot.Off(s, x, c.units, nil, &off), c.units, nil, &part, &scratch)
			h.Add(run%2, &part)
			alone[run%2].Add(&part)
		}
		var want [2][]*linalg.Matrix
		for i, in := range alone {
			if h.Positions(i) != in.Positions() {
				t.Errorf("%s: half %d has %d positions, want %d", name, i, h.Positions(i), in.Positions())
			}
			want[i], _ = in.Means()
		}
		h.Settle()
		all := NewHalves(c.groups, c.columns, NewPilot()) // joined with nothing, they are the same
		all.Settle()
		all.Join([2]int64{h.Positions(0), h.Positions(1)}, h.Numbers())
		h = all
		out := h.Means(func(group int, second func(i, j int) (float64, float64), m *linalg.Matrix) {
			for i := range c.columns {
				for j := i; j < c.columns; j++ {
					x, y := second(i, j)
					for half, v := range []float64{x, y} {
						if w := want[half][group].At(i, j); !(math.Abs(v-w) <= 1e-12*want[0][group].MaxAbs()) {
							t.Fatalf("%s: half %d of group %d at (%d, %d) is %v, want %v", name, half, group, i, j, v, w)
						}
					}
					m.Set(i, j, x+2*y)
				}
			}
		})
		for g, m := range out {
			for i := range c.columns {
				for j := range c.columns {
					if w := want[0][g].At(i, j) + 2*want[1][g].At(i, j); !(math.Abs(m.At(i, j)-w) <= 1e-11*m.MaxAbs()) {
						t.Fatalf("%s: what is set in group %d at (%d, %d) is %v, want %v", name, g, i, j, m.At(i, j), w)
					}
				}
			}
		}
	}
}
