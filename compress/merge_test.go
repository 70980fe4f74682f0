package compress

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// bottlenecks is a network in which a narrow pointwise convolution is followed by a wide one with nothing between.
func bottlenecks() *testmodels.Builder {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Conv(b.Input("x", tensor.Float32, "N", 12, 6, 5), 12, 40, []int{1, 1})
	x = b.Conv(x, 40, 36, []int{1, 1})
	b.Conv(b.Node("Relu", []string{x}), 36, 10, []int{1, 1})
	b.Output(b.Rename("y"), tensor.Float32, "N", 10, 6, 5)
	return b
}

// TestMerged wants neighbouring factors merged, the savings told and the counts of the result to be those of the file;
// with a site kept out, its node stays.
func TestMerged(t *testing.T) {
	needRuntime(t)
	for _, kept := range []bool{false, true} {
		o := Options{Targets: []Target{share(MACs, 0.6)}, Source: drawn(64, "x", 12, 6, 5), CalibSamples: 48, NoRefit: true, RankMultiple: 1}
		if kept {
			o.Select.Keep, o.Targets = []string{"Conv_2"}, []Target{share(MACs, 0.75)}
		}
		r, err := Run(context.Background(), in(t), built(t, bottlenecks()), to(t, o))
		if err != nil {
			t.Fatal(err)
		}
		if kept {
			if len(r.Merged) != 0 {
				t.Errorf("merged %+v with a site that is to be kept", r.Merged)
			}
			continue
		}
		macs, params := r.Input.MACs, r.Input.Params
		for _, s := range r.Sites {
			macs, params = macs-s.MACsBefore+s.MACsAfter, params-s.ParamsBefore+s.ParamsAfter
		}
		if len(r.Merged) == 0 {
			t.Fatalf("nothing was merged: %+v", r.Sites)
		}
		for _, m := range r.Merged {
			if m.MACs <= 0 || m.Params <= 0 || !strings.Contains(m.Node, "+") || m.First == "" || m.Second == "" {
				t.Errorf("merged %+v", m)
			}
			macs, params = macs-m.MACs, params-m.Params
		}
		if r.Output.MACs != macs || r.Output.Params != params {
			t.Errorf("the result needs %d MACs and %d parameters, sites and merged nodes make %d and %d", r.Output.MACs, r.Output.Params, macs, params)
		}
		if v := r.Verification.Outputs[0]; v.SNR == nil || *v.SNR < 3 {
			t.Errorf("%+v", v)
		}
	}
}
