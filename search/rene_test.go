package search

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// mixed returns sites of n rungs each, with falling losses.
func mixed(seed uint64, count, n int) []mixture {
	r := rand.New(rand.NewPCG(seed, 5))
	out := make([]mixture, count)
	for k := range out {
		m := mixture{name: "conv"}
		weight, pace := 1+9*r.Float64(), 2+6*r.Float64()
		for i := range n {
			share := float64(i+1) / float64(n)
			m.rungs, m.share = append(m.rungs, n-1-i), append(m.share, share)
			m.loss = append(m.loss, weight*math.Exp(-pace*share)*(1+0.1*r.Float64()))
		}
		out[k] = m
	}
	return out
}

// TestReneGradient compares with central differences.
func TestReneGradient(t *testing.T) {
	sites := mixed(1, 6, 12)
	sites[2].share = make([]float64, 12) // a site at which nothing costs anything
	set := reneSettings{gamma: reneGamma, beta: reneBeta, scale: 7}
	r := rand.New(rand.NewPCG(2, 2))
	candidates := make([][]int, len(sites))
	for k := range sites {
		candidates[k] = window{low: k % 3, high: 11 - k%2, spacing: 1 + k%3}.candidates()
	}
	logits, slope, scratch := zeros(candidates), zeros(candidates), zeros(candidates)
	for _, a := range logits {
		for n := range a {
			a[n] = r.NormFloat64()
		}
	}
	set.gradient(sites, candidates, logits, slope)
	const h = 1e-5
	for k, a := range logits {
		for n := range a {
			at := a[n]
			a[n] = at + h
			up := set.gradient(sites, candidates, logits, scratch)
			a[n] = at - h
			down := set.gradient(sites, candidates, logits, scratch)
			a[n] = at
			if numeric := (up - down) / (2 * h); math.Abs(numeric-slope[k][n]) > 1e-8 {
				t.Errorf("site %d candidate %d: gradient %g, by differences %g", k, n, slope[k][n], numeric)
			}
		}
	}
}

// TestReneLoss works Eq. 5 to 7 of arXiv 2409.03555 out by hand: one site, two candidates of equal probability.
func TestReneLoss(t *testing.T) {
	site := mixture{name: "conv", rungs: []int{1, 0}, share: []float64{0.25, 0.5}, loss: []float64{3, 1}}
	set := reneSettings{gamma: 0.4, beta: 0.8, scale: 1}
	got := set.gradient([]mixture{site}, [][]int{{0, 1}}, [][]float64{{0, 0}}, [][]float64{{0, 0}})
	if want := 2 * 0.4 * math.Pow(0.75, 0.8); math.Abs(got-want) > 1e-15 {
		t.Errorf("loss %g, wanted %g", got, want)
	}
}

// TestReneStages follows Fig. 3 of arXiv 2409.03555.
func TestReneStages(t *testing.T) {
	w := window{low: 100, high: 800, spacing: 100}
	if got := w.candidates(); !slices.Equal(got, []int{100, 200, 300, 400, 500, 600, 700, 800}) {
		t.Errorf("candidates %v", got)
	}
	if w = w.around(200, 800); w != (window{low: 150, high: 250, spacing: 10}) {
		t.Errorf("second stage %v", w)
	}
	if w = w.around(240, 800); w != (window{low: 235, high: 245, spacing: 1}) {
		t.Errorf("third stage %v", w)
	}
	if w = w.around(242, 800); w != (window{low: 242, high: 242, spacing: 0}) || !slices.Equal(w.candidates(), []int{242}) {
		t.Errorf("after the last stage %v", w)
	}
	if w := (window{low: 0, high: 799, spacing: 100}).around(799, 799); w != (window{low: 749, high: 799, spacing: 10}) {
		t.Errorf("at the end %v", w)
	}
	for rungs, spacing := range map[int]int{1: 1, 9: 1, 99: 1, 100: 10, 200: 10, 999: 10, 1000: 100} {
		if w := firstWindow(rungs); w.spacing != spacing {
			t.Errorf("%d rungs: first spacing %d, wanted %d", rungs, w.spacing, spacing)
		}
	}
}

// TestReneGamma shows why a budget is met through β: γ only scales the steps.
func TestReneGamma(t *testing.T) {
	p := &problem{}
	sites := mixed(3, 20, 200)
	run := func(gamma, beta, rate float64) choice {
		x, err := p.reneRun(sites, reneSettings{gamma: gamma, beta: beta, rate: rate, scale: 50})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	rank := func(x choice) (sum int) {
		for _, i := range x {
			sum += 200 - i
		}
		return sum
	}
	paper := run(reneGamma, reneBeta, reneRate)
	if got := run(4*reneGamma, reneBeta, reneRate/4); !slices.Equal(got, paper) {
		t.Errorf("ranks %v with 4γ in steps of a quarter, %v with γ", got, paper)
	}
	few, many := run(reneGamma, 4*reneBeta, reneRate), run(reneGamma, reneBeta/4, reneRate)
	if !(rank(few) < rank(paper) && rank(paper) < rank(many)) {
		t.Errorf("ranks add up to %d, %d, %d for falling β", rank(few), rank(paper), rank(many))
	}
}

// TestReneNotFinite wants an error, not the smallest ranks, when the logits blow up.
func TestReneNotFinite(t *testing.T) {
	p := &problem{}
	for name, set := range map[string]reneSettings{
		"rate": {gamma: reneGamma, beta: reneBeta, rate: math.Inf(1), scale: 1},
		"beta": {gamma: reneGamma, beta: math.NaN(), rate: reneRate, scale: 1},
		"loss": {gamma: reneGamma, beta: reneBeta, rate: reneRate, scale: 0},
	} {
		if x, err := p.reneRun(mixed(4, 5, 20), set); !errors.Is(err, errNotFinite) {
			t.Errorf("%s: ranks %v, error %v", name, x, err)
		}
	}
}
