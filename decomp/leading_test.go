package decomp_test

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestRefitFindsWhatLeads: a refit looks no further than its rank, and has the chain of all components at that rank: where the output
// moment was lifted, which changes their order, where what is worth little is found in further steps, and where there is no more.
func TestRefitFindsWhatLeads(t *testing.T) {
	for _, shape := range []decomp.Shape{{Out: 12, In: 20, Groups: 1}, {Out: 20, In: 12, Groups: 1}, {Out: 24, In: 40, Groups: 2}} {
		for _, falls := range []float64{1, 1e-2} { // singular value by singular value of the weights
			for _, directions := range []int{0, 3} { // of the outputs' sensitivity, 0 for all
				s := decomptest.Random(5, shape)
				for i := range s.Kernel.Weights {
					s.Kernel.Weights[i] *= math.Pow(falls, float64(i/shape.Cols()%shape.Rows()))
				}
				for g := range s.Metric.Out {
					if directions > 0 {
						v := s.Metric.Out[g].RowRange(0, directions)
						s.Metric.Out[g] = linalg.Gonum().Mul(true, false, 1, v, v)
					}
				}
				whole := factor(t, s.Kernel, s.Metric)
				for r := 1; r <= shape.FullRank(); r++ {
					t.Run(fmt.Sprint(shape, falls, directions, r), func(t *testing.T) {
						start, err := whole.Chain(decomp.Rank{r})
						if err != nil {
							t.Fatal(err)
						}
						chain, err := method(t, "svd").Refit(linalg.Gonum(), s.Kernel, s.Metric, start)
						if err != nil {
							t.Fatal(err)
						}
						var losses []float64
						for _, c := range []decomp.Chain{start, chain} {
							k, err := c.Compose(linalg.Gonum(), shape)
							if err != nil {
								t.Fatal(err)
							}
							losses = append(losses, decomptest.Loss(s.Kernel, k, s.Metric))
						}
						if d := math.Abs(losses[1] - losses[0]); d > 1e-9*losses[0]+1e-13*whole.Energy() {
							t.Errorf("it loses %g, and %g from all components", losses[1], losses[0])
						}
					})
				}
			}
		}
	}
}

// decomposing counts the eigenproblems that are solved.
type decomposing struct {
	linalg.Backend
	solved atomic.Int64
}

func (d *decomposing) SymEig(a *linalg.Matrix) ([]float64, *linalg.Matrix, error) {
	d.solved.Add(1)
	return d.Backend.SymEig(a)
}

// TestRemembering: refits under one output moment, side by side, take it apart once, and find what each finds alone.
func TestRemembering(t *testing.T) {
	const many = 4
	shape := decomp.Shape{Out: 6, In: 9, Groups: 1}
	m := decomptest.Random(1, shape).Metric
	b, alone := &decomposing{Backend: linalg.Gonum()}, &decomposing{Backend: linalg.Gonum()}
	shared := m.Remembering()
	var all sync.WaitGroup
	for i := range many {
		s := decomptest.Random(uint64(10+i), shape)
		start := halfway(t, method(t, "svd"), s)
		own, together := m, shared
		own.In, together.In = s.Metric.In, s.Metric.In
		want, err := method(t, "svd").Refit(alone, s.Kernel, own, start)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			got, err := method(t, "svd").Refit(b, s.Kernel, together, start)
			if err != nil {
				t.Error(err)
				return
			}
			for k := range want {
				if d := worstDifference(got[k].Kernel.Weights, want[k].Kernel.Weights); d != 0 {
					t.Errorf("refit %d: factor %d differs by %g", i, k, d)
				}
			}
		})
	}
	all.Wait()
	if got, want := b.solved.Load(), alone.solved.Load()-(many-1); got != want {
		t.Errorf("%d eigenproblems, want %d", got, want)
	}
}

func worstDifference(a, b []float64) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(a[i]-b[i]))
	}
	return worst
}
