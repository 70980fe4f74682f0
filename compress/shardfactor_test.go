package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// inParts calibrates and factors a model in so many parts, and returns the options of a run with what came of it.
func inParts(t *testing.T, m *onnxio.Model, o Options, of int) Options {
	t.Helper()
	ctx, env, folder := context.Background(), in(t), t.TempDir()
	o.Stats = filepath.Join(folder, "stats.ocs")
	var sums []string
	for i := range of {
		path := filepath.Join(folder, fmt.Sprintf("%d.ocs", i))
		if _, err := CalibratePart(ctx, env, m, o, ShardPart{i + 1, of}, path); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, path)
	}
	if _, err := MergeParts(ctx, env, sums, o.Stats); err != nil {
		t.Fatal(err)
	}
	sites := 0
	for i := range of {
		path := filepath.Join(folder, fmt.Sprintf("%d.oco", i))
		done, err := FactorPart(ctx, env, m, o, ShardPart{i + 1, of}, path)
		if err != nil || done.Found {
			t.Fatalf("part %d: %+v, %v", i+1, done, err)
		}
		sites += done.Sites
		o.Offers = append(o.Offers, path)
	}
	if sites == 0 {
		t.Error("no part has a node")
	}
	return o
}

// TestFactorParts: with what parts have factored, a run gives the bytes that it gives without, and the plan is that of one without a refit.
func TestFactorParts(t *testing.T) {
	needRuntime(t)
	for _, c := range []struct {
		name    string
		m       *onnxio.Model
		o       Options
		parts   []int
		noRefit bool
	}{
		{"widths beside chains", thin(t), Options{Source: images(40), CalibSamples: 32, Probes: 1, Methods: []string{"svd", "tucker2", Width}, Targets: []Target{share(Bytes, 0.7)}}, []int{3}, true},
		{"with a refit", zoo(t, "cnn"), Options{Source: images(40), CalibSamples: 24, Methods: []string{"svd", "spatial", "cp"}, Targets: []Target{half(MACs)}}, []int{4}, false},
		{"in several groups", wide(t, 2), Options{Source: drawn(40, "x", 12, 1, 1), CalibSamples: 24, Memory: 56 << 20, Methods: []string{"svd"}, Targets: []Target{half(MACs)}}, []int{2}, true},
	} {
		o := to(t, c.o)
		o.NoRefit = c.noRefit
		r, want := runTo(t, c.m, o)
		for _, parts := range c.parts {
			with := to(t, inParts(t, c.m, o.Options, parts))
			if _, got := runTo(t, c.m, with); !bytes.Equal(got, want) {
				t.Errorf("%s: %d parts give other bytes", c.name, parts)
			}
			plan, err := ChooseParts(context.Background(), in(t), c.m, with, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if want := PlanOf(r); c.noRefit && !reflect.DeepEqual(plan, want) {
				t.Errorf("%s: the plan is %+v, wanted %+v", c.name, plan, want)
			}
		}
	}
}

// TestFindingsSpare: what the parts have found is not found again.
func TestFindingsSpare(t *testing.T) {
	needRuntime(t)
	o := inParts(t, zoo(t, "cnn"), quick(Options{Source: images(40), CalibSamples: 24, Methods: []string{"svd", "spatial"}, Targets: []Target{half(MACs)}}), 2)
	w := factoredIn(t, in(t), zoo(t, "cnn"), o)
	if n := len(w.of.store.spectra); n > 0 {
		t.Errorf("%d kernels were factored again", n)
	}
	o.Offers = nil
	plain := factoredIn(t, in(t), zoo(t, "cnn"), o)
	if len(plain.of.store.spectra) == 0 {
		t.Error("without findings nothing was factored, so that this shows nothing")
	}
	told := func(o offer) string {
		text := fmt.Sprintf("%s: energy %v", o.site.Name, o.energy)
		for _, c := range slices.Concat(o.options, o.open) {
			text += fmt.Sprintf("; %s %d %d %v %v", c.key(), c.macs, c.params, c.loss, c.share)
		}
		return text
	}
	for k := range w.of.sites {
		got, want := w.of.sites[k], plain.of.sites[k]
		if got, want := told(got), told(want); got != want {
			t.Errorf("found before:\n%s\nwanted:\n%s", got, want)
		}
	}
}

// TestPartsOfFactoringRefused: parts that make no whole, or not this one, are named.
func TestPartsOfFactoringRefused(t *testing.T) {
	needRuntime(t)
	ctx, m := context.Background(), zoo(t, "cnn")
	o := quick(Options{Source: images(40), CalibSamples: 24, Methods: []string{"svd"}, Targets: []Target{half(MACs)}})
	whole := inParts(t, m, o, 3)
	choose := func(o Options) error {
		_, err := ChooseParts(ctx, in(t), m, to(t, o), t.TempDir())
		return err
	}
	spoiled := func(path string, change func(data []byte, findings int) []byte) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(data, bytes.Index(data, []byte(`{"Sites"`))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(data []byte, at int) []byte {
		data[at] ^= 1
		return data
	}
	again := func() {
		for i, path := range whole.Offers {
			if _, err := FactorPart(ctx, in(t), m, whole, ShardPart{i + 1, 3}, path); err != nil {
				t.Error(err)
			}
		}
	}
	a, b, c := whole.Offers[0], whole.Offers[1], whole.Offers[2]
	for _, x := range []struct {
		name   string
		change func(*Options)
		usage  bool
		want   []string
	}{
		{"missing", func(o *Options) { o.Offers = []string{a, c} }, true, []string{"missing: 2/3"}},
		{"doubled", func(o *Options) { o.Offers = []string{a, b, a, c} }, true, []string{"are both part 1/3"}},
		{"of another effort", func(o *Options) { o.Effort = "quick" }, true, []string{a, "another factoring: its effort is normal, wanted quick"}},
		{"a calibration", func(o *Options) { o.Offers = []string{o.Stats} }, true, []string{"no part of a factoring"}},
		{"no statistics", func(o *Options) { o.Stats = "" }, true, []string{"not the statistics"}},
		{"statistics that are not there", func(o *Options) { o.Stats += "x" }, true, []string{"are not there"}},
		{"statistics of other samples", func(o *Options) { o.CalibSamples = 20 }, true, []string{"another calibration", "numbers of samples"}},
		{"the beginning", func(*Options) { spoiled(b, func(d []byte, _ int) []byte { return flip(d, len(offersMagic)+20) }) }, false, []string{b, "damaged"}},
		{"the findings", func(*Options) { spoiled(b, func(d []byte, at int) []byte { return flip(d, at+300) }) }, false, []string{b, "damaged", "part 2/3"}},
		{"cut", func(*Options) { spoiled(b, func(d []byte, at int) []byte { return d[:at+300] }) }, false, []string{b, "damaged", "part 2/3"}},
		{"the factors", func(o *Options) {
			for _, path := range o.Offers {
				spoiled(path, func(d []byte, _ int) []byte {
					for at := bytes.LastIndex(d, []byte(`]}`)) + 40; at < len(d); at += 8 {
						flip(d, at)
					}
					return d
				})
			}
		}, false, []string{"the factors of node", "damaged"}},
	} {
		o := whole
		o.Offers = slices.Clone(whole.Offers)
		x.change(&o)
		err := choose(o)
		testkit.WantError(t, err, x.want...)
		if usage := errors.As(err, new(*UsageError)); usage != x.usage {
			t.Errorf("%s: %v", x.name, err)
		}
		if !x.usage {
			again()
		}
	}
	if done, err := FactorPart(ctx, in(t), m, whole, ShardPart{1, 3}, a); err != nil || !done.Found {
		t.Errorf("a whole part is made again: %+v, %v", done, err)
	}
	if err := choose(whole); err != nil {
		t.Errorf("parts that were damaged and made again: %v", err)
	}
}

// TestPortions: every site and axis is in one part, and no part has more than the mean and one of them beyond.
func TestPortions(t *testing.T) {
	a, err := Analyse(context.Background(), thin(t), quick(Options{Methods: []string{"svd", "spatial", Width}}))
	if err != nil {
		t.Fatal(err)
	}
	for of := 1; of <= 9; of++ {
		sites, axes := make([]int, len(a.Sites)), make([]int, len(a.Axes))
		var work []float64
		all, largest := 0., 0.
		for i := range of {
			p, sum := a.portion(ShardPart{i + 1, of}), 0.
			for k := range sites {
				if w := a.factoringWork(&a.Sites[k]); p.has(k) {
					sites[k]++
					sum, largest = sum+w, max(largest, w)
				}
			}
			for k := range axes {
				if w := eliminationWork(&a.Axes[k]); p.hasAxis(k) {
					axes[k]++
					sum, largest = sum+w, max(largest, w)
				}
			}
			work = append(work, sum)
			all += sum
		}
		for _, n := range slices.Concat(sites, axes) {
			if n != 1 {
				t.Errorf("of %d parts %v have the sites, %v the axes", of, sites, axes)
				break
			}
		}
		if most := slices.Max(work); most > all/float64(of)+largest {
			t.Errorf("of %d parts one has %g, the mean is %g and the largest %g", of, most, all/float64(of), largest)
		}
	}
	if len(a.Axes) == 0 {
		t.Error("there are no axes, so that this shows less than it should")
	}
}

// TestHull: a point lies below the edge exactly if there is a price at which it is better than all that are known, or nothing is as cheap.
func TestHull(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		options := []option{{macs: 100}}
		for range r.IntN(9) {
			options = append(options, option{macs: r.Int64N(100), loss: float64(r.IntN(50))})
		}
		h := hullOf(options, func(c option) float64 { return float64(c.macs) })
		for range 20 {
			cost, loss := float64(r.IntN(100)), float64(r.IntN(50))+0.5
			best := false
			for step := range 1000 {
				price := math.Exp(float64(step-500) / 40)
				least := math.Inf(1)
				for _, c := range options {
					least = min(least, c.loss+price*float64(c.macs))
				}
				best = best || loss+price*cost < least-1e-9*(1+math.Abs(least))
			}
			if got := h.below(cost, loss); best && !got || got && !best && !h.near(cost, loss) {
				t.Fatalf("%v: %g at %g is below: %t, and best at a price: %t", h, loss, cost, got, best)
			}
		}
	}
}

// near tells whether a point is too close to the edge, or to its ends, for prices in steps to tell.
func (h hull) near(cost, loss float64) bool {
	return h.below(cost, loss) != h.below(cost, loss+1) || cost <= h[0][0]
}
