package outputs

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestMaskAxis: the axis of the classes is that along which the numbers add up to 1, wherever it is moved afterwards.
func TestMaskAxis(t *testing.T) {
	softmax := func(axis int) func(b *testmodels.Builder, y string) string {
		return func(b *testmodels.Builder, y string) string {
			return b.Node("Softmax", []string{y}, graph.Int("axis", axis))
		}
	}
	turned := func(of func(b *testmodels.Builder, y string) string, perm ...int) func(b *testmodels.Builder, y string) string {
		return func(b *testmodels.Builder, y string) string {
			return b.Node("Transpose", []string{of(b, y)}, graph.Ints("perm", perm...))
		}
	}
	for name, c := range map[string]struct {
		end  func(b *testmodels.Builder, y string) string
		want masked
	}{
		"first":          {softmax(1), masked{axis: 1}},
		"last":           {softmax(-1), masked{axis: 3}},
		"last, to first": {turned(softmax(3), 0, 3, 1, 2), masked{axis: 1}},
		"first, to last": {turned(softmax(1), 0, 2, 3, 1), masked{axis: 3}},
		"a sigmoid":      {func(b *testmodels.Builder, y string) string { return one(b, "Sigmoid", y) }, masked{own: true}},
	} {
		b := testmodels.NewBuilder(5, 13, 8)
		c.end(b, b.Conv(b.Input("x", tensor.Float32, "N", 3, 8, 8), 3, 4, []int{1, 1}))
		b.Output(b.Rename("out"), tensor.Float32, "N", 4, 8, 8)
		m, err := b.Model()
		if err != nil {
			t.Fatal(err)
		}
		list, err := Of(m, Options{})
		if err != nil || list[0].Kind != Mask || list[0].masked != c.want {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
		m.Close()
	}
}

func TestMaskLabels(t *testing.T) {
	for name, c := range map[string]struct {
		o      Output
		shape  []int
		values []float32
		want   []int32
	}{
		"classes first": {Output{masked: masked{axis: 1}}, []int{3, 1, 2}, []float32{1, 0, 0, 3, 2, 0}, []int32{2, 1}},
		"classes last":  {Output{masked: masked{axis: 3}}, []int{1, 2, 3}, []float32{1, 0, 0, 3, 2, 4}, []int32{0, 2}},
		"nobody knows":  {Output{}, []int{2, 1, 2}, []float32{1, 0, 0, 3}, []int32{0, 1}},
		"named":         {Output{masked: masked{named: true}}, []int{1, 3}, []float32{4, 0, 2}, []int32{4, 0, 2}},
		"whole numbers": {Output{Type: tensor.Int64}, []int{1, 3}, []float32{4, 0, 2}, []int32{4, 0, 2}},
		"one map":       {Output{}, []int{1, 1, 3}, []float32{0.9, 0.2, 0.6}, []int32{0, Outside, 0}},
		"no channels":   {Output{}, []int{1, 3}, []float32{-4, 3, 0.6}, []int32{Outside, 0, 0}},
		"two maps":      {Output{masked: masked{own: true}}, []int{2, 1, 2}, []float32{1, 0, 1, 1}, []int32{0, Outside, 1, 1}},
		"maps last":     {Output{masked: masked{own: true}}, []int{3, 1, 2}, []float32{1, 1, 0, 1, 0, 0}, []int32{0, 1, Outside, 1, Outside, Outside}},
	} {
		if got, ok := c.o.Labels(c.shape, c.values, nil); !ok || !slices.Equal(got.Of, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got.Of, ok, c.want)
		}
	}
	for name, values := range map[string][]float32{"a share": {0.5, 1}, "below 0": {-1, 1}, "too large": {1e9, 1}} {
		if _, ok := (Output{masked: masked{named: true}}).Labels([]int{1, 2}, values, nil); ok {
			t.Errorf("%s is a class", name)
		}
	}
	if _, ok := (Output{}).Labels([]int{1, 2, 3, 4}, make([]float32, 24), nil); ok {
		t.Error("four axes are a mask")
	}
	first, _ := Output{}.Labels([]int{1, 2}, []float32{-3, 3}, nil)
	if second, _ := (Output{}).Labels([]int{1, 2}, []float32{0.2, 0.3}, &first); !slices.Equal(second.Of, []int32{0, 0}) {
		t.Errorf("numbers of another model do not mean what the first's do: %v", second.Of)
	}
}

// TestUnscaled: numbers of a linear layer that may be scores of classes at places or positions are doubted, with the flag that says so; pictures,
// features and what has the shape of an input are not.
func TestUnscaled(t *testing.T) {
	resized := func(b *testmodels.Builder, y string) string {
		return b.Node("Resize", []string{y, "", b.Tensor("scales", tensor.Float32, []int{4}, []float64{1, 1, 2, 2})})
	}
	plain := func(_ *testmodels.Builder, y string) string { return y }
	lines := func(b *testmodels.Builder, y string) string { // [N, 8, C·8]
		turned := b.Node("Transpose", []string{y}, graph.Ints("perm", 0, 2, 1, 3))
		return b.Linear(b.Node("Reshape", []string{turned, b.Ints("shape", 0, 8, -1)}), 48, 30, true)
	}
	for name, c := range map[string]struct {
		out      string
		channels int
		end      func(b *testmodels.Builder, y string) string
		dims     []any
		want     Kind
	}{
		"classes by place":  {"out", 6, resized, []any{"N", 6, 16, 16}, Mask},
		"inside or outside": {"out", 2, plain, []any{"N", 2, 8, 8}, Mask},
		"a picture":         {"out", 3, resized, []any{"N", 3, 16, 16}, ""},
		"features":          {"image_features", 6, plain, []any{"N", 6, 8, 8}, ""},
		"activated":         {"out", 6, func(b *testmodels.Builder, y string) string { return one(b, "Relu", y) }, []any{"N", 6, 8, 8}, ""},
		"letters":           {"out", 6, lines, []any{"N", "T", 30}, Letters},
	} {
		b := testmodels.NewBuilder(5, 13, 8)
		y := b.Conv(b.Input("x", tensor.Float32, "N", 3, 8, 8), 3, c.channels, []int{1, 1})
		if end := c.end(b, y); end == y {
			one(b, "Identity", y)
		}
		b.Output(b.Rename(c.out), tensor.Float32, c.dims...)
		m, err := b.Model()
		if err != nil {
			t.Fatal(err)
		}
		list, err := Of(m, Options{})
		if err != nil || list[0].Kind != Values || strings.Contains(list[0].Doubt, "--kind out="+string(c.want)) != (c.want != "") || (list[0].Doubt == "") != (c.want == "") {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
		if list, err = Of(m, Options{Kinds: map[string]Kind{c.out: Mask}}); err != nil || list[0].Kind != Mask || list[0].Doubt != "" {
			t.Errorf("%s, said to be a mask: %+v, %v", name, list, err)
		}
		m.Close()
	}
}
