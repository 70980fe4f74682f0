package decomp

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestSome: input channels are taken out and put back, tap by tap and group by group.
func TestSome(t *testing.T) {
	whole := Kernel{Shape: Shape{Out: 4, In: 6, Window: []int{2}, Groups: 2}, Weights: make([]float64, 24)}
	for i := range whole.Weights {
		whole.Weights[i] = float64(i + 1)
	}
	channels := []int{0, 2, 3, 4} // the second of the first group and the third of the second go
	some := whole.Some(channels)
	if want := []float64{1, 2, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22}; some.In != 4 || some.Check() != nil || !slices.Equal(some.Weights, want) {
		t.Errorf("%v: %v, want %v", some.Shape, some.Weights, want)
	}
	back := some.Among(whole.Shape, channels)
	for i, v := range back.Weights {
		if want := whole.Weights[i]; i/2%3 == 1 && i < 12 || i/2%3 == 2 && i >= 12 {
			if v != 0 {
				t.Errorf("weight %d of a channel that goes is %g", i, v)
			}
		} else if v != want {
			t.Errorf("weight %d is %g, want %g", i, v, want)
		}
	}
}

// TestChainSome: a chain over some channels is the composed kernel over these, and put back it is that kernel among zeros.
func TestChainSome(t *testing.T) {
	whole := Shape{Out: 5, In: 6, Window: []int{3, 3}, Groups: 1}
	in, out := []int{0, 2, 3, 5}, []int{1, 4}
	for _, m := range Methods() {
		ranks := m.Ranks(whole, 1)
		if len(ranks) == 0 || m.Accepts(whole) != nil {
			continue
		}
		chain := m.Factors(whole, ranks[0])
		for i := range chain {
			chain[i].Kernel.Weights = make([]float64, chain[i].Kernel.Params())
			for j := range chain[i].Kernel.Weights {
				chain[i].Kernel.Weights[j] = float64((7*i+3*j)%11) - 5
			}
		}
		chain[len(chain)-1].Shift = []float64{1, 2, 3, 4, 5}
		some := chain.Some(in, out)
		small := whole
		small.In, small.Out = len(in), len(out)
		got, err := some.Compose(linalg.Gonum(), small)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		all, err := chain.Compose(linalg.Gonum(), whole)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if want := all.Some(in).SomeRows(out); !slices.Equal(got.Weights, want.Weights) || !slices.Equal(some[len(some)-1].Shift, []float64{2, 5}) {
			t.Errorf("%s: %v, want %v; shift %v", m.Name, got.Weights, want.Weights, some[len(some)-1].Shift)
		}
		back, err := some.Among(whole, in, out).Compose(linalg.Gonum(), whole)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if want := got.AmongRows(whole.Out, out).Among(whole, in); !slices.Equal(back.Weights, want.Weights) {
			t.Errorf("%s: put back %v, want %v", m.Name, back.Weights, want.Weights)
		}
		if shift := some.Among(whole, in, out)[len(chain)-1].Shift; !slices.Equal(shift, []float64{0, 2, 0, 0, 5}) {
			t.Errorf("%s: shift %v", m.Name, shift)
		}
	}
}
