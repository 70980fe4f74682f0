package decomp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func TestShape(t *testing.T) {
	for _, c := range []struct {
		shape                                   decomp.Shape
		rows, cols, params, fullRank, breakEven int
	}{
		{decomp.Shape{Out: 64, In: 64, Window: []int{3, 3}, Groups: 1}, 64, 576, 36864, 64, 57},
		{decomp.Shape{Out: 16, In: 3, Window: []int{3, 3}, Groups: 1}, 16, 27, 432, 16, 10},
		{decomp.Shape{Out: 10, In: 64, Groups: 1}, 10, 64, 640, 10, 8},
		{decomp.Shape{Out: 32, In: 32, Window: []int{3, 3}, Groups: 32}, 1, 9, 288, 1, 0},
		{decomp.Shape{Out: 2, In: 2, Groups: 1}, 2, 2, 4, 2, 0},
		{decomp.Shape{Out: 4, In: 4, Groups: 1}, 4, 4, 16, 4, 1}, // rank 2 costs as much as dense
	} {
		s := c.shape
		if s.Rows() != c.rows || s.Cols() != c.cols || s.Params() != int64(c.params) || s.FullRank() != c.fullRank || s.BreakEven() != c.breakEven {
			t.Errorf("%v: %d×%d, %d weights, full rank %d, break-even %d; wanted %d×%d, %d, %d, %d", s,
				s.Rows(), s.Cols(), s.Params(), s.FullRank(), s.BreakEven(), c.rows, c.cols, c.params, c.fullRank, c.breakEven)
		}
		cost := func(r int) int { return s.Groups * r * (s.Rows() + s.Cols()) }
		if r := c.breakEven; r > 0 && cost(r) >= c.params || cost(r+1) < c.params {
			t.Errorf("%v: rank %d costs %d, the next %d, dense %d", s, r, cost(r), cost(r+1), c.params)
		}
	}
}

// spatial is a chain whose two factors carry one axis each.
func spatial() decomp.Chain {
	return decomp.Chain{
		{Part: "first", Axes: []bool{true, false}, Kernel: decomp.Kernel{Shape: decomp.Shape{Out: 4, In: 8, Window: []int{3, 1}, Groups: 1}}},
		{Part: "last", Axes: []bool{false, true}, Kernel: decomp.Kernel{Shape: decomp.Shape{Out: 8, In: 4, Window: []int{1, 3}, Groups: 1}}},
	}
}

func TestMACs(t *testing.T) {
	g := decomp.Geometry{In: []int{32, 30}, Out: []int{16, 15}}
	transposed := decomp.Geometry{In: []int{16, 15}, Out: []int{32, 30}, Transposed: true}
	one := decomp.Shape{Out: 6, In: 8, Window: []int{1, 1}, Groups: 1}
	svd := method(t, "svd").Factors(decomp.Shape{Out: 8, In: 8, Window: []int{3, 3}, Groups: 2}, decomp.Rank{3})
	for name, c := range map[string]struct {
		chain decomp.Chain
		g     decomp.Geometry
		want  int64
	}{
		"svd runs at the output's size":                     {svd, g, (6*4*9 + 8*3) * 16 * 15},
		"an axis not yet carried is the input's":            {spatial(), g, 4 * 8 * 3 * (16*30 + 16*15)},
		"a 1×1 in front runs at the input's":                {append(decomp.Chain{{Axes: []bool{false, false}, Kernel: decomp.Kernel{Shape: one}}}, svd...), g, 48*32*30 + (6*4*9+8*3)*16*15},
		"transposed, svd's first runs at the input's size":  {svd, transposed, 6*4*9*16*15 + 8*3*32*30},
		"transposed, an axis grows behind the one it is of": {spatial(), transposed, 4 * 8 * 3 * (16*15 + 32*15)},
		"matrix": {method(t, "svd").Factors(decomp.Shape{Out: 10, In: 20, Groups: 1}, decomp.Rank{2}), decomp.Geometry{In: []int{7}, Out: []int{7}}, 2 * 30 * 7},
	} {
		if got := c.chain.MACs(c.g); got != c.want {
			t.Errorf("%s: %d MACs, wanted %d", name, got, c.want)
		}
	}
}

func TestCompose(t *testing.T) {
	c := spatial()
	for i := range c {
		c[i].Kernel.Weights = make([]float64, c[i].Kernel.Params())
		for j := range c[i].Kernel.Weights {
			c[i].Kernel.Weights[j] = float64((i+2)*j%7 - 3)
		}
	}
	k, err := c.Compose(linalg.Gonum(), decomp.Shape{Out: 8, In: 8, Window: []int{3, 3}, Groups: 1})
	if err != nil {
		t.Fatal(err)
	}
	var want []float64 // W[o, i, h, w] = Σ_r last[o, r, w] · first[r, i, h]
	for o := range 8 {
		for i := range 8 {
			for h := range 3 {
				for w := range 3 {
					sum := 0.0
					for r := range 4 {
						sum += c[1].Kernel.Weights[(o*4+r)*3+w] * c[0].Kernel.Weights[(r*8+i)*3+h]
					}
					want = append(want, sum)
				}
			}
		}
	}
	if !slices.Equal(k.Weights, want) {
		t.Errorf("got %v, wanted %v", k.Weights, want)
	}
}

// TestComposeGroups: what factors of the same groups make is what they make with the zeros between groups written out.
func TestComposeGroups(t *testing.T) {
	factor := func(s decomp.Shape) decomp.Factor {
		k := decomp.Kernel{Shape: s, Weights: make([]float64, s.Params())}
		for i := range k.Weights {
			k.Weights[i] = float64(i*5%7 - 3)
		}
		return decomp.Factor{Part: "part", Kernel: k}
	}
	c := decomp.Chain{factor(decomp.Shape{Out: 6, In: 9, Window: []int{3, 1}, Groups: 3}), factor(decomp.Shape{Out: 12, In: 6, Window: []int{1, 2}, Groups: 3})}
	got, err := c.Compose(linalg.Gonum(), decomp.Shape{Out: 12, In: 9, Window: []int{3, 2}, Groups: 3})
	if err != nil {
		t.Fatal(err)
	}
	wide := c[0].Kernel
	wide.Groups, wide.Weights = 1, make([]float64, 6*9*3)
	for o := range 6 {
		copy(wide.Weights[o*27+o/2*9:], c[0].Kernel.Weights[o*9:][:9])
	}
	c[0].Kernel = wide
	want, err := c.Compose(linalg.Gonum(), got.Shape)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Weights, want.Weights) {
		t.Errorf("got %v, want %v", got.Weights, want.Weights)
	}
	if _, err := c[1:].Compose(linalg.Gonum(), decomp.Shape{Out: 12, In: 6, Window: []int{1, 3}, Groups: 3}); err == nil {
		t.Error("a chain of another window was taken")
	}
}

func TestComposeRefuses(t *testing.T) {
	filled := func(s decomp.Shape) decomp.Factor {
		k := decomp.Kernel{Shape: s, Weights: make([]float64, s.Params())}
		for i := range k.Weights {
			k.Weights[i] = 1
		}
		return decomp.Factor{Part: "part", Kernel: k, Axes: make([]bool, len(s.Window))}
	}
	a := filled(decomp.Shape{Out: 4, In: 6, Window: []int{3}, Groups: 1})
	target := decomp.Shape{Out: 4, In: 6, Window: []int{3}, Groups: 1}
	for name, c := range map[string]struct {
		chain  decomp.Chain
		target decomp.Shape
		want   string
	}{
		"empty":          {nil, target, "without factors"},
		"no numbers":     {spatial(), target, "0 weights"},
		"channels":       {decomp.Chain{a, filled(decomp.Shape{Out: 4, In: 5, Window: []int{1}, Groups: 1})}, target, "cannot follow"},
		"axes":           {decomp.Chain{a, filled(decomp.Shape{Out: 4, In: 4, Groups: 1})}, target, "cannot follow"},
		"two windows":    {decomp.Chain{a, filled(decomp.Shape{Out: 4, In: 4, Window: []int{3}, Groups: 1})}, target, "several taps"},
		"another shape":  {decomp.Chain{a}, decomp.Shape{Out: 4, In: 6, Window: []int{1}, Groups: 1}, "wanted 4×6×1"},
		"between groups": {decomp.Chain{a}, decomp.Shape{Out: 4, In: 6, Window: []int{3}, Groups: 2}, "different groups"},
		"bad target":     {decomp.Chain{a}, decomp.Shape{}, "must be positive"},
	} {
		if _, err := c.chain.Compose(linalg.Gonum(), c.target); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, wanted one that says %q", name, err, c.want)
		}
	}
}
