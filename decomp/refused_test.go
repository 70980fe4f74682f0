package decomp_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// failing is gonum, whose n-th factorization returns an error instead of an answer.
type failing struct {
	linalg.Backend
	left int // factorizations until then
	err  error
}

func (f *failing) fails() bool {
	f.left--
	return f.left == 0
}

func (f *failing) SymEig(a *linalg.Matrix) ([]float64, *linalg.Matrix, error) {
	if f.fails() {
		return nil, nil, f.err
	}
	return f.Backend.SymEig(a)
}

func (f *failing) SVD(a *linalg.Matrix) (*linalg.Matrix, []float64, *linalg.Matrix, error) {
	if f.fails() {
		return nil, nil, nil, f.err
	}
	return f.Backend.SVD(a)
}

func (f *failing) SolveSPD(a, b *linalg.Matrix) (*linalg.Matrix, error) {
	if f.fails() {
		return nil, f.err
	}
	return f.Backend.SolveSPD(a, b)
}

func (f *failing) Cholesky(a *linalg.Matrix) (*linalg.Matrix, error) {
	if f.fails() {
		return nil, f.err
	}
	return f.Backend.Cholesky(a)
}

func (f *failing) InverseSPD(a *linalg.Matrix) (*linalg.Matrix, error) {
	if f.fails() {
		return nil, f.err
	}
	return f.Backend.InverseSPD(a)
}

// work factors, asks for a rank and refits to it, until an error.
func work(b linalg.Backend, m decomp.Method, s decomptest.Specimen, r decomp.Rank, start decomp.Chain) (loss float64, err error) {
	spectrum, err := m.Factor(b, s.Kernel, s.Metric)
	if err != nil {
		return 0, err
	}
	if loss, err = spectrum.Loss(r); err != nil {
		return 0, err
	}
	if _, err := spectrum.Chain(r); err != nil {
		return 0, err
	}
	_, err = m.Refit(b, s.Kernel, s.Metric, start)
	return loss, err
}

// Whatever factorization fails on the way: where its numbers have no answer, the method answers all the same or refuses
// the rank, and any other error comes out as it is.
func TestErrorsOfFactorizations(t *testing.T) {
	fault := errors.New("the library is gone")
	numerical := &linalg.NumericalError{What: "a test", Err: linalg.ErrNotConverged}
	plain := decomptest.Random(5, decomp.Shape{Out: 6, In: 5, Window: []int{3, 2}, Groups: 1})
	unweighed := plain
	unweighed.Metric = decomp.Metric{}
	for _, m := range decomp.Methods() {
		for name, s := range map[string]decomptest.Specimen{"under a metric": plain, "without": unweighed} {
			if m.Accepts(s.Kernel.Shape) != nil {
				t.Fatalf("%s does not accept %v", m.Name, s.Kernel.Shape)
			}
			ranks := m.Ranks(s.Kernel.Shape, 1)
			r := ranks[len(ranks)/2]
			spectrum, err := m.Factor(linalg.Gonum(), s.Kernel, s.Metric)
			if err != nil {
				t.Fatal(err)
			}
			start, err := spectrum.Chain(r)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; ; n += 1 + n/8 {
				b := &failing{Backend: linalg.Gonum(), left: n, err: fault}
				_, err := work(b, m, s, r, start)
				if b.left > 0 {
					break // no more factorizations
				}
				if !errors.Is(err, fault) {
					t.Errorf("%s %s: a fault in factorization %d gives the error %v", m.Name, name, n, err)
				}
				b = &failing{Backend: linalg.Gonum(), left: n, err: numerical}
				loss, err := work(b, m, s, r, start)
				var refused *decomp.RefusedError
				if err != nil && !(errors.As(err, &refused) && errors.Is(err, linalg.ErrNotConverged)) {
					t.Errorf("%s %s: where factorization %d has no answer, the error is %v", m.Name, name, n, err)
				}
				if err == nil && !(loss >= 0 && loss <= spectrum.Energy()*(1+1e-9)) || math.IsInf(loss, 0) {
					t.Errorf("%s %s: where factorization %d has no answer, the loss is %g of %g", m.Name, name, n, loss, spectrum.Energy())
				}
			}
		}
	}
}

// Rounding in float32 leaves a second moment of few samples with eigenvalues below zero; no factors grow along them.
func TestMomentsBelowZero(t *testing.T) {
	for _, s := range decomptest.Degenerate() {
		if !strings.HasPrefix(s.Name, "degenerate moment with eigenvalues below zero") {
			continue
		}
		for _, a := range s.Metric.In {
			for i, below := 0, 1e-7*a.MaxAbs(); i < a.Rows; i++ {
				a.Data[i*a.Cols+i] -= below
			}
		}
		for _, m := range decomp.Methods() {
			if m.Accepts(s.Kernel.Shape) != nil {
				continue
			}
			spectrum, err := m.Factor(linalg.Gonum(), s.Kernel, s.Metric)
			if err != nil {
				t.Fatalf("%s, %s: %v", s.Name, m.Name, err)
			}
			for _, r := range m.Ranks(s.Kernel.Shape, 1) {
				chain, err := spectrum.Chain(r)
				if refused := (*decomp.RefusedError)(nil); errors.As(err, &refused) {
					continue
				}
				if err != nil {
					t.Fatalf("%s, %s: %v", s.Name, m.Name, err)
				}
				whole, err := chain.Compose(linalg.Gonum(), s.Kernel.Shape)
				if err != nil {
					t.Fatal(err)
				}
				got, kernel := 0., 0.
				for i, v := range whole.Weights {
					got, kernel = math.Hypot(got, v), math.Hypot(kernel, s.Kernel.Weights[i])
				}
				if !(got <= 20*kernel) {
					t.Errorf("%s, %s: at rank %v the kernel is %g times as large as it was", s.Name, m.Name, r, got/kernel)
				}
			}
		}
	}
}
