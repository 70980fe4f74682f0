package outputs

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Positions are counted from the last one, whatever lies before them.
func TestPadding(t *testing.T) {
	const o, x = false, true
	ids := func(v ...int64) tensor.Dense { return tensor.FromInt64([]int{2, len(v) / 2}, v) }
	for name, c := range map[string]struct {
		inputs    map[string]tensor.Dense
		positions int
		want      []bool
	}{
		"no mask":            {map[string]tensor.Dense{"ids": ids(1, 2, 0, 4)}, 2, nil},
		"all are tokens":     {map[string]tensor.Dense{"ids": ids(1, 2, 3, 4), "mask": ids(1, 1, 1, 1)}, 2, nil},
		"behind":             {map[string]tensor.Dense{"mask": ids(1, 1, 0, 1, 1, 1)}, 3, []bool{o, o, x, o, o, o}},
		"before":             {map[string]tensor.Dense{"mask": ids(0, 1, 1, 1, 1, 1)}, 3, []bool{x, o, o, o, o, o}},
		"behind a cache":     {map[string]tensor.Dense{"mask": ids(0, 1, 0, 0, 1, 1)}, 2, []bool{o, x, o, o}},
		"scores of the last": {map[string]tensor.Dense{"ids": ids(1, 2, 3, 4), "mask": ids(0, 1, 1, 0)}, 1, []bool{o, x}},
		"more than the mask": {map[string]tensor.Dense{"mask": ids(1, 1, 1, 0)}, 3, []bool{x, o, o, x, o, x}},
		"ids that are none":  {map[string]tensor.Dense{"ids": ids(1, -1, 3, 4), "mask": ids(1, 1, 0, 1)}, 2, []bool{o, x, x, o}},
		"booleans":           {map[string]tensor.Dense{"mask": {Type: tensor.Bool, Shape: []int{2, 2}, Data: []byte{1, 0, 1, 1}}}, 2, []bool{o, x, o, o}},
		"floats":             {map[string]tensor.Dense{"mask": tensor.FromFloat32([]int{2, 2}, []float32{1, 1, 0, 0.5})}, 2, []bool{o, o, x, o}},
		"of another number":  {map[string]tensor.Dense{"mask": tensor.FromInt64([]int{1, 2}, []int64{0, 1})}, 2, nil},
		"of another rank":    {map[string]tensor.Dense{"mask": tensor.FromInt64([]int{2, 1, 1}, []int64{0, 1})}, 1, nil},
	} {
		if got := (Text{IDs: "ids", Mask: "mask"}).Padding(c.inputs, 2, c.positions); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A mask that cannot be read is said.
func TestUnreadableMask(t *testing.T) {
	for typ, want := range map[tensor.Type]string{tensor.Int64: "", tensor.Bool: "", tensor.Float16: "", tensor.String: `input "attention_mask" is of type string`} {
		b := testmodels.NewBuilder(1, 17, 8)
		ids := b.Input("input_ids", tensor.Int64, "N", "S")
		b.Input("attention_mask", typ, "N", "S")
		b.Node("Gather", []string{b.Random("table", -1, 1, 9, 9), ids})
		b.Output(b.Rename("logits"), tensor.Float32, "N", "S", 9)
		m := testkit.Built(t, b)
		list, err := Of(m, Options{})
		if want == "" && (err != nil || list[0].Text.Mask != "attention_mask") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", typ, list, err)
		}
		if list, err := Of(m, Options{Kinds: map[string]Kind{"logits": Tokens}}); err != nil || list[0].Kind != Tokens {
			t.Errorf("%s: said to be tokens: %v, %v", typ, list, err)
		}
	}
}

// Scores of a vocabulary are those of next tokens, unless tokens see by attention, or a recurrence, what comes after them, and nothing
// hides that.
func TestCausal(t *testing.T) {
	triangle := make([]float64, 16)
	for i := range triangle {
		if i%4 > i/4 {
			triangle[i] = -1e4
		}
	}
	type build = func(b *testmodels.Builder, x string) string
	attention := func(hide func(b *testmodels.Builder, scores string) string) build {
		return func(b *testmodels.Builder, x string) string {
			turned := b.Node("Transpose", []string{b.Linear(x, 8, 8, false)}, graph.Ints("perm", 0, 2, 1))
			scores := hide(b, b.Node("MatMul", []string{b.Linear(x, 8, 8, false), turned}))
			return b.Node("MatMul", []string{b.Node("Softmax", []string{scores}, graph.Int("axis", -1)), x})
		}
	}
	open := func(b *testmodels.Builder, x string) string { return x }
	number := func(b *testmodels.Builder, v float64) string {
		return b.Tensor("number", tensor.Float32, nil, []float64{v})
	}
	fused := func(op string, attrs ...graph.Attr) build {
		return func(b *testmodels.Builder, x string) string {
			b.Import("com.microsoft", 1)
			return b.Node(op, []string{x, x, x}, append(attrs, graph.Int("num_heads", 2))...)
		}
	}
	recurrent := func(direction string, n int) build {
		return func(b *testmodels.Builder, x string) string {
			y := b.Several("GRU", []string{b.Node("Transpose", []string{x}, graph.Ints("perm", 1, 0, 2)), b.Weight("W", 8, n, 24, 8), b.Weight("R", 8, n, 24, 8)}, 1,
				graph.Int("hidden_size", 8), graph.String("direction", direction))[0]
			y = b.Node("Transpose", []string{y}, graph.Ints("perm", 2, 0, 1, 3))
			return b.Node("ReduceMean", []string{y}, graph.Ints("axes", 2), graph.Int("keepdims", 0))
		}
	}
	at := func(b *testmodels.Builder, x string) string {
		return b.Node("Range", []string{b.Tensor("zero", tensor.Int64, nil, []float64{0}), b.Node("Size", []string{b.Node("ReduceMean", []string{x}, graph.Ints("axes", 0, 2))}), b.Tensor("one", tensor.Int64, nil, []float64{1})})
	}
	for name, c := range map[string]struct {
		build build
		want  Kind
	}{
		"each by itself": {open, Next},
		"attention":      {attention(open), Words},
		"padding hidden": {attention(func(b *testmodels.Builder, x string) string {
			hidden := b.Node("Mul", []string{b.Node("Cast", []string{b.Input("attention_mask", tensor.Int64, "N", "S")}, graph.Int("to", 1)), number(b, -1e4)})
			return b.Node("Add", []string{x, b.Node("Unsqueeze", []string{hidden, b.Ints("pairs", 1)})})
		}), Words},
		"distances in buckets": {attention(func(b *testmodels.Builder, x string) string {
			near := b.Node("Less", []string{b.Node("Cast", []string{at(b, x)}, graph.Int("to", 1)), number(b, 3)})
			return b.Node("Add", []string{x, b.Node("Cast", []string{near}, graph.Int("to", 1))})
		}), Words},
		"positions compared": {attention(func(b *testmodels.Builder, x string) string {
			p := at(b, x)
			later := b.Node("Greater", []string{p, b.Node("Unsqueeze", []string{p, b.Ints("pairs", 1)})})
			return b.Node("Add", []string{x, b.Node("Mul", []string{b.Node("Cast", []string{later}, graph.Int("to", 1)), number(b, -1e4)})})
		}), Next},
		"Trilu": {attention(func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Node("Trilu", []string{b.Tensor("never", tensor.Float32, []int{4, 4}, make([]float64, 16))})})
		}), Next},
		"a triangle": {attention(func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Tensor("triangle", tensor.Float32, []int{1, 4, 4}, triangle)})
		}), Next},
		"a square": {attention(func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Random("bias", -1, 1, 1, 4, 4)})
		}), Words},
		"a cache": {attention(func(b *testmodels.Builder, x string) string {
			return b.Node("Add", []string{x, b.Input("past_key_values.0.key", tensor.Float32, "N", "S", "S")})
		}), Next},
		"fused":               {fused("com.microsoft::MultiHeadAttention"), Words},
		"fused, one way":      {fused("com.microsoft::MultiHeadAttention", graph.Int("unidirectional", 1)), Next},
		"fused, as decoders":  {fused("com.microsoft::GroupQueryAttention"), Next},
		"a recurrence":        {recurrent("forward", 1), Next},
		"from both sides":     {recurrent("bidirectional", 2), Words},
		"in a local function": {nil, Words},
	} {
		b := testmodels.NewBuilder(5, 17, 8)
		x := b.Node("Gather", []string{b.Weight("table", 1, 50, 8), b.Input("input_ids", tensor.Int64, "N", "S")})
		if c.build == nil {
			b.Import("own", 1).Function("own", "Block", []string{"x"}, []string{"y"}, func(b *testmodels.Builder) {
				b.Node("MatMul", []string{b.Node("Softmax", []string{b.Node("MatMul", []string{"x", b.Node("Transpose", []string{"x"}, graph.Ints("perm", 0, 2, 1))})}), "x"})
				b.Rename("y")
			})
			b.Linear(b.Call("own", "Block", x), 8, 50, false)
		} else {
			b.Linear(c.build(b, x), 8, 50, false)
		}
		b.Output(b.Rename("logits"), tensor.Float32, "N", "S", 50)
		m, err := b.Model()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if list, err := Of(m, Options{}); err != nil || list[0].Kind != c.want || list[0].Text.IDs != "input_ids" {
			t.Errorf("%s: %+v, %v; want %s", name, list, err, c.want)
		}
		m.Close()
	}
}

// What a Loop makes has sizes that depend on the data only where these decide how often it runs.
func TestVariesByLoops(t *testing.T) {
	for condition, want := range map[string]bool{"": false, "true": false, "computed": true} {
		b := testmodels.Loop(1, 3, condition)
		m := testkit.Built(t, b)
		p := graph.Of(m).Parts()
		p.Outputs = []graph.Value{graph.NewValue(p.Outputs[0].Name(), tensor.Float32, nil)}
		open := p.Model()
		defer open.Close()
		if list, err := Of(open, Options{}); err != nil || (list[0].Varies != "") != want {
			t.Errorf("condition %q: %+v, %v", condition, list, err)
		}
	}
}
