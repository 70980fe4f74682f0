package rewrite_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// transposedCase is one combination of attributes of a ConvTranspose.
type transposedCase struct {
	convCase
	extra, output []int // output_padding and output_shape, nil for none
}

func (c transposedCase) String() string {
	return fmt.Sprintf("%v,extra=%v,output=%v", c.convCase, c.extra, c.output)
}

// model makes a model of one ConvTranspose; every third has no bias.
func (c transposedCase) model(t *testing.T, seed int) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(uint64(seed), 17, 8)
	in, out := 2*c.groups, 3*c.groups
	dims, outDims, weight := []any{2, in}, []any{2, out}, append([]int{in, 3}, c.window...)
	for _, d := range c.in {
		dims, outDims = append(dims, d), append(outDims, nil)
	}
	a := []graph.Attr{
		graph.Ints("strides", c.strides...), graph.Ints("dilations", c.dilations...),
		graph.Int("group", c.groups),
	}
	if c.auto != "" {
		a = append(a, graph.String("auto_pad", c.auto))
	}
	if c.pads != nil {
		a = append(a, graph.Ints("pads", c.pads...))
	}
	if c.extra != nil {
		a = append(a, graph.Ints("output_padding", c.extra...))
	}
	if c.output != nil {
		a = append(a, graph.Ints("output_shape", c.output...))
	}
	inputs := []string{b.Input("x", tensor.Float32, dims...), b.Weight("weight", 4, weight...)}
	if seed%3 != 0 {
		inputs = append(inputs, b.Weight("bias", 4, out))
	}
	b.Node("ConvTranspose", inputs, a...)
	b.Output(b.Rename("y"), tensor.Float32, outDims...)
	return model(t, b)
}

// transposedCases is the product of windows, strides, dilations, pads, output_padding, output_shape and groups in one
// to three dimensions: strides above and below the window, crops that go deeper than it, sizes shorter and longer than
// those that follow from the pads.
func transposedCases() []transposedCase {
	var out []transposedCase
	for _, g := range []struct {
		in                          []int
		windows, strides, dilations [][]int
		pads                        [][]int
		extras, outputs             [][]int
	}{
		{
			[]int{9},
			[][]int{{1}, {2}, {5}},
			[][]int{{1}, {2}, {3}},
			[][]int{{1}, {2}},
			[][]int{nil, {2, 2}, {0, 3}},
			[][]int{nil, {1}},
			[][]int{{16}, {21}},
		},
		{
			[]int{5, 6},
			[][]int{{1, 1}, {3, 3}, {1, 4}, {4, 2}},
			[][]int{{1, 1}, {2, 3}},
			[][]int{{1, 1}, {2, 3}},
			[][]int{nil, {1, 1, 1, 1}, {0, 2, 1, 1}},
			[][]int{nil, {1, 0}},
			[][]int{{8, 13}},
		},
		{
			[]int{3, 4, 4},
			[][]int{{1, 1, 1}, {3, 2, 3}},
			[][]int{{1, 1, 1}, {1, 2, 3}},
			[][]int{{1, 1, 1}, {2, 1, 2}},
			[][]int{nil, {0, 0, 1, 0, 1, 1}},
			[][]int{nil, {0, 1, 1}},
			[][]int{{4, 8, 11}},
		},
	} {
		for _, window := range g.windows {
			for _, strides := range g.strides {
				for _, dilations := range g.dilations {
					for _, groups := range []int{1, 3} {
						c := transposedCase{convCase: convCase{in: g.in, window: window, strides: strides, dilations: dilations, groups: groups}}
						for _, c.pads = range g.pads {
							for _, c.extra = range g.extras {
								out = append(out, c)
							}
						}
						c.pads = nil
						for _, c.extra = range g.extras {
							for _, c.auto = range []string{"VALID", "SAME_UPPER", "SAME_LOWER"} {
								out = append(out, c)
							}
						}
						c.extra = nil
						for _, c.auto = range []string{"", "SAME_UPPER"} {
							for _, c.output = range g.outputs {
								out = append(out, c)
							}
						}
					}
				}
			}
		}
	}
	return slices.DeleteFunc(out, func(c transposedCase) bool { return c.invalid() })
}

// invalid tells whether the runtime refuses the case: nothing is left of an axis, or its end grows by a whole step.
func (c transposedCase) invalid() bool {
	for i, n := range c.in {
		size, more := (n-1)*c.strides[i]+(c.window[i]-1)*c.dilations[i]+1, 0
		if c.pads != nil {
			size -= c.pads[i] + c.pads[i+len(c.in)]
		}
		if c.extra != nil {
			more = c.extra[i]
		}
		if c.output != nil {
			more = c.output[i] - size
		}
		if size < 1 || more >= c.strides[i] {
			return true
		}
	}
	return false
}

// TestTransposedSchemes holds the chains of every scheme for every combination of attributes of a ConvTranspose.
func TestTransposedSchemes(t *testing.T) {
	lib := orttest.Open(t)
	cases := transposedCases()
	t.Logf("%d cases", len(cases))
	for i, c := range cases {
		t.Run(c.String(), func(t *testing.T) {
			m := c.model(t, i)
			sites, _ := linear(t, m)
			if len(sites) != 1 {
				t.Fatalf("%d sites", len(sites))
			}
			feeds, err := testmodels.Feeds(m, 7, nil, 3)
			if err != nil {
				t.Fatal(err)
			}
			kernel, err := sites[0].Load()
			if err != nil {
				t.Fatal(err)
			}
			want := execute(t, lib, m, feeds)
			compare(t, want, []tensor.Dense{byDefinition(t, &sites[0], m, kernel.Weights, feeds["x"])})
			if got := sites[0].Geometry.Out; !slices.Equal(want[0].Shape[2:], got) {
				t.Errorf("the output is of size %v, the geometry says %v", want[0].Shape[2:], got)
			}
			holdSchemes(t, lib, m)
		})
	}
}

// byDefinition computes a site as a convolution with stride 1 over its input with zeros inserted, cut as its view says.
func byDefinition(t *testing.T, s *rewrite.Site, m *onnxio.Model, w []float64, x tensor.Dense) tensor.Dense {
	t.Helper()
	v, in, k := s.View, x.Shape[2:], s.Kernel
	lead, out := v.Lead(in), v.Output(in)
	values := x.Float32s()
	bias := make([]float64, k.Out)
	if init, ok := graph.Of(m).Initializer("bias"); ok {
		dense, err := init.Dense()
		if err != nil {
			t.Fatal(err)
		}
		if bias, err = dense.Float64s(); err != nil {
			t.Fatal(err)
		}
	}
	y := tensor.New(tensor.Float32, slices.Concat([]int{x.Shape[0], k.Out}, out)...)
	to, taps := y.Float32s(), k.Cols()/(k.In/k.Groups)
	for i := range to {
		at := unravel(i, y.Shape)
		sum := bias[at[1]]
		group := at[1] / k.Rows()
		for tap := range taps {
			from, inside := at[0]*k.In+group*(k.In/k.Groups), true
			offset := unravel(tap, v.Window)
			plane := 0
			for a, n := range in {
				u := at[2+a] + offset[a]*v.Dilations[a] - lead[a]
				inside = inside && u >= 0 && u%v.Strides[a] == 0 && u/v.Strides[a] < n
				plane = plane*n + u/v.Strides[a]
			}
			if !inside {
				continue
			}
			size := x.Len() / x.Shape[0] / x.Shape[1]
			for c := range k.In / k.Groups {
				sum += w[at[1]*k.Cols()+c*taps+tap] * float64(values[(from+c)*size+plane])
			}
		}
		to[i] = float32(sum)
	}
	return y
}

// unravel turns a row-major index into one for each axis.
func unravel(i int, shape []int) []int {
	at := make([]int, len(shape))
	for a := len(shape) - 1; a >= 0; a-- {
		at[a] = i % shape[a]
		i /= shape[a]
	}
	return at
}

func TestCheapestPlaceTransposed(t *testing.T) {
	for i, c := range transposedCases() {
		t.Run(c.String(), func(t *testing.T) { holdPlaces(t, c.model(t, i)) })
	}
}
