package decomp_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// middle returns a kernel that every method takes, and a chain of it at a rank of each method's ladder.
func middle(t *testing.T, m decomp.Method) (decomptest.Specimen, decomp.Chain) {
	t.Helper()
	s := decomptest.Random(3, decomp.Shape{Out: 8, In: 6, Window: []int{3, 3}, Groups: 2})
	return s, halfway(t, m, s)
}

func TestRefitOfAnotherChain(t *testing.T) {
	for _, m := range decomp.Methods() {
		s, good := middle(t, m)
		ungrouped := slices.Clone(good)
		ungrouped[0].Kernel.Groups = 1
		for name, start := range map[string]decomp.Chain{"none": nil, "one factor": good[:1], "ungrouped": ungrouped} {
			if _, err := m.Refit(linalg.Gonum(), s.Kernel, s.Metric, start); err == nil {
				t.Errorf("%s, %s: a chain of another kind was refitted", m.Name, name)
			}
		}
	}
}

// TestRefitToItself wants a refit to the kernel and metric that a chain was made for to find nothing worse, and one to
// what a chain composes to, to find that chain.
func TestRefitToItself(t *testing.T) {
	for _, m := range decomp.Methods() {
		s, start := middle(t, m)
		composed, err := start.Compose(linalg.Gonum(), s.Kernel.Shape)
		if err != nil {
			t.Fatal(err)
		}
		zero := decomp.Kernel{Shape: s.Kernel.Shape, Weights: make([]float64, len(s.Kernel.Weights))}
		for name, target := range map[string]decomp.Kernel{"the kernel": s.Kernel, "the chain": composed} {
			chain, err := m.Refit(linalg.Gonum(), target, s.Metric, start)
			if err != nil {
				t.Fatalf("%s: %v", m.Name, err)
			}
			got, err := chain.Compose(linalg.Gonum(), s.Kernel.Shape)
			if err != nil {
				t.Fatal(err)
			}
			before, after := decomptest.Loss(target, composed, s.Metric), decomptest.Loss(target, got, s.Metric)
			if energy := decomptest.Loss(target, zero, s.Metric); after > before*(1+1e-9)+1e-12*energy {
				t.Errorf("%s, refitted to %s: loss %g, before %g", m.Name, name, after, before)
			}
		}
	}
}

// TestRefitMoves wants a refit to gain on a chain whose first factor is far from the best.
func TestRefitMoves(t *testing.T) {
	for _, m := range decomp.Methods() {
		s, start := middle(t, m)
		r := rand.New(rand.NewPCG(2, 1))
		poor := slices.Clone(start)
		poor[0].Kernel.Weights = slices.Clone(poor[0].Kernel.Weights)
		for i := range poor[0].Kernel.Weights {
			poor[0].Kernel.Weights[i] += 0.3 * r.NormFloat64()
		}
		chain, err := m.Refit(linalg.Gonum(), s.Kernel, s.Metric, poor)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		losses := [3]float64{}
		for i, c := range []decomp.Chain{start, poor, chain} {
			k, err := c.Compose(linalg.Gonum(), s.Kernel.Shape)
			if err != nil {
				t.Fatal(err)
			}
			losses[i] = decomptest.Loss(s.Kernel, k, s.Metric)
		}
		if !(losses[2] < losses[1]) || losses[2] > 1.5*losses[0] {
			t.Errorf("%s: refitted from %g to %g, where %g is possible", m.Name, losses[1], losses[2], losses[0])
		}
	}
}
