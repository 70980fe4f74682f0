package decomp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestWide holds what kernels get whose descents would cost too much, many ranks from one product with A, against the
// same heads taken one by one.
func TestWide(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	k := Kernel{Shape: Shape{Out: 9, In: 6, Window: []int{3, 3}, Groups: 1}}
	k.Weights = randomMatrix(r, k.Rows(), k.Cols()).Data
	m := Metric{In: []*linalg.Matrix{fieldMoment(r, k.In, 3)}, Out: []*linalg.Matrix{randomMoment(r, k.Out)}}
	for _, p := range []pair{{"svd-in", pointwise, Normal}, {"spatial", cut, Normal}, {"spatial-wh", cutLast, Normal}} {
		s, err := p.spectrum(linalg.Gonum(), k, m)
		if err != nil {
			t.Fatal(err)
		}
		g := s.groups[0]
		if err := g.prepare(); err != nil {
			t.Fatal(err)
		}
		for rank := 1; rank < g.full(); rank++ {
			together, err := g.settled(g.throughStart(rank))
			if err != nil {
				t.Fatal(err)
			}
			alone, err := g.lower(g.start.RowRange(0, rank), effort{})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(together.loss-alone.loss) > 1e-8*alone.loss+1e-14*g.energy || together.head.Rows != rank {
				t.Errorf("%s, rank %d: loss %g, alone %g", p.name, rank, together.loss, alone.loss)
			}
		}
	}
}

// TestTuckerAnswers holds the losses of pairs, all of which with one r1 follow from one decomposition, against the errors of
// their factors.
func TestTuckerAnswers(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	k := Kernel{Shape: Shape{Out: 9, In: 6, Window: []int{3, 3}, Groups: 1}}
	k.Weights = randomMatrix(r, k.Rows(), k.Cols()).Data
	in, out := fieldMoment(r, k.In, 3), randomMoment(r, k.Out)
	lifted := linalg.Identity(k.Out)
	for i := range k.Out {
		lifted.Set(i, i, math.Pow(10, -float64(i)))
	}
	for name, m := range map[string]Metric{
		"none":   {},
		"inputs": {In: []*linalg.Matrix{in}},
		"both":   {In: []*linalg.Matrix{in}, Out: []*linalg.Matrix{out}},
		"lifted": {In: []*linalg.Matrix{in}, Out: []*linalg.Matrix{lifted}},
		"output": {Out: []*linalg.Matrix{out}},
	} {
		s, err := newTuckerSpectrum(Normal, linalg.Gonum(), k, m)
		if err != nil {
			t.Fatal(err)
		}
		g := s.groups[0]
		for _, rank := range tuckerRanks(k.Shape, 1) {
			pair := [2]int{rank[0], rank[1]}
			loss, err := g.lossAt(pair)
			if err != nil {
				t.Fatal(err)
			}
			f, err := g.at(pair)
			if err != nil {
				t.Fatal(err)
			}
			want := g.lossOf(g.through(f.head), g.b.Mul(false, false, 1, f.out, f.core))
			if math.Abs(loss-want) > 1e-9*want+1e-14*g.energy || f.head.Rows != rank[0] {
				t.Errorf("%s, rank %v: loss %g, of its factors %g", name, rank, loss, want)
			}
		}
	}
}

// TestAnswersAlone wants of every rank what a factorization says that was asked for nothing else, whatever was asked before,
// and of trains the loss that their factors have.
func TestAnswersAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	k := Kernel{Shape: Shape{Out: 7, In: 6, Window: []int{3, 1, 2, 2}, Groups: 1}}
	k.Weights = randomMatrix(r, k.Rows(), k.Cols()).Data
	for name, m := range map[string]Metric{
		"none":    {},
		"outputs": {Out: []*linalg.Matrix{randomMoment(r, k.Out)}},
		"both":    {In: []*linalg.Matrix{randomMoment(r, k.Cols())}, Out: []*linalg.Matrix{randomMoment(r, k.Out)}},
	} {
		for _, method := range []Method{tt(Normal), tucker2(Normal), svdIn(Normal), spatial(Normal), spatialWH(Normal)} {
			all, err := method.Factor(linalg.Gonum(), k, m)
			if err != nil {
				t.Fatal(err)
			}
			ranks := method.Ranks(k.Shape, 1)
			if method.Name == "tt" { // more first ranks than it remembers
				for r1 := range k.In {
					ranks = append(ranks, Rank{r1 + 1, r1 + 3, r1 + 2, min(r1, 5) + 2})
				}
			}
			for _, rank := range ranks {
				loss, err := all.Loss(rank)
				if err != nil {
					t.Fatal(err)
				}
				alone, err := method.Factor(linalg.Gonum(), k, m)
				if err != nil {
					t.Fatal(err)
				}
				chain, err := alone.Chain(rank)
				if err != nil {
					t.Fatal(err)
				}
				if again, err := alone.Loss(rank); err != nil || again != loss {
					t.Errorf("%s, %s: rank %v loses %g, asked for alone %g, %v", method.Name, name, rank, loss, again, err)
				}
				whole, err := chain.Compose(linalg.Gonum(), k.Shape)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range k.Weights {
					whole.Weights[i] -= w
				}
				want, err := m.Energy(linalg.Gonum(), whole)
				if err != nil || math.Abs(loss-want) > 1e-8*want+1e-13*all.Energy() {
					t.Errorf("%s, %s: rank %v promises %g, its chain has %g, %v", method.Name, name, rank, loss, want, err)
				}
			}
		}
	}
}

// TestRounds wants the descents of a network's narrow kernels unhindered, and none where one step takes seconds.
func TestRounds(t *testing.T) {
	narrow, wide := &split{in: linalg.New(576, 0), work: 1}, &split{in: linalg.New(4608, 0), work: 1}
	if n := (&pairGroup{split: narrow}).ladderEffort(96).evaluations; n != ladderRounds {
		t.Errorf("a narrow kernel gets %d rounds, wanted %d", n, ladderRounds)
	}
	if n := (&pairGroup{split: wide}).ladderEffort(300).evaluations; n >= fewest {
		t.Errorf("a wide kernel gets %d rounds", n)
	}
}
