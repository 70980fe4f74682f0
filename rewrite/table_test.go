package rewrite_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// fullRank rewrites every site of a model at full rank and compares what the runtime
// computes with the model itself.
func fullRank(t *testing.T, lib *ort.Library, m *onnxio.Model) (small *onnxio.Model, sites []rewrite.Site) {
	t.Helper()
	sites, _ = linear(t, m)
	small = rewritten(t, m, sites, 0)
	feeds, err := testmodels.Feeds(m, 7, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, execute(t, lib, m, feeds), execute(t, lib, small, feeds))
	return small, sites
}

// convCase is one combination of attributes of a Conv.
type convCase struct {
	in, window, strides, dilations []int
	pads                           []int
	auto                           string
	groups                         int
}

func (c convCase) String() string {
	return fmt.Sprintf("in=%v,window=%v,strides=%v,dilations=%v,pads=%v%s,groups=%d", c.in, c.window, c.strides, c.dilations, c.pads, c.auto, c.groups)
}

// model makes a model of one Conv; every third has no bias, every other lets its sizes open.
func (c convCase) model(t *testing.T, seed int) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(uint64(seed), 17, 8)
	in, out := 2*c.groups, 3*c.groups
	inDims, outDims := []any{2, in}, []any{2, out}
	for range c.in {
		outDims = append(outDims, nil)
	}
	for _, d := range c.in {
		inDims = append(inDims, d)
	}
	attributes := []graph.Attr{
		graph.Ints("strides", c.strides...), graph.Ints("dilations", c.dilations...),
		graph.Int("group", c.groups),
	}
	if c.auto != "" {
		attributes = append(attributes, graph.String("auto_pad", c.auto))
	} else {
		attributes = append(attributes, graph.Ints("pads", c.pads...))
	}
	x := b.Input("x", tensor.Float32, inDims...)
	if seed%3 == 0 {
		b.ConvBias(x, in, out, c.window, "", attributes...)
	} else {
		b.Conv(x, in, out, c.window, attributes...)
	}
	b.Output(b.Rename("y"), tensor.Float32, outDims...)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// convCases is the product of all windows, strides, dilations, pads and groups in one to
// three dimensions. The runtime refuses auto_pad SAME together with dilations.
func convCases() []convCase {
	var out []convCase
	for _, g := range []struct {
		in                          []int
		windows, strides, dilations [][]int
		pads                        [][]int
	}{
		{
			[]int{19}, [][]int{{1}, {2}, {5}}, [][]int{{1}, {2}, {3}}, [][]int{{1}, {2}}, [][]int{{0, 0}, {2, 2}, {0, 3}},
		},
		{
			[]int{13, 16},
			[][]int{{1, 1}, {3, 3}, {1, 4}, {5, 2}},
			[][]int{{1, 1}, {2, 3}},
			[][]int{{1, 1}, {2, 3}},
			[][]int{{0, 0, 0, 0}, {1, 1, 1, 1}, {0, 2, 3, 1}},
		},
		{
			[]int{7, 8, 9},
			[][]int{{1, 1, 1}, {3, 2, 3}},
			[][]int{{1, 1, 1}, {1, 2, 3}},
			[][]int{{1, 1, 1}, {2, 1, 2}},
			[][]int{{0, 0, 0, 0, 0, 0}, {1, 0, 2, 0, 1, 1}},
		},
	} {
		for _, window := range g.windows {
			for _, strides := range g.strides {
				for _, dilations := range g.dilations {
					for _, groups := range []int{1, 3} {
						c := convCase{in: g.in, window: window, strides: strides, dilations: dilations, groups: groups}
						for _, pads := range g.pads {
							c.pads = pads
							out = append(out, c)
						}
						c.pads = nil
						for _, c.auto = range []string{"VALID", "SAME_UPPER", "SAME_LOWER"} {
							if c.auto == "VALID" || !slices.ContainsFunc(dilations, func(d int) bool { return d != 1 }) {
								out = append(out, c)
							}
						}
					}
				}
			}
		}
	}
	return out
}

func TestConvFullRank(t *testing.T) {
	lib := orttest.Open(t)
	cases := convCases()
	t.Logf("%d cases", len(cases))
	for i, c := range cases {
		t.Run(c.String(), func(t *testing.T) {
			m := c.model(t, i)
			_, sites := fullRank(t, lib, m)
			if len(sites) != 1 {
				t.Fatalf("%d sites", len(sites))
			}
			s := sites[0]
			if got := s.View.Output(c.in); !slices.Equal(got, s.Geometry.Out) {
				t.Errorf("View.Output gives %v, the geometry says %v", got, s.Geometry.Out)
			}
		})
	}
}

// TestGemmFullRank runs every combination of transposition, factors, C and side.
func TestGemmFullRank(t *testing.T) {
	lib := orttest.Open(t)
	const rows, in, out = 4, 7, 5
	for _, left := range []bool{false, true} {
		m, n := rows, out // of Y
		if left {
			m, n = out, rows
		}
		for _, opset := range []int64{7, 9, 11, 13} {
			for _, c := range [][]int{nil, {}, {1}, {n}, {1, n}, {m, 1}, {m, n}, {1, 1}} {
				if c == nil && opset < 11 {
					continue
				}
				for bits := range 8 {
					transA, transB, scaled := bits&1, bits>>1&1, bits&4 != 0
					t.Run(fmt.Sprintf("left=%t,opset=%d,c=%v,transA=%d,transB=%d,scaled=%t", left, opset, c, transA, transB, scaled), func(t *testing.T) {
						a, b := []int{m, in}, []int{in, n}
						if transA == 1 {
							slices.Reverse(a)
						}
						if transB == 1 {
							slices.Reverse(b)
						}
						g := gemmModel(t, left, opset, a, b, c, []int{m, n}, transA, transB, scaled)
						_, sites := fullRank(t, lib, g)
						if len(sites) != 1 || sites[0].Geometry.Out[0] != rows || sites[0].Kernel.Out != out || sites[0].Kernel.In != in {
							t.Errorf("sites %+v", sites)
						}
					})
				}
			}
		}
	}
}

func gemmModel(t *testing.T, left bool, opset int64, a, b, c, y []int, transA, transB int, scaled bool) *onnxio.Model {
	t.Helper()
	g := testmodels.NewBuilder(3, opset, 4)
	attributes := []graph.Attr{graph.Int("transA", transA), graph.Int("transB", transB)}
	if scaled {
		attributes = append(attributes, graph.Float("alpha", -0.75), graph.Float("beta", 1.5))
	}
	var inputs []string
	if left {
		inputs = []string{g.Weight("weight", 7, a...), g.Input("x", tensor.Float32, b[0], b[1])}
	} else {
		inputs = []string{g.Input("x", tensor.Float32, a[0], a[1]), g.Weight("weight", 7, b...)}
	}
	if c != nil {
		inputs = append(inputs, g.Random("c", -1, 1, c...))
	}
	g.Node("Gemm", inputs, attributes...)
	g.Output(g.Rename("y"), tensor.Float32, y[0], y[1])
	m, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMatMulFullRank multiplies operands of one to four axes with a constant on either side.
func TestMatMulFullRank(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range []struct {
		input, weight []int
		left          bool
		sites         int
	}{
		{[]int{6}, []int{6, 9}, false, 1},
		{[]int{4, 6}, []int{6, 9}, false, 1},
		{[]int{4, 6}, []int{6, 1}, false, 1},
		{[]int{2, 4, 6}, []int{6, 9}, false, 1},
		{[]int{2, 3, 4, 6}, []int{6, 9}, false, 1},
		{[]int{6}, []int{1, 6, 9}, false, 1},
		{[]int{4, 6}, []int{1, 6, 9}, false, 1},
		{[]int{4, 6}, []int{1, 1, 6, 9}, false, 1},
		{[]int{2, 4, 6}, []int{1, 1, 6, 9}, false, 1},
		{[]int{2, 4, 6}, []int{2, 6, 9}, false, 1},
		{[]int{2, 4, 6}, []int{1, 2, 6, 9}, false, 1},
		{[]int{3, 2, 4, 6}, []int{2, 6, 9}, false, 1},
		{[]int{5, 3, 2, 4, 6}, []int{3, 2, 6, 9}, false, 1},
		{[]int{5, 3, 1, 4, 6}, []int{3, 1, 6, 9}, false, 1},
		{[]int{5, 3, 2, 4, 6}, []int{3, 1, 6, 9}, false, 0},
		{[]int{1, 4, 6}, []int{2, 6, 9}, false, 0},
		{[]int{4, 6}, []int{2, 6, 9}, false, 0},
		{[]int{6}, []int{2, 6, 9}, false, 0},
		{[]int{2, 3, 4, 5, 6}, []int{6, 9}, false, 1},
		{[]int{2, 4, 6}, []int{6}, false, 0},
		{[]int{6}, []int{9, 6}, true, 1},
		{[]int{6, 4}, []int{9, 6}, true, 1},
		{[]int{2, 6, 4}, []int{9, 6}, true, 1},
		{[]int{2, 3, 6, 4}, []int{9, 6}, true, 1},
		{[]int{6}, []int{1, 9, 6}, true, 0},
		{[]int{6, 4}, []int{1, 9, 6}, true, 1},
		{[]int{6, 4}, []int{1, 1, 9, 6}, true, 1},
		{[]int{2, 6, 4}, []int{1, 1, 9, 6}, true, 1},
		{[]int{2, 6, 4}, []int{2, 9, 6}, true, 1},
		{[]int{3, 2, 6, 4}, []int{1, 1, 2, 9, 6}, true, 1},
		{[]int{5, 3, 2, 6, 4}, []int{3, 2, 9, 6}, true, 1},
		{[]int{6, 4}, []int{2, 9, 6}, true, 0},
		{[]int{6}, []int{2, 9, 6}, true, 0},
		{[]int{2, 3, 5, 6, 4}, []int{9, 6}, true, 1},
		{[]int{6, 4}, []int{6}, true, 0},
	} {
		t.Run(fmt.Sprintf("input=%v,weight=%v,left=%t", c.input, c.weight, c.left), func(t *testing.T) {
			b := testmodels.NewBuilder(3, 17, 8)
			var dims []any
			for _, d := range c.input {
				dims = append(dims, d)
			}
			operands := []string{b.Input("x", tensor.Float32, dims...), b.Weight("weight", 6, c.weight...)}
			if c.left {
				slices.Reverse(operands)
			}
			b.Node("MatMul", operands)
			b.Rename("y")
			b.Node("Relu", []string{"y"})
			b.Output(b.Rename("z"), tensor.Float32)
			m, err := b.Model()
			if err != nil {
				t.Fatal(err)
			}
			parts := graph.Of(m).Parts()
			for i, v := range parts.Outputs {
				parts.Outputs[i] = graph.NewValue(v.Name(), v.Type(), nil)
			}
			_, sites := fullRank(t, lib, parts.Model())
			if len(sites) != c.sites {
				t.Errorf("%d sites, wanted %d", len(sites), c.sites)
			}
		})
	}
}
