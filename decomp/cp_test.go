package decomp_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func by(t testing.TB, name string, k decomp.Kernel, m decomp.Metric) decomp.Spectrum {
	t.Helper()
	s, err := method(t, name).Factor(linalg.Gonum(), k, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// peerKernel is the kernel of testdata/peer.py.
func peerKernel() decomp.Kernel {
	k := decomp.Kernel{Shape: decomp.Shape{Out: 24, In: 20, Window: []int{3, 3}, Groups: 1}}
	for n := range int(k.Params()) {
		o, c, i, j := float64(n/180), float64(n/9%20), float64(n/3%3), float64(n%3)
		k.Weights = append(k.Weights, math.Sin(0.7*(o+1)*(c+2))*math.Exp(-0.1*(o+c))*math.Cos(i+0.5*j*o)+math.Cos(o*i+0.3*c*j)/(1+i+j+0.2*o))
	}
	return k
}

// TestTensorLyErrors wants errors no larger than those that TensorLy reaches on the same kernel (testdata/peer.py).
func TestTensorLyErrors(t *testing.T) {
	text, err := os.ReadFile("testdata/peer.json")
	if err != nil {
		t.Fatal(err)
	}
	var peers []struct {
		Method string
		Rank   decomp.Rank
		Error  float64
	}
	if err := json.Unmarshal(text, &peers); err != nil {
		t.Fatal(err)
	}
	spectra := map[string]decomp.Spectrum{}
	for _, p := range peers {
		if spectra[p.Method] == nil {
			spectra[p.Method] = by(t, p.Method, peerKernel(), decomp.Metric{})
		}
		s := spectra[p.Method]
		if got := math.Sqrt(loss(t, s, p.Rank) / s.Energy()); got > 1.001*p.Error {
			t.Errorf("%s at rank %v: error %.6f, TensorLy's is %.6f", p.Method, p.Rank, got, p.Error)
		}
	}
}

// TestBorderRank factors tensors of rank 3 and more that terms of rank 2 approach without limit, ever larger and
// cancelling ever more of each other. Their norms must stay bounded, and the loss near the infimum of 0.
func TestBorderRank(t *testing.T) {
	for name, k := range map[string]decomp.Kernel{
		"cp-window": {Shape: decomp.Shape{Out: 2, In: 2, Window: []int{2}, Groups: 1}},
		"cp":        {Shape: decomp.Shape{Out: 2, In: 2, Window: []int{2, 2}, Groups: 1}},
	} {
		k.Weights = make([]float64, k.Params())
		for i := 1; i < len(k.Weights); i *= 2 { // every mode at 0 but one
			k.Weights[i] = 1
		}
		s := by(t, name, k, decomp.Metric{})
		c, err := s.Chain(decomp.Rank{2})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if size := decomptest.Terms(c); !(size <= 150*s.Energy()) {
			t.Errorf("%s: Σ‖term‖² is %g for a tensor of energy %g", name, size, s.Energy())
		}
		if got := loss(t, s, decomp.Rank{2}); got > 0.05*s.Energy() {
			t.Errorf("%s: loss %g of %g", name, got, s.Energy())
		}
	}
}

// TestTermsDoNotCancel: of a kernel that is no small toy, the terms are not much larger together than it is.
func TestTermsDoNotCancel(t *testing.T) {
	k := peerKernel()
	s := decomptest.Random(17, k.Shape)
	for _, name := range []string{"cp", "cp-window"} {
		m := method(t, name)
		decomptest.TermsHold(t, linalg.Gonum(), m, decomptest.Specimen{Name: "peer", Kernel: k}, 6.05)
		decomptest.TermsHold(t, linalg.Gonum(), m, decomptest.Specimen{Name: "random", Kernel: s.Kernel}, 6.05)
	}
}

// TestCPFindsTerms wants sums of a few random terms found again, with a metric and without.
func TestCPFindsTerms(t *testing.T) {
	const terms = 3
	for _, name := range []string{"cp", "cp-window"} {
		s := decomptest.Random(9, decomp.Shape{Out: 10, In: 8, Window: []int{3, 3}, Groups: 1})
		r := rand.New(rand.NewPCG(5, 1))
		clear(s.Kernel.Weights)
		for range terms {
			vectors := [][]float64{}
			for _, n := range []int{10, 8, 3, 3} {
				v := make([]float64, n)
				for i := range v {
					v[i] = r.NormFloat64()
				}
				vectors = append(vectors, v)
			}
			for i := range s.Kernel.Weights {
				s.Kernel.Weights[i] += vectors[0][i/72] * vectors[1][i/9%8] * vectors[2][i/3%3] * vectors[3][i%3]
			}
		}
		for _, m := range []decomp.Metric{{}, s.Metric} {
			spectrum := by(t, name, s.Kernel, m)
			if got := loss(t, spectrum, decomp.Rank{terms}); got > 1e-3*spectrum.Energy() {
				t.Errorf("%s: %d terms leave %g of themselves", name, terms, got/spectrum.Energy())
			}
		}
	}
}

// TestCPRanksStandAlone: what is found at a rank does not depend on what was asked before.
func TestCPRanksStandAlone(t *testing.T) {
	s := decomptest.Random(11, decomp.Shape{Out: 20, In: 16, Window: []int{3, 3}, Groups: 1})
	for _, name := range []string{"cp", "cp-window"} {
		for _, m := range []decomp.Metric{{}, s.Metric} {
			ranks := []decomp.Rank{{2}, {9}, {40}, {41}} // of which the work is light and not
			all := by(t, name, s.Kernel, m)
			for _, r := range ranks {
				loss(t, all, r)
			}
			for _, r := range ranks {
				alone, err := by(t, name, s.Kernel, m).Chain(r)
				if err != nil {
					t.Fatal(err)
				}
				after, err := all.Chain(r)
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range alone {
					if !slices.Equal(f.Kernel.Weights, after[i].Kernel.Weights) {
						t.Errorf("%s at rank %v: factor %d depends on the ranks that were asked before", name, r, i)
					}
				}
			}
		}
	}
}

func TestCPRanks(t *testing.T) {
	for _, name := range []string{"cp", "cp-window"} {
		m := method(t, name)
		for _, s := range []decomp.Shape{
			{Out: 64, In: 64, Window: []int{3, 3}, Groups: 1},
			{Out: 16, In: 3, Window: []int{3, 3}, Groups: 1},
			{Out: 512, In: 512, Window: []int{3, 3}, Groups: 1},
			{Out: 32, In: 64, Window: []int{3, 3}, Groups: 16},
			{Out: 8, In: 8, Window: []int{3, 1, 5}, Groups: 2},
		} {
			ranks := m.Ranks(s, 1)
			if len(ranks) == 0 || len(ranks) > 16 || !slices.IsSortedFunc(ranks, slices.Compare[decomp.Rank]) {
				t.Errorf("%s, %v: ranks %v", name, s, ranks)
			}
			for _, r := range ranks[:len(ranks)-1] {
				if m.Factors(s, r).Params() >= s.Params() {
					t.Errorf("%s, %v: rank %v saves nothing", name, s, r)
				}
			}
			if many := max(s.Out, s.In) < 512; many != (len(ranks) > 8) && s.Groups == 1 {
				t.Errorf("%s, %v: %d ranks, wanted few for a large kernel and many for a small one", name, s, len(ranks))
			}
			for _, r := range m.Ranks(s, 8) {
				if r[0]%8 != 0 {
					t.Errorf("%s, %v: rank %v is no multiple of 8", name, s, r)
				}
			}
		}
	}
}

// TestTensorMethodsRefuse: shapes for which a chain is that of another method, or nothing, are refused with the reason.
func TestTensorMethodsRefuse(t *testing.T) {
	for _, c := range []struct {
		method string
		window []int
		want   string
	}{
		{"cp", nil, "svd"},
		{"cp", []int{1, 1}, "svd"},
		{"cp", []int{3}, "cp-window"},
		{"cp", []int{1, 5}, "cp-window"},
		{"cp-window", []int{1, 1}, "svd"},
		{"tt", []int{1}, "svd"},
		{"tt", []int{3, 1}, "tucker2"},
		{"cp", []int{3, 3}, "no input channels to mix"},
		{"cp-window", []int{3}, "no input channels to mix"},
		{"tt", []int{3, 3}, "no input channels to mix"},
	} {
		s := decomp.Shape{Out: 4, In: 6, Window: c.window, Groups: 2}
		if strings.HasPrefix(c.want, "no input") {
			s.In = 2
		}
		m := method(t, c.method)
		if err := m.Accepts(s); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s of %v: got %v, wanted %q", c.method, s, err, c.want)
		}
		k := decomp.Kernel{Shape: s, Weights: make([]float64, s.Params())}
		if _, err := m.Factor(linalg.Gonum(), k, decomp.Metric{}); err == nil {
			t.Errorf("%s of %v: factored what it does not accept", c.method, s)
		}
		if m.Ranks(s, 1) != nil || m.Near(s, decomp.Rank{1}, 1, 1) != nil || m.Factors(s, decomp.Rank{1}) != nil {
			t.Errorf("%s of %v: has ranks", c.method, s)
		}
	}
}

// TestSubnormalKernel: weights so small that no term of them is left are refused or zero, never NaN.
func TestSubnormalKernel(t *testing.T) {
	k := decomp.Kernel{Shape: decomp.Shape{Out: 3, In: 3, Window: []int{2, 2}, Groups: 1}, Weights: make([]float64, 36)}
	for i := range k.Weights {
		k.Weights[i] = 5e-324 * float64(i%3)
	}
	for _, name := range []string{"cp", "cp-window", "tt"} {
		m := method(t, name)
		s := by(t, name, k, decomp.Metric{})
		for _, r := range m.Ranks(k.Shape, 1) {
			c, err := s.Chain(r)
			if refused := (*decomp.RefusedError)(nil); errors.As(err, &refused) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range c {
				if err := f.Kernel.Check(); err != nil {
					t.Errorf("%s at rank %v: %v", name, r, err)
				}
			}
		}
	}
}

func TestTensorRefitOfAnotherChain(t *testing.T) {
	s := decomptest.Random(3, decomp.Shape{Out: 6, In: 4, Window: []int{3, 3}, Groups: 2})
	for name, r := range map[string]decomp.Rank{"cp": {2}, "cp-window": {2}, "tt": {2, 2, 2}} {
		m := method(t, name)
		good, err := by(t, name, s.Kernel, s.Metric).Chain(r)
		if err != nil {
			t.Fatal(err)
		}
		other := slices.Clone(good)
		other[1].Kernel.Groups = 1
		short := slices.Clone(good)
		short[0].Kernel.Weights = short[0].Kernel.Weights[1:]
		for what, start := range map[string]decomp.Chain{"none": nil, "one factor": good[:1], "other groups": other, "short": short} {
			if _, err := m.Refit(linalg.Gonum(), s.Kernel, s.Metric, start); err == nil {
				t.Errorf("%s: a chain of another kind (%s) was refitted", name, what)
			}
		}
	}
}
