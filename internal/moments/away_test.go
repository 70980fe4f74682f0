package moments

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// dirty is memory that somebody else has used.
type dirty struct{}

func (dirty) Zeros(n int) []float64 { return make([]float64, n) }
func (dirty) Room(n int) []float64  { return slices.Repeat([]float64{math.NaN()}, n) }

// fill copies numbers into lists.
func fill(lists [][]float64, kept []float64) error {
	for _, l := range lists {
		kept = kept[copy(l, kept):]
	}
	return nil
}

// Sums that leave memory between any two runs are those that stay, to the last bit: those of lags, of dense products, and of both halves.
func TestLeave(t *testing.T) {
	window := Patches{
		Channels: 3, Groups: 1, In: []int{7, 7}, Window: []int{3, 3}, Strides: []int{1, 1}, Dilations: []int{1, 1},
		PadBegin: []int{1, 1}, Out: []int{7, 7},
	}
	rows := Rows(window.Length(), 1)
	for name, summations := range map[string][]Summation{
		"lags": {Conv(window), Conv(window), Conv(window)}, "dense": {Direct(window), rows, rows}, "both": {Conv(window), Conv(window), rows},
	} {
		gone := 0
		keep := func(lists [][]float64) ([]float64, error) {
			gone++
			return slices.Concat(lists...), nil
		}
		stay, leave := NewHalves(1, window.Length(), NewPilot()), NewHalves(1, window.Length(), NewPilot()).In(dirty{})
		alone, left := NewSum(1, window.Length()), NewSum(1, window.Length()).In(dirty{})
		for i, s := range summations {
			x := make([]float32, 2*7*7*3*3)
			for k := range x {
				x[k] = float32((k*k+3*i)%17) - 7
			}
			partial := make([]float32, s.Size())
			s.Run(linalg.Gonum(), x, 1, partial, &Scratch{})
			part := Part{summation: s, products: partial, positions: s.Positions(1), first: make([]float64, window.Length())}
			for _, h := range []*Halves{stay, leave} {
				h.Add(i%2, &part)
			}
			alone.Add(s, partial)
			left.Add(s, partial)
			for _, l := range []interface {
				Leave(func([][]float64) ([]float64, error)) ([][]float64, error)
				Return(func([][]float64, []float64) error) error
			}{leave, left} {
				if _, err := l.Leave(keep); err != nil {
					t.Fatal(err)
				}
				if err := l.Return(fill); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, h := range []*Halves{stay, leave} {
			h.Settle()
		}
		alone.Settle()
		left.Settle()
		for _, l := range []*Sum{leave.sum, left} {
			if free, err := l.Leave(keep); err != nil || len(free) != 1 || len(l.moments) != 0 {
				t.Errorf("%s: %d matrices are free, %v", name, len(free), err)
			}
		}
		if gone != 2*len(summations)+2 {
			t.Errorf("%s: left %d times", name, gone)
		}
		if !slices.EqualFunc(stay.Numbers(), leave.Numbers(), slices.Equal) || !slices.EqualFunc(alone.Numbers(), left.Numbers(), slices.Equal) {
			t.Errorf("%s: other numbers", name)
		}
		if err := left.Return(fill); err != nil {
			t.Fatal(err)
		}
		if a, b := alone.Mean(9), left.Mean(9); !slices.Equal(a[0].Data, b[0].Data) {
			t.Errorf("%s: other means", name)
		}
	}
}
