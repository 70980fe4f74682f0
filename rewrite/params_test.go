package rewrite_test

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestNewParams holds the count against the tensors that Replace really adds, for every
// site of the zoo.
func TestNewParams(t *testing.T) {
	sites := 0
	for _, c := range testmodels.All() {
		m := testkit.Zoo(t, c.Name)
		all, _ := linear(t, m)
		patches := patchAll(t, m, all, 1)
		for i := range all {
			var want int64
			for _, w := range patches[i].Weights {
				want += int64(w.Len())
			}
			if got := all[i].NewParams(factor(t, &all[i], 1)); got != want {
				t.Errorf("%s: node %s: NewParams = %d, Replace adds %d", c.Name, all[i].Name, got, want)
			}
			sites++
		}
	}
	if sites == 0 {
		t.Error("the zoo has no sites")
	}
}

// TestNewParamsCountsZeros: the factors of a 5×7 Gemm before opset 11 at rank 1 need a
// zero beside their 5 + 7 weights.
func TestNewParamsCountsZeros(t *testing.T) {
	for name, want := range map[string]int64{"gemm_opset9": 13, "gemm_trans_b": 12} {
		m := testkit.Zoo(t, name)
		sites, _, err := rewrite.Sites(m, infer(m))
		if err != nil || len(sites) != 1 {
			t.Fatalf("%s: %d sites, %v", name, len(sites), err)
		}
		if got := sites[0].NewParams(factor(t, &sites[0], 1)); got != want {
			t.Errorf("%s: %d new parameters, want %d", name, got, want)
		}
	}
}

// TestShiftParams holds the growth by a shift against the size of the new model.
func TestShiftParams(t *testing.T) {
	grown := 0
	for _, c := range biasCases() {
		m, s := c.one(t)
		want := int64(0)
		if c.place != rewrite.BiasNone {
			p, err := rewrite.Replace(m, s, shiftedBy(t, s, ramp(s.Kernel.Out)), graph.NewNameSet(m))
			if err != nil {
				t.Fatal(err)
			}
			small, err := rewrite.Apply(m, []rewrite.Patch{p}, rewrite.ApplyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want = rewrite.MeasureCosts(small, infer(small)).Params - rewrite.MeasureCosts(m, infer(m)).Params
		}
		if got := s.ShiftParams(); got != want {
			t.Errorf("%s: ShiftParams = %d, the model grows by %d", c.name, got, want)
		}
		if want > 0 {
			grown++
		}
		if (want == 0) != (c.place != rewrite.BiasGrows) {
			t.Errorf("%s: the model grows by %d, but the place is %d", c.name, want, c.place)
		}
	}
	if grown == 0 {
		t.Error("no case grows")
	}
}
