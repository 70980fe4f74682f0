package rewrite_test

import (
	"math/rand/v2"
	"slices"
	"testing"

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
