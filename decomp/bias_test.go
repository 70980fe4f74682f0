package decomp_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestBiasShift compares with the composed kernels, for chains whose factors carry their axes together and apart.
func TestBiasShift(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	means := func(s decomp.Shape) [][]float64 {
		out := make([][]float64, s.Groups)
		for g := range out {
			for range s.Cols() {
				out[g] = append(out[g], r.NormFloat64())
			}
		}
		return out
	}
	apart := spatial()
	for i := range apart {
		apart[i].Kernel.Weights = make([]float64, apart[i].Kernel.Params())
		for j := range apart[i].Kernel.Weights {
			apart[i].Kernel.Weights[j] = r.NormFloat64()
		}
	}
	for name, c := range map[string]struct {
		shape decomp.Shape
		chain decomp.Chain
		rank  int
	}{
		"convolution": {shape: decomp.Shape{Out: 9, In: 4, Window: []int{3, 2}, Groups: 1}, rank: 3},
		"grouped":     {shape: decomp.Shape{Out: 9, In: 6, Window: []int{3}, Groups: 3}, rank: 2},
		"matrix":      {shape: decomp.Shape{Out: 9, In: 6, Groups: 1}, rank: 2},
		"spatial":     {shape: decomp.Shape{Out: 8, In: 8, Window: []int{3, 3}, Groups: 1}, chain: apart},
	} {
		s := decomptest.Random(1, c.shape)
		if c.chain == nil {
			chain, err := factor(t, s.Kernel, s.Metric).Chain(decomp.Rank{c.rank})
			if err != nil {
				t.Fatal(err)
			}
			c.chain = chain
		}
		whole, err := c.chain.Compose(linalg.Gonum(), c.shape)
		if err != nil {
			t.Fatal(err)
		}
		mean := means(c.shape)
		got, err := c.chain.BiasShift(s.Kernel, mean)
		if err != nil {
			t.Fatal(err)
		}
		for o := range c.shape.Out {
			want, cols := 0.0, c.shape.Cols()
			for i, m := range mean[o/c.shape.Rows()] {
				want += (s.Kernel.Weights[o*cols+i] - whole.Weights[o*cols+i]) * m
			}
			if math.Abs(got[o]-want) > 1e-12*(1+math.Abs(want)) {
				t.Errorf("%s: shift of output %d is %g, wanted %g", name, o, got[o], want)
			}
		}
	}
}

func TestBiasShiftRefuses(t *testing.T) {
	s := decomptest.Random(1, decomp.Shape{Out: 4, In: 6, Window: []int{3}, Groups: 2})
	chain, err := factor(t, s.Kernel, s.Metric).Chain(decomp.Rank{1})
	if err != nil {
		t.Fatal(err)
	}
	mean := func(n ...int) (out [][]float64) {
		for _, v := range n {
			out = append(out, make([]float64, v))
		}
		return out
	}
	other := decomptest.Random(1, decomp.Shape{Out: 4, In: 6, Window: []int{2}, Groups: 2})
	for name, c := range map[string]struct {
		chain  decomp.Chain
		kernel decomp.Kernel
		mean   [][]float64
		want   string
	}{
		"groups":       {chain, s.Kernel, mean(9), "1 mean patches for the 2 groups"},
		"length":       {chain, s.Kernel, mean(9, 8), "group 1 has 8 numbers, wanted 9"},
		"no weights":   {chain, decomp.Kernel{Shape: s.Kernel.Shape}, mean(9, 9), "0 weights"},
		"other window": {chain, other.Kernel, mean(6, 6), "cannot take the window [2]"},
		"half a chain": {chain[:1], s.Kernel, mean(9, 9), "gives 2 outputs"},
		"wrong order":  {decomp.Chain{chain[1], chain[0]}, s.Kernel, mean(9, 9), "cannot take 18 numbers"},
	} {
		if _, err := c.chain.BiasShift(c.kernel, c.mean); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, wanted one that says %q", name, err, c.want)
		}
	}
}
