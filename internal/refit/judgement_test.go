package refit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestJudgement holds what chains leave against E[(e − Dx − s)(e − Dx − s)ᵀ] written out with D = W' − W, and the shift that centers them:
// chains of two and three factors, of one, and none; with groups, a metric, and a shift, and far from zero.
func TestJudgement(t *testing.T) {
	const rows, cols = 12, 15
	for _, groups := range []int{1, 2} {
		for _, metric := range []bool{false, true} {
			for _, shift := range []bool{false, true} {
				for factors := range 4 {
					t.Run(fmt.Sprint(groups, metric, shift, factors), func(t *testing.T) {
						r, b := rand.New(rand.NewPCG(8, 9)), linalg.Gonum()
						shape := decomp.Shape{Out: rows * groups, In: cols * groups, Groups: groups}
						p := &problem{backend: b, choice: &Choice{}, kernel: decomp.Kernel{Shape: shape, Weights: drawn(r, rows*groups, cols).Data}, shift: shift}
						var d []*linalg.Matrix
						for range groups {
							d = append(d, drawn(r, rows, cols))
							if metric {
								v := drawn(r, rows, 5)
								p.g = append(p.g, b.Mul(false, true, 1, v, v))
							}
						}
						f := drawnFacts(r, d, 40, 2)
						if factors > 0 {
							p.choice.Chain = drawnChain(r, shape, factors)
						}
						j, err := p.judgement(f)
						if err != nil {
							t.Fatal(err)
						}
						if factors == 0 {
							checkLeft(t, p, f, p.kernel.Weights, p.left(j.start, nil), nil)
							return
						}
						chain := slices.Clone(p.choice.Chain)
						if err := p.center(chain, f, f.both); err != nil {
							t.Fatal(err)
						}
						whole, err := chain.Compose(b, shape)
						if err != nil {
							t.Fatal(err)
						}
						for _, s := range [][]float64{nil, drawn(r, rows*groups, 1).Data, shiftOf(chain)} {
							checkLeft(t, p, f, whole.Weights, p.left(j.start, s), s)
						}
						got, err := p.judge(j, chain)
						if err != nil || math.Abs(got/p.left(j.start, shiftOf(chain))-1) > 1e-12 {
							t.Errorf("%g is left (%v), want %g", got, err, p.left(j.start, shiftOf(chain)))
						}
						if shift {
							if less := p.left(j.start, drawn(r, rows*groups, 1).Data); !(got < less) {
								t.Errorf("%g is left with the mean taken off, %g with another shift", got, less)
							}
						}
					})
				}
			}
		}
	}
}

// drawnChain has random factors with few channels between them.
func drawnChain(r *rand.Rand, s decomp.Shape, factors int) decomp.Chain {
	var out decomp.Chain
	in := s.In
	for i := range factors {
		to := 4 * s.Groups
		if i == factors-1 {
			to = s.Out
		}
		k := decomp.Shape{Out: to, In: in, Groups: s.Groups}
		out = append(out, decomp.Factor{Part: fmt.Sprint(i), Kernel: decomp.Kernel{Shape: k, Weights: drawn(r, k.Out, k.Cols()).Data}})
		in = to
	}
	return out
}

// checkLeft holds what is left by weights and a shift against its definition.
func checkLeft(t *testing.T, p *problem, f facts, weights []float64, got float64, shift []float64) {
	t.Helper()
	b, want := linalg.Gonum(), 0.
	changed := groupsOf(decomp.Kernel{Shape: p.kernel.Shape, Weights: weights})
	for g, w := range groupsOf(p.kernel) {
		d := changed[g].Clone()
		for i, v := range w.Data {
			d.Data[i] -= v
		}
		s := make([]float64, d.Rows)
		if shift != nil {
			copy(s, shift[g*d.Rows:])
		}
		dx, dex, dxx := multiplied(d, f.x[g]), b.Mul(false, true, 1, d, f.both.ex[g]), b.Mul(false, true, 1, b.Mul(false, false, 1, d, f.xx[g]), d)
		m := linalg.New(d.Rows, d.Rows)
		for i := range d.Rows {
			for j := range d.Rows {
				m.Set(i, j, f.ee[g].At(i, j)-dex.At(i, j)-dex.At(j, i)+dxx.At(i, j)+s[i]*s[j]-
					s[i]*(f.both.e[g][j]-dx[j])-s[j]*(f.both.e[g][i]-dx[i]))
			}
		}
		want += weighed(m, p.weight(g))
	}
	if math.Abs(got-want) > 1e-10*want {
		t.Errorf("%g is left, want %g", got, want)
	}
}
