package decomp_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestUnitsPullback chooses under G and under WᵀGW, which give the same order, losses and folds.
func TestUnitsPullback(t *testing.T) {
	const in, out = 9, 40
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(5, 19))
	k := decomp.Kernel{Shape: decomp.Shape{In: in, Out: out, Groups: 1}, Weights: gaussian(r, out, in).Data}
	w, x, y := &linalg.Matrix{Rows: out, Cols: in, Data: k.Weights}, gaussian(r, 30, in), gaussian(r, 90, out)
	g := b.Mul(true, false, 1, y, y)
	dense := decomp.Metric{In: []*linalg.Matrix{b.Mul(true, false, 1, x, x)}, Out: []*linalg.Matrix{g}}
	through := decomp.Metric{In: dense.In, Pullback: []*linalg.Matrix{b.Mul(true, false, 1, w, b.Mul(false, false, 1, g, w))}}
	var made []*decomp.Elimination
	for _, m := range []decomp.Metric{dense, through} {
		e, err := decomp.Eliminate(b, in, []decomp.Reader{{Kernel: k, Metric: m, Scale: 2}})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, e)
	}
	for n := 1; n <= in; n++ {
		one, other := widthOf(t, made[0], n), widthOf(t, made[1], n)
		if !slices.Equal(one.kept, other.kept) || !near(one.loss, other.loss, made[0].Energy()) || !slices.Equal(one.fold.Weights, other.fold.Weights) {
			t.Errorf("%d units: %v at %g under the outputs' moment, %v at %g pulled back", n, one.kept, one.loss, other.kept, other.loss)
		}
	}
}

// width is what an elimination says of a number of units.
type width struct {
	kept []int
	loss float64
	fold decomp.Kernel
}

func widthOf(t *testing.T, e *decomp.Elimination, k int) width {
	t.Helper()
	kept, err1 := e.Kept(k)
	loss, err2 := e.Loss(k)
	fold, err3 := e.Fold(k, 0)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return width{kept, loss, fold}
}

// TestUnitsHeldOut chooses under fewer columns than there are units: what seems to cost nothing costs much on columns held back.
func TestUnitsHeldOut(t *testing.T) {
	const units, columns = 40, 20
	b, r := linalg.Gonum(), rand.New(rand.NewPCG(5, 21))
	moment := func(n int) decomp.Metric {
		x := gaussian(r, n, units)
		return decomp.Metric{In: []*linalg.Matrix{b.Mul(true, false, 1/float64(n), x, x)}}
	}
	k := decomp.Kernel{Shape: decomp.Shape{In: units, Out: 5, Groups: 1}, Weights: gaussian(r, 5, units).Data}
	e, err := decomp.Eliminate(b, units, []decomp.Reader{{Kernel: k, Metric: moment(columns), Scale: 1}})
	if err != nil {
		t.Fatal(err)
	}
	held, err := e.LossesUnder([]decomp.Metric{moment(1000)})
	if err != nil {
		t.Fatal(err)
	}
	if seen := widthOf(t, e, columns).loss; seen > 1e-9*e.Energy() || held[columns] < 0.1*e.Energy() {
		t.Errorf("%d units lose %g of %g on the columns they were chosen on, and %g on others", columns, seen, e.Energy(), held[columns])
	}
}

// TestUnitsIndefinite gives what no samples have: correlations that contradict each other. There is an answer all the same.
func TestUnitsIndefinite(t *testing.T) {
	const n = 70
	r := rand.New(rand.NewPCG(5, 20))
	for name, beside := range map[string]float64{"against each other": -1, "above one": 40} {
		a := linalg.New(n, n)
		for i := range a.Data {
			if a.Data[i] = beside; i/n == i%n {
				a.Data[i] = 1
			}
		}
		k := decomp.Kernel{Shape: decomp.Shape{In: n, Out: 5, Groups: 1}, Weights: gaussian(r, 5, n).Data}
		e, err := decomp.Eliminate(linalg.Gonum(), n, []decomp.Reader{{Kernel: k, Metric: decomp.Metric{In: []*linalg.Matrix{a}}, Scale: 1}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for k := 1; k <= n; k++ {
			w := widthOf(t, e, k)
			if err := w.fold.Check(); err != nil || !(w.loss >= 0) || math.IsInf(w.loss, 1) {
				t.Fatalf("%s: %d units lose %g, %v", name, k, w.loss, err)
			}
		}
	}
}

// TestUnitsFaults: an error of the algebra that no lift can help comes back as what it is.
func TestUnitsFaults(t *testing.T) {
	fault := errors.New("out of order")
	k := decomp.Kernel{Shape: decomp.Shape{In: 3, Out: 2, Groups: 1}, Weights: []float64{1, 2, 3, 4, 5, 7}}
	for after := 1; after <= 2; after++ {
		if _, err := decomp.Eliminate(&failing{linalg.Gonum(), after, fault}, 3, []decomp.Reader{{Kernel: k, Scale: 1}}); !errors.Is(err, fault) {
			t.Errorf("factorization %d fails: got %v", after, err)
		}
	}
	f := &failing{linalg.Gonum(), 0, fault}
	e, err := decomp.Eliminate(f, 3, []decomp.Reader{{Kernel: k, Scale: 1}})
	if err != nil {
		t.Fatal(err)
	}
	f.left = 1
	if _, err := e.Fold(2, 0); !errors.Is(err, fault) {
		t.Errorf("the factorization of a fold fails: got %v", err)
	}
}

// BenchmarkEliminate works out the order and all losses: of the hidden units of a SwiGLU of a language model of 135 M
// parameters and of BERT-base, and of the channels between two convolutions.
func BenchmarkEliminate(b *testing.B) {
	algebra, err := linalg.Open(provisiontest.Need(b, provision.OpenBLAS))
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range []decomp.Shape{
		{Out: 576, In: 1536, Groups: 1},
		{Out: 768, In: 3072, Groups: 1},
		{Out: 256, In: 256, Window: []int{3, 3}, Groups: 1},
	} {
		k, m := decaying(algebra, s, true)
		axis := decomptest.Axis{Units: s.In, Readers: []decomp.Reader{{Kernel: k, Metric: m, Scale: 1}}}
		b.Run(fmt.Sprint(s), func(b *testing.B) {
			for b.Loop() {
				if _, err := decomp.Eliminate(algebra, axis.Units, axis.Readers); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint(s, " plain"), func(b *testing.B) { // one downdate of rank one after the other: the order only
			for b.Loop() {
				if _, err := decomptest.PlainOrder(algebra, axis); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
