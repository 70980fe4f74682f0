package rewrite_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestTally: what is counted from widths alone is what the narrowed model needs, folds with shifts included.
func TestTally(t *testing.T) {
	for name := range axisNets() {
		t.Run(name, func(t *testing.T) { holdTally(t, axisNet(t, name, netBuilder(name))) })
	}
	for _, c := range testmodels.All() {
		t.Run(c.Name, func(t *testing.T) { holdTally(t, testkit.Zoo(t, c.Name)) })
	}
}

func holdTally(t *testing.T, m *onnxio.Model) {
	t.Helper()
	list, _ := axes(t, m)
	list = slices.DeleteFunc(list, func(a rewrite.Axis) bool { return len(a.Copied) > 0 || sharing(m, a) })
	before := rewrite.MeasureCosts(m, infer(m))
	for _, shifted := range []bool{false, true} {
		wanted := func(s *rewrite.Site) bool { return shifted && s.Bias() != rewrite.BiasNone }
		tally, err := rewrite.NewTally(m, infer(m), list, wanted)
		if err != nil {
			t.Fatal(err)
		}
		units := make([]int, len(list))
		for i := range list {
			units[i] = list[i].Units
		}
		if need := tally.At(units); need != (rewrite.Need{MACs: before.MACs, Params: before.Params, Bytes: before.Bytes}) {
			t.Errorf("with all units %+v, the model %d, %d and %d", need, before.MACs, before.Params, before.Bytes)
		}
		for seed := range uint64(4) {
			holdTallyAt(t, m, tally, list, seed, wanted)
		}
	}
}

// sharing tells whether something else needs the weight of a reader, whose fold is a constant of its own then.
func sharing(m *onnxio.Model, a rewrite.Axis) bool {
	return slices.ContainsFunc(a.Readers, func(p rewrite.Port) bool {
		alone := []rewrite.Site{*p.Site}
		rewrite.Settle(m, alone)
		return alone[0].WeightStays
	})
}

// holdValues: shapes of the values of a model are, narrowed, those of the narrower one, and so are the channels of its sites.
func holdValues(t *testing.T, m, small *onnxio.Model, list []rewrite.Narrowing) {
	t.Helper()
	before, after := infer(m), infer(small)
	known := map[string][]int{}
	g := graph.Of(m)
	for _, n := range g.Nodes() {
		if _, constant := g.Constant(n.Input(0)); constant || n.Op() == "Constant" {
			continue // a weight on its way
		}
		for _, v := range n.Outputs() {
			if shape, ok := before.Of(v); ok && v != "" {
				known[v] = shape
			}
		}
	}
	for v, shape := range rewrite.NarrowedValues(known, list) {
		if want, ok := after.Of(v); ok && !slices.Equal(shape, want) {
			t.Errorf("%s has the shape %v, narrowed %v, want %v", v, known[v], shape, want)
		}
	}
	sites, _ := linear(t, m)
	now, _ := linear(t, small)
	for i := range sites {
		s := &sites[i]
		at := slices.IndexFunc(now, func(k rewrite.Site) bool { return k.Name == s.Name })
		if at < 0 {
			t.Errorf("%s is no site any more", s.Name)
			continue
		}
		if out := len(rewrite.LeftOut(s, list)); out != now[at].Kernel.Out {
			t.Errorf("%s keeps %d outputs, has %v", s.Name, out, now[at].Kernel)
		}
		if in := len(rewrite.Left(s, list)); s.Kernel.Groups == 1 && in != now[at].Kernel.In {
			t.Errorf("%s keeps %d inputs, has %v", s.Name, in, now[at].Kernel)
		}
	}
}

// holdTallyAt narrows the axes to some widths, of which some are all units.
func holdTallyAt(t *testing.T, m *onnxio.Model, tally *rewrite.Tally, list []rewrite.Axis, seed uint64, wanted func(*rewrite.Site) bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 21))
	var narrowings []rewrite.Narrowing
	widths := make([]int, len(list))
	for i := range list {
		widths[i] = list[i].Units - r.IntN(2)*r.IntN(list[i].Units)
		narrowings = append(narrowings, rewrite.Narrowing{Axis: &list[i], Keep: slices.Sorted(slices.Values(r.Perm(list[i].Units)[:widths[i]]))})
	}
	folds := map[string]rewrite.Fold{}
	for name, s := range readers(slices.DeleteFunc(slices.Clone(narrowings), func(n rewrite.Narrowing) bool { return len(n.Keep) == n.Axis.Units })) {
		kernel, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		folds[name] = rewrite.Fold{Kernel: pickColumns(kernel, rewrite.Left(s, narrowings))}
		if wanted(s) {
			folds[name] = rewrite.Fold{Kernel: folds[name].Kernel, Shift: slices.Repeat([]float64{1}, s.Kernel.Out)}
		}
	}
	small := narrow(t, m, narrowings, folds)
	holdValues(t, m, small, narrowings)
	need, after := tally.At(widths), rewrite.MeasureCosts(small, infer(small))
	slack := int64(0) // the sizes of a Split whose parts stay equal
	for _, a := range list {
		for _, n := range a.Between {
			if n.Op() == "Split" {
				slack += int64(len(n.Outputs()))
			}
		}
	}
	if need.MACs != after.MACs || need.Params < after.Params || need.Params > after.Params+slack {
		t.Errorf("widths %v: %+v; the model needs %d MACs and %d parameters", widths, need, after.MACs, after.Params)
	}
}
