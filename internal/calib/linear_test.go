package calib

import (
	"context"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// linear is a model of one node without bias, and the shape of its input's samples.
type linear struct {
	name  string
	build func() *testmodels.Builder
	shape []int
	typ   tensor.Type
	// axis of the output along which the site's output channels run, counted from 0
	// with the batch in.
	axis int
}

func linears() []linear {
	ints, number, text := graph.Ints, graph.Int, graph.String
	conv := func(name string, in, out, groups int, size, window []int, a ...graph.Attr) linear {
		return linear{name, func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			dims, open := []any{"N", in}, []any{"N", out}
			for _, n := range size {
				dims, open = append(dims, n), append(open, nil)
			}
			x := b.Input("x", tensor.Float32, dims...)
			b.ConvBias(x, in, out, window, "", append(a, number("group", groups))...)
			b.Output(b.Rename("y"), tensor.Float32, open...)
			return b
		}, append([]int{in}, size...), tensor.Float32, 1}
	}
	transposed := func(name string, in, out, groups int, size, window []int, a ...graph.Attr) linear {
		return linear{"transposed " + name, func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			dims := []any{"N", in}
			for _, n := range size {
				dims = append(dims, n)
			}
			w := b.Weight("w", in, append([]int{in, out / groups}, window...)...)
			b.Node("ConvTranspose", []string{b.Input("x", tensor.Float32, dims...), w}, append(a, number("group", groups))...)
			b.Output(b.Rename("y"), tensor.Float32, append([]any{"N", out}, slices.Repeat([]any{nil}, len(size))...)...)
			return b
		}, append([]int{in}, size...), tensor.Float32, 1}
	}
	node := func(name string, shape []int, axis int, typ tensor.Type, dims []any, build func(b *testmodels.Builder, x string)) linear {
		return linear{name, func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8).Float(typ)
			build(b, b.Input("x", typ, append([]any{"N"}, dims...)...))
			b.Output(b.Rename("y"), typ, append([]any{"N"}, slices.Repeat([]any{nil}, len(shape))...)...)
			return b
		}, shape, typ, axis}
	}
	plane := []int{7, 9}
	return []linear{
		conv("conv same", 3, 40, 1, plane, []int{3, 3}, ints("pads", 1, 1, 1, 1)),
		conv("conv valid", 3, 40, 1, plane, []int{3, 3}),
		conv("conv pointwise", 12, 20, 1, plane, []int{1, 1}),
		conv("conv strides", 3, 40, 1, plane, []int{3, 3}, ints("strides", 2, 3), ints("pads", 1, 0, 0, 1)),
		conv("conv same_upper", 2, 30, 1, plane, []int{4, 3}, text("auto_pad", "SAME_UPPER"), ints("strides", 2, 1)),
		conv("conv same_lower", 2, 30, 1, plane, []int{4, 3}, text("auto_pad", "SAME_LOWER")),
		conv("conv dilations", 2, 30, 1, plane, []int{3, 2}, ints("dilations", 2, 3), ints("pads", 2, 1, 2, 2)),
		conv("conv groups", 6, 60, 3, plane, []int{3, 3}, ints("pads", 1, 1, 1, 1)),
		conv("conv line", 4, 30, 1, []int{15}, []int{5}, ints("pads", 2, 2)),
		conv("conv volume", 2, 60, 1, []int{4, 5, 6}, []int{3, 3, 2}, ints("pads", 1, 1, 0, 1, 1, 1)),
		transposed("plain", 3, 40, 1, plane, []int{3, 3}),
		transposed("strides", 3, 60, 1, plane, []int{4, 4}, ints("strides", 2, 2), ints("pads", 1, 1, 1, 1)),
		transposed("strides above the window", 3, 40, 1, plane, []int{2, 1}, ints("strides", 3, 2), ints("output_padding", 1, 1)),
		transposed("dilations", 2, 40, 1, plane, []int{3, 2}, ints("strides", 2, 3), ints("dilations", 2, 2), ints("pads", 2, 0, 1, 3)),
		transposed("groups", 6, 60, 3, plane, []int{3, 3}, ints("strides", 2, 1), ints("output_padding", 1, 0)),
		transposed("output_shape", 2, 40, 1, plane, []int{3, 3}, ints("strides", 2, 2), ints("output_shape", 14, 17)),
		transposed("same_upper", 2, 40, 1, plane, []int{4, 3}, ints("strides", 2, 1), text("auto_pad", "SAME_UPPER")),
		transposed("same_lower", 2, 40, 1, plane, []int{4, 3}, ints("strides", 3, 2), text("auto_pad", "SAME_LOWER")),
		transposed("line", 4, 30, 1, []int{15}, []int{5}, ints("strides", 2), ints("pads", 2, 1)),
		transposed("volume", 2, 60, 1, []int{4, 5, 6}, []int{3, 3, 2}, ints("strides", 2, 1, 2), ints("pads", 1, 1, 0, 1, 1, 1)),
		node("matmul right", []int{6}, 1, tensor.Float32, []any{6}, func(b *testmodels.Builder, x string) {
			b.Node("MatMul", []string{x, b.Weight("w", 6, 6, 8)})
		}),
		node("matmul right, more axes", []int{5, 4, 6}, 3, tensor.Float32, []any{5, 4, 6}, func(b *testmodels.Builder, x string) {
			b.Node("MatMul", []string{x, b.Weight("w", 6, 6, 8)})
		}),
		node("matmul left", []int{6, 5}, 1, tensor.Float32, []any{6, 5}, func(b *testmodels.Builder, x string) {
			b.Node("MatMul", []string{b.Weight("w", 6, 8, 6), x})
		}),
		node("matmul float16", []int{5, 6}, 2, tensor.Float16, []any{5, 6}, func(b *testmodels.Builder, x string) {
			b.Node("MatMul", []string{x, b.Weight("w", 6, 6, 8)})
		}),
		node("matmul float64", []int{5, 6}, 2, tensor.Float64, []any{5, 6}, func(b *testmodels.Builder, x string) {
			b.Node("MatMul", []string{x, b.Weight("w", 6, 6, 8)})
		}),
		node("gemm transB, alpha", []int{6}, 1, tensor.Float32, []any{6}, func(b *testmodels.Builder, x string) {
			b.Node("Gemm", []string{x, b.Weight("w", 6, 8, 6)}, number("transB", 1), graph.Float("alpha", 0.5))
		}),
		node("gemm behind a node", []int{6}, 1, tensor.Float32, []any{6}, func(b *testmodels.Builder, x string) {
			x = b.Node("Transpose", []string{b.Node("Relu", []string{x})}, ints("perm", 1, 0))
			b.Node("Gemm", []string{x, b.Weight("w", 6, 6, 8)}, number("transA", 1))
		}),
	}
}

// outputMoments runs the model and returns E[y yᵀ] and E[y] of its output y per group
// of channels, over all positions.
func outputMoments(t *testing.T, m *onnxio.Model, l linear, groups int, src memory) (sum []*linalg.Matrix, mean [][]float64) {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	session, err := orttest.Open(t).NewSession(data, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	positions := 0
	for _, s := range src {
		in := s.Inputs["x"]
		in.Shape = append([]int{1}, in.Shape...)
		out, err := session.Run(context.Background(), map[string]tensor.Dense{"x": in}, nil)
		if err != nil {
			t.Fatal(err)
		}
		y := out.Get(0)
		v, err := y.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		channels, inner := y.Shape[l.axis], 1
		for _, n := range y.Shape[l.axis+1:] {
			inner *= n
		}
		outer, rows := len(v)/channels/inner, channels/groups
		for g := range groups {
			if len(sum) <= g {
				sum = append(sum, linalg.New(rows, rows))
				mean = append(mean, make([]float64, rows))
			}
			for p := range outer * inner {
				at := func(c int) float64 { return v[(p/inner*channels+g*rows+c)*inner+p%inner] }
				for i := range rows {
					mean[g][i] += at(i)
					for j := range rows {
						sum[g].Data[i*rows+j] += at(i) * at(j)
					}
				}
			}
		}
		positions += outer * inner
		out.Close()
	}
	for g, s := range sum {
		for i := range s.Data {
			s.Data[i] /= float64(positions)
		}
		for i := range mean[g] {
			mean[g][i] /= float64(positions)
		}
	}
	return sum, mean
}

// With y = W x, E[y yᵀ] is W A Wᵀ, and E[y] is W E[x]. The left side comes from the runtime alone, so this
// checks every way of cutting an input into columns against the operators themselves.
func TestMomentsExplainOutputs(t *testing.T) {
	lib := orttest.Open(t)
	for _, l := range linears() {
		t.Run(l.name, func(t *testing.T) {
			m := testkit.Built(t, l.build())
			src := random(7, "x", l.typ, l.shape...)
			sites := sitetest.Sites(t, m, src[0])
			if len(sites) != 1 {
				t.Fatalf("%d sites, want 1", len(sites))
			}
			stats, err := Collect(context.Background(), lib, m, sites, src, testkit.Count(7), Options{Batch: 3})
			if err != nil {
				t.Fatal(err)
			}
			kernel, err := sites[0].Load()
			if err != nil {
				t.Fatal(err)
			}
			tolerance := 3e-6
			if l.typ == tensor.Float16 {
				tolerance = 2e-3 // the outputs themselves are rounded to 11 bits
			}
			want, mean := outputMoments(t, m, l, kernel.Groups, src)
			for g, a := range stats[0].A {
				rows, cols := kernel.Rows(), kernel.Cols()
				w := &linalg.Matrix{Rows: rows, Cols: cols, Data: kernel.Weights[g*rows*cols : (g+1)*rows*cols]}
				b := linalg.Gonum()
				got := b.Mul(false, true, 1, b.Mul(false, false, 1, w, a), w)
				if d := worst(got, want[g]); !(d <= tolerance) {
					t.Errorf("group %d: W A Wᵀ differs from E[y yᵀ] by %.2g of its largest entry", g, d)
				}
				column := &linalg.Matrix{Rows: cols, Cols: 1, Data: stats[0].Mean[g]}
				y := b.Mul(false, false, 1, w, column)
				if d := worst(y, &linalg.Matrix{Rows: rows, Cols: 1, Data: mean[g]}); !(d <= tolerance) {
					t.Errorf("group %d: W E[x] differs from E[y] by %.2g of its largest entry", g, d)
				}
			}
			if s := stats[0]; s.Samples != 7 || s.Site != sites[0].Name {
				t.Errorf("%d samples at %q, want 7 at %q", s.Samples, s.Site, sites[0].Name)
			}
		})
	}
}
