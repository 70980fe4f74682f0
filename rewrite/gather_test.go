package rewrite_test

import (
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// table starts a model that looks rows up in a table of 32×6 numbers.
func table(opset, ir int64, t tensor.Type, dims ...any) (b *testmodels.Builder, ids string) {
	b = testmodels.NewBuilder(1, opset, ir).Float(t)
	return b, b.Input("ids", tensor.Int64, dims...)
}

// TestGatherFullRank runs embeddings of all kinds, in full and at full rank.
func TestGatherFullRank(t *testing.T) {
	lib := orttest.Open(t)
	weight := func(b *testmodels.Builder) string { return b.Weight("table", 1, 32, 6) }
	for name, c := range map[string]func() *testmodels.Builder{
		"sentences": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N", "T")
			b.Node("Gather", []string{weight(b), ids})
			return done(b, "N", "T", 6)
		},
		"one word": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32)
			b.Node("Gather", []string{weight(b), ids})
			return done(b, 6)
		},
		"negative axis and indices": func() *testmodels.Builder {
			b, ids := table(11, 6, tensor.Float32, "N")
			ids = b.Node("Sub", []string{ids, b.Ints("rows", 16)})
			b.Node("Gather", []string{weight(b), ids}, graph.Int("axis", -2))
			return done(b, "N", 6)
		},
		"opset 9": func() *testmodels.Builder {
			b, ids := table(9, 4, tensor.Float32, "N", 3)
			b.Node("Gather", []string{weight(b), ids}, graph.Int("axis", 0))
			return done(b, "N", 3, 6)
		},
		"32-bit indices": func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			ids := b.Input("ids", tensor.Int32, "N", 3)
			b.Node("Gather", []string{weight(b), ids})
			return done(b, "N", 3, 6)
		},
		"float16": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float16, "N", 3)
			b.Node("Gather", []string{weight(b), ids})
			b.Output(b.Rename("y"), tensor.Float16, "N", 3, 6)
			return b
		},
		"float64": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float64, "N", 3)
			b.Node("Gather", []string{weight(b), ids})
			b.Output(b.Rename("y"), tensor.Float64, "N", 3, 6)
			return b
		},
		"transposed table": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N", 3)
			b.Node("Gather", []string{b.Node("Transpose", []string{b.Weight("table", 1, 6, 32)}), ids})
			return done(b, "N", 3, 6)
		},
		"tied": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N", 3)
			w := weight(b)
			x := b.Node("Gather", []string{w, ids})
			b.Node("MatMul", []string{x, b.Node("Transpose", []string{w})})
			return done(b, "N", 3, 32)
		},
		"two readers": func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N", 3)
			w := weight(b)
			other := b.Node("Mod", []string{ids, b.Ints("few", 5)})
			b.Node("Add", []string{b.Node("Gather", []string{w, ids}), b.Node("Gather", []string{w, other})})
			return done(b, "N", 3, 6)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := model(t, c())
			small, sites := fullRank(t, lib, m)
			if s := sites[0]; s.Op != "Gather" || s.Kernel.Out != 6 || s.Kernel.In != 32 || s.WeightStays || !s.Located || s.DenseMACs() != 0 {
				t.Errorf("site %+v", s)
			}
			var text strings.Builder
			if err := onnxio.Print(&text, small); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(text.String(), "init table") || !strings.Contains(text.String(), "svd.last") {
				t.Errorf("the table was not replaced:\n%s", text.String())
			}
			if s := sites[0]; rewrite.MeasureCosts(small, infer(small)).MACs != macs(t, sites) {
				t.Errorf("the model has %d MACs, its chains count %d", rewrite.MeasureCosts(small, infer(small)).MACs, macs(t, sites))
			} else if want := int64(6*6) * int64(s.Geometry.Out[0]); s.MACs(factor(t, &s, 0)) != want {
				t.Errorf("%d MACs at full rank, wanted %d", s.MACs(factor(t, &s, 0)), want)
			}
		})
	}
}

func macs(t *testing.T, sites []rewrite.Site) (n int64) {
	for i := range sites {
		n += sites[i].MACs(factor(t, &sites[i], 0))
	}
	return n
}

func TestGatherSkips(t *testing.T) {
	for name, c := range map[string]struct {
		build func() *testmodels.Builder
		kind  rewrite.SkipKind // empty where it is not even listed
		want  string
	}{
		"columns": {func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N")
			b.Node("Gather", []string{b.Weight("table", 1, 32, 6), ids}, graph.Int("axis", 1))
			return done(b, 32, "N")
		}, rewrite.SkipUnsupported, "along axis 1"},
		"three axes": {func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N")
			b.Node("Gather", []string{b.Weight("table", 1, 32, 6, 2), ids})
			return done(b, "N", 6, 2)
		}, rewrite.SkipRank, "is no matrix"},
		"constant indices": {func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, 6)
			rows := b.Node("Gather", []string{b.Weight("table", 1, 32, 6), b.Ints("some", 3, 4)})
			b.Node("Mul", []string{rows, b.Node("Cast", []string{ids}, graph.Int("to", 1))})
			return done(b, 2, 6)
		}, rewrite.SkipBothConst, "fold the rows"},
		"a vector": {func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N")
			b.Node("Gather", []string{b.Weight("table", 1, 32), ids})
			return done(b, "N")
		}, "", ""},
		"integers": {func() *testmodels.Builder {
			b, ids := table(17, 8, tensor.Float32, "N")
			w := b.Node("Reshape", []string{b.Ints("numbers", 1, 2, 3, 4), b.Ints("square", 2, 2)})
			b.Node("Gather", []string{w, ids})
			b.Output(b.Rename("y"), tensor.Int64, "N", 2)
			return b
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sites, skips := linear(t, model(t, c.build()))
			switch {
			case len(sites) > 0:
				t.Errorf("sites %v", sites)
			case c.kind == "" && len(skips) > 0:
				t.Errorf("skips %v", skips)
			case c.kind != "" && (len(skips) != 1 || skips[0].Kind != c.kind || !strings.Contains(skips[0].Reason, c.want) || skips[0].Params == 0):
				t.Errorf("skips %+v, wanted one of kind %s with %q", skips, c.kind, c.want)
			}
		})
	}
}

// TestTiedTableStays: a table that something else reads stays where it is.
func TestTiedTableStays(t *testing.T) {
	b, ids := table(17, 8, tensor.Float32, "N", 3)
	w := b.Weight("table", 1, 32, 6)
	sum := b.Node("ReduceSum", []string{w}, graph.Int("keepdims", 0))
	b.Node("Add", []string{b.Node("Gather", []string{w, ids}), sum})
	sites, _ := linear(t, model(t, done(b, "N", 3, 6)))
	if len(sites) != 1 || !sites[0].WeightStays {
		t.Errorf("sites %+v, wanted one whose table stays", sites)
	}
	if place := sites[0].Bias(); place != rewrite.BiasNone {
		t.Errorf("bias %v: what an addition adds to an embedding is no bias of it", place)
	}
}
