package refit

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestGoesOn: a refit that goes on from any site of another one has its outcomes to the bit, and solves no site again.
func TestGoesOn(t *testing.T) {
	lib := orttest.Open(t)
	branches, _ := shortcutModel(t, true, true, true)
	for _, c := range []struct {
		name  string
		model *onnxio.Model
		src   memory
	}{
		{"convolutions", testkit.Zoo(t, "cnn"), sitetest.Draws(32, "image", 0.2, 3, 16, 16)},
		{"shortcut", branches, sitetest.Draws(48, "x", 0.3, 4, 6, 6)},
		{"transformer", testkit.Zoo(t, "transformer"), texts(48)},
	} {
		t.Run(c.name, func(t *testing.T) {
			sites := sitetest.Sites(t, c.model, c.src[0])
			ranks := halves(sites)
			ranks[0], ranks[len(ranks)-1] = 0, 0 // dense ones: the first is left, the last is solved
			choices := choose(t, sites, ranks...)
			var solved atomic.Int32
			for i := range choices {
				m, own := &choices[i].Method, choices[i].Method.Refit
				m.Refit = func(b linalg.Backend, k decomp.Kernel, metric decomp.Metric, start decomp.Chain) (decomp.Chain, error) {
					solved.Add(1)
					return own(b, k, metric, start)
				}
			}
			var steps []Walked
			how := Options{Batch: 4, Threads: 2, Keep: func(w Walked) error {
				steps = append(steps, w)
				return nil
			}}
			want := refit(t, lib, c.model, choices, c.src, how)
			if len(steps) != len(sites) || solved.Load() == 0 {
				t.Fatalf("%d of %d sites were kept, %d solved", len(steps), len(sites), solved.Load())
			}
			before := math.Inf(1)
			for _, at := range []int{0, len(steps) / 2, len(steps) - 2, len(steps) - 1} {
				solved.Store(0)
				got := refit(t, lib, c.model, choices, c.src, Options{Batch: 4, Threads: 1, From: steps[at]})
				same(t, got, want)
				if got.Fit != want.Fit || got.Held != want.Held {
					t.Errorf("from site %d: %d and %d samples, want %d and %d", at+1, got.Fit, got.Held, want.Fit, want.Held)
				}
				if n := float64(solved.Load()); n > before || at == len(steps)-1 && n != 0 {
					t.Errorf("from site %d on %g are solved, %g from the one before", at+1, n, before)
				}
				before = float64(solved.Load())
			}
		})
	}
}

// texts are samples of eight tokens.
func texts(n int) memory {
	r := rand.New(rand.NewPCG(3, 4))
	var out memory
	for range n {
		var tokens []int64
		for range 8 {
			tokens = append(tokens, r.Int64N(32))
		}
		out = append(out, samples.Sample{Inputs: map[string]tensor.Dense{"tokens": tensor.FromInt64([]int{8}, tokens)}})
	}
	return out
}

// TestGoesOnFromOthers: outcomes of other sites, and such as do not fit, are refused, and an error in keeping them is the refit's.
func TestGoesOnFromOthers(t *testing.T) {
	m, _ := shortcutModel(t, true, false, true)
	src := sitetest.Draws(32, "x", 0.3, 4, 6, 6)
	choices := choose(t, sitetest.Sites(t, m, src[0]), 2, 2, 2, 2)
	var all Walked
	run := func(o Options) error {
		_, err := Run(t.Context(), orttest.Open(t), m, choices, src, testkit.Count(len(src)), o)
		return err
	}
	full := errors.New("the disk is full")
	if err := run(Options{Batch: 4, Keep: func(w Walked) error { all = w; return nil }}); err != nil {
		t.Fatal(err)
	}
	if err := run(Options{Batch: 4, Keep: func(Walked) error { return full }}); !errors.Is(err, full) {
		t.Errorf("where nothing can be kept: %v", err)
	}
	for want, change := range map[string]func(*Outcome){
		"is of node":               func(o *Outcome) { o.Site = "other" },
		"without factors":          func(o *Outcome) { o.Kept, o.Chain = true, nil },
		"holds 1 weights":          func(o *Outcome) { o.Kept, o.Chain[0].Kernel.Weights = true, []float64{1} },
		"does not fit":             func(o *Outcome) { o.Kept, o.Chain[0].Axes = true, nil },
		"has a shift of 1":         func(o *Outcome) { o.Kept, o.Chain[1].Shift = true, []float64{1} },
		"computes 2 channels":      func(o *Outcome) { o.Kept, o.Chain = true, o.Chain[:1] },
		"outcomes of 9 sites, whe": nil,
	} {
		from := Walked{Fit: all.Fit, Held: all.Held, Sites: []Outcome{all.Sites[0]}}
		if from.Sites[0].Chain = append(decomp.Chain{}, choices[0].Chain...); change == nil {
			from.Sites = make([]Outcome, 9)
		} else {
			change(&from.Sites[0])
		}
		if err := run(Options{Batch: 4, From: from}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
