package outputs

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// ended is a model x [N, 8] → MatMul → what end makes of it, declared with the given dimensions.
func ended(t *testing.T, end func(b *testmodels.Builder, x, y string) string, dims ...any) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(5, 13, 8)
	x := b.Input("x", tensor.Float32, "N", 8)
	end(b, x, b.Linear(x, 8, 16, true))
	if dims == nil {
		dims = []any{"N", 16}
	}
	b.Output(b.Rename("out"), tensor.Float32, dims...)
	return testkit.Built(t, b)
}

func one(b *testmodels.Builder, op string, inputs ...string) string { return b.Node(op, inputs) }

// What a linear layer or a softmax gives is scores; what was normalized, activated or divided by its own size is not.
func TestScores(t *testing.T) {
	type end = func(b *testmodels.Builder, x, y string) string
	number := func(b *testmodels.Builder, v float64) string {
		return b.Tensor(fmt.Sprint("number ", v), tensor.Float32, []int{1}, []float64{v})
	}
	for name, c := range map[string]struct {
		end  end
		want Kind
	}{
		"linear":  {func(b *testmodels.Builder, x, y string) string { return one(b, "Identity", y) }, Scores},
		"softmax": {func(b *testmodels.Builder, x, y string) string { return one(b, "Softmax", y) }, Scores},
		"probabilities": {func(b *testmodels.Builder, x, y string) string {
			e := one(b, "Exp", y)
			return one(b, "Div", e, b.Node("ReduceSum", []string{e, b.Ints("axes", 1)}))
		}, Scores},
		"sigmoid":       {func(b *testmodels.Builder, x, y string) string { return one(b, "Sigmoid", y) }, Scores},
		"temperature":   {func(b *testmodels.Builder, x, y string) string { return one(b, "Div", y, number(b, 3)) }, Scores},
		"behind a ReLU": {func(b *testmodels.Builder, x, y string) string { return one(b, "Relu", y) }, Scores},
		"two heads":     {func(b *testmodels.Builder, x, y string) string { return one(b, "Add", y, b.Linear(x, 8, 16, false)) }, Scores},
		"unit norm": {func(b *testmodels.Builder, x, y string) string {
			return b.Node("LpNormalization", []string{y}, graph.Int("axis", 1), graph.Int("p", 2))
		}, Embedding},
		"divided by the norm": {func(b *testmodels.Builder, x, y string) string {
			return one(b, "Div", y, b.Node("Clip", []string{b.Node("ReduceL2", []string{y}, graph.Ints("axes", 1)), number(b, 1e-12)}))
		}, Embedding},
		"times the inverse norm": {func(b *testmodels.Builder, x, y string) string {
			s := b.Node("ReduceSum", []string{one(b, "Mul", y, y), b.Ints("axes", 1)})
			return one(b, "Mul", y, one(b, "Reciprocal", one(b, "Sqrt", s)))
		}, Embedding},
		"layer norm behind a residual": {func(b *testmodels.Builder, x, y string) string {
			return b.Node("InstanceNormalization", []string{y, number(b, 1), number(b, 0)})
		}, Embedding},
		"tanh of a pooler": {func(b *testmodels.Builder, x, y string) string { return one(b, "Tanh", y) }, Embedding},
		"features of a residual": {func(b *testmodels.Builder, x, y string) string {
			return one(b, "Relu", one(b, "Add", y, one(b, "Relu", b.Linear(x, 8, 16, true))))
		}, Embedding},
	} {
		list, err := Of(ended(t, c.end), Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := list[0].Kind; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Axes of size 1 may follow the classes, others not; the number of classes is at least two.
func TestShapes(t *testing.T) {
	keep := func(b *testmodels.Builder, x, y string) string { return one(b, "Identity", y) }
	for _, c := range []struct {
		dims []any
		want Kind
	}{
		{[]any{"N", 4}, Scores},
		{[]any{"N", "C"}, Scores},
		{[]any{"N", 4, 1, 1}, Scores},
		{[]any{"N", 4, "H", "W"}, Scores}, // which the shape of a run decides
		{[]any{"N", 4, 7, 7}, Values},
		{[]any{"N", 1}, Values},
		{[]any{"N", "N", 1}, Values}, // as along a sequence
		{[]any{"N"}, Values},
	} {
		list, err := Of(ended(t, keep, c.dims...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if list[0].Kind != c.want {
			t.Errorf("%v: %s, want %s", c.dims, list[0].Kind, c.want)
		}
	}
	for _, c := range []struct {
		shape []int
		want  int
	}{{[]int{3, 4}, 4}, {[]int{3, 4, 1, 1}, 4}, {[]int{3, 4, 2}, 0}, {[]int{3, 1}, 0}, {[]int{3}, 0}, {nil, 0}, {[]int{3, 1, 1}, 0}} {
		if got := (Output{Kind: Scores}).Classes(c.shape); got != c.want {
			t.Errorf("%v has %d classes, want %d", c.shape, got, c.want)
		}
		if got := (Output{Kind: Values}).Classes(c.shape); got != 0 {
			t.Errorf("%v has %d classes where none are", c.shape, got)
		}
	}
}

// several has outputs of all kinds.
func several(t *testing.T) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(5, 13, 8)
	x := b.Input("x", tensor.Float32, "N", 8)
	y := b.Linear(x, 8, 4, true)
	one(b, "Softmax", y)
	b.Output(b.Rename("scores"), tensor.Float32, "N", 4)
	one(b, "Identity", y)
	b.Output(b.Rename("logits"), tensor.Float32, "N", 4)
	one(b, "Identity", x)
	b.Output(b.Rename("present.0.key"), tensor.Float32, "N", 8)
	one(b, "NonZero", x)
	b.Output(b.Rename("at"), tensor.Int64, 2, "found")
	one(b, "Gather", y, b.Node("Cast", []string{one(b, "ReduceMax", x)}, graph.Int("to", int(tensor.Int64))))
	b.Output(b.Rename("one"), tensor.Float32, 4)
	one(b, "Identity", b.Tensor("seven", tensor.Int64, []int{1}, []float64{7}))
	b.Output(b.Rename("words"), tensor.String, 1)
	m, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestKindsAndWeights(t *testing.T) {
	m := several(t)
	list, err := Of(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		kind   Kind
		weight float64
		varies bool
	}{{Scores, 1, false}, {Scores, 1, false}, {State, 0, false}, {Values, 1, true}, {Values, 1, false}, {Opaque, 0, false}}
	for i, w := range want {
		if o := list[i]; o.Kind != w.kind || o.Weight != w.weight || (o.Varies != "") != w.varies || o.Number != i {
			t.Errorf("%+v, want %+v", o, w)
		}
	}
	if list, err = Of(m, Options{Classes: "logits", Weights: map[string]float64{"present.0.key": 2, "scores": 0}}); err != nil {
		t.Fatal(err)
	}
	if list[0].Kind != Values || list[1].Kind != Scores || list[0].Weight != 0 || list[2].Weight != 2 {
		t.Errorf("%+v", list)
	}
	if list, err = Of(m, Options{Classes: None}); err != nil || slices.ContainsFunc(list, func(o Output) bool { return o.Kind == Scores }) {
		t.Errorf("%+v, %v", list, err)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Classes: "logit"}, `did you mean "logits"?`},
		{Options{Classes: "one"}, "has not the shape of class scores"},
		{Options{Weights: map[string]float64{"score": 1}}, `did you mean "scores"?`},
		{Options{Weights: map[string]float64{"scores": -1}}, "want a number from 0"},
		{Options{Weights: map[string]float64{"scores": 0, "logits": 0, "at": 0, "one": 0}}, "no output counts"},
	} {
		_, err := Of(m, c.o)
		testkit.WantError(t, err, c.want)
	}
}

// What an output is shows in its shape, in the nodes that make it, and in what its exporter called it.
func TestKinds(t *testing.T) {
	type end = func(b *testmodels.Builder, x, y string) string
	keep := func(b *testmodels.Builder, x, y string) string { return one(b, "Identity", y) }
	op := func(name string) end {
		return func(b *testmodels.Builder, x, y string) string { return one(b, name, y) }
	}
	for name, c := range map[string]struct {
		end  end
		out  string
		dims []any
		want Kind
	}{
		"scores":                   {keep, "out", []any{"N", 32}, Scores},
		"called an embedding":      {keep, "sentence_embedding", []any{"N", 32}, Embedding},
		"normalized":               {op("LpNormalization"), "out", []any{"N", 32}, Embedding},
		"few normalized":           {op("Tanh"), "out", []any{"N", 3}, Values},
		"as its input":             {op("Tanh"), "out", []any{"N", 8}, Values},
		"softmax along a sequence": {op("Softmax"), "out", []any{"N", "T", 97}, Tokens},
		"read from an image":       {op("Softmax"), "out", []any{"N", "T", 97}, Letters},
		"voices":                   {op("Softmax"), "out", []any{"N", "T", 7}, Tokens},
		"a signal":                 {keep, "out", []any{"N", 2, 800}, Values},
		"classes at every place":   {op("ArgMax"), "out", []any{"N", 64, 64}, Mask},
		"scores at every place":    {op("Sigmoid"), "out", []any{"N", 5, "H", 64}, Mask},
		"an image":                 {keep, "out", []any{"N", 3, 64, 64}, Values},
		"behind non-maximum suppression": {func(b *testmodels.Builder, x, y string) string {
			return one(b, "Gather", y, one(b, "NonMaxSuppression", x, y))
		}, "out", []any{"M", 4}, Boxes},
		"a cache": {keep, "present.0.key", []any{"N", 32}, State},
	} {
		b := testmodels.NewBuilder(5, 13, 8)
		dims := []any{"N", 8}
		if name == "read from an image" || name == "voices" {
			dims = []any{"N", 3, "H", 8}
		}
		x := b.Input("x", tensor.Float32, dims...)
		c.end(b, x, b.Linear(x, 8, 32, true))
		typ := tensor.Float32
		if name == "classes at every place" {
			typ = tensor.Int64
		}
		b.Output(b.Rename(c.out), typ, c.dims...)
		m, err := b.Model()
		if err != nil {
			t.Fatal(err)
		}
		list, err := Of(m, Options{})
		if err != nil || list[0].Kind != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, list, err, c.want)
		}
		m.Close()
	}
	m := several(t)
	list, err := Of(m, Options{Kinds: map[string]Kind{"logits": Scores, "one": Embedding}})
	if err != nil || list[0].Kind != Values || list[1].Kind != Scores || list[4].Kind != Embedding {
		t.Errorf("%+v, %v", list, err)
	}
	for word, kinds := range map[string]map[string]Kind{
		`did you mean "scores"?`:                  {"score": Values},
		`unknown kind "mak" (did you mean "mask"`: {"scores": "mak"},
		"has not the shape of class scores":       {"one": Scores},
	} {
		_, err := Of(m, Options{Kinds: kinds})
		testkit.WantError(t, err, word)
	}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		labels []int
		want   string
	}{
		{nil, ""},
		{[]int{-1, 0, 3}, ""},
		{[]int{1, 2, 3, 4}, "they seem to count from 1"},
		{[]int{0, 4}, "there is a label 4"},
		{[]int{1000, 1}, "are these the labels for this model"},
	} {
		err := CheckLabels(c.labels, "y", 4)
		if c.want == "" && err != nil {
			t.Errorf("%v: %v", c.labels, err)
		} else if c.want != "" {
			testkit.WantError(t, err, c.want, "from 0 to 3")
		}
	}
	for _, c := range []struct {
		names []string
		want  string
	}{{nil, ""}, {[]string{"a", "b", "c", "d"}, ""}, {[]string{"cat", "dog"}, "the labels name 2 classes (cat, ...)"}} {
		err := CheckNames(c.names, "y", 4)
		if c.want == "" && err != nil {
			t.Errorf("%q: %v", c.names, err)
		} else if c.want != "" {
			testkit.WantError(t, err, c.want, `output "y" has 4`)
		}
	}
	for _, c := range []struct {
		accuracy         float64
		samples, classes int
		want             bool
	}{
		{0, 10, 10, true},
		{0.1, 1000, 10, true},
		{0.2, 1000, 10, false},
		{0.5, 1000, 2, true},
		{0.6, 1000, 2, false},
		{0.92, 13, 2, false},
		{0.01, 100, 1000, false},
		{0.001, 1000, 1000, true},
		{1, 1, 2, false},
	} {
		if got := NearChance(c.accuracy, c.samples, c.classes); got != c.want {
			t.Errorf("%g of %d samples in %d classes: near chance %v", c.accuracy, c.samples, c.classes, got)
		}
	}
}

// Scores for each token of the vocabulary that the model reads are those of next tokens, wherever the table stands; other scores at the
// positions of a text are not.
func TestNext(t *testing.T) {
	type build = func(b *testmodels.Builder, ids string) string
	table := func(b *testmodels.Builder) string { return b.Weight("table", 1, 50, 8) }
	head := func(b *testmodels.Builder, x string, n int) string { return b.Linear(x, 8, n, false) }
	plain := func(n int) build {
		return func(b *testmodels.Builder, ids string) string {
			return head(b, one(b, "Gather", table(b), ids), n)
		}
	}
	for name, c := range map[string]struct {
		build build
		last  any
		want  Kind
	}{
		"a vocabulary":       {plain(50), 50, Next},
		"of an unknown size": {plain(50), "V", Next},
		"labels of words":    {plain(9), 9, Tokens},
		"capped":             {func(b *testmodels.Builder, ids string) string { return one(b, "Tanh", plain(50)(b, ids)) }, 50, Next},
		"ids converted, table turned": {func(b *testmodels.Builder, ids string) string {
			return head(b, one(b, "Gather", one(b, "Transpose", b.Weight("table", 1, 8, 50)), b.Node("Cast", []string{ids}, graph.Int("to", int(tensor.Int32)))), 50)
		}, 50, Next},
		"of a branch": {func(b *testmodels.Builder, ids string) string {
			branch := func(name string) graph.Parts {
				return b.Body(name, func(b *testmodels.Builder) { b.Output(plain(50)(b, ids), tensor.Float32, "N", "S", 50) })
			}
			return b.Node("If", []string{b.Tensor("which", tensor.Bool, nil, []float64{1})}, graph.Body("then_branch", branch("then")), graph.Body("else_branch", branch("else")))
		}, 50, Next},
	} {
		b := testmodels.NewBuilder(5, 17, 8)
		ids := b.Input("decoder_input_ids", tensor.Int64, "N", "S")
		b.Input("attention_mask", tensor.Int64, "N", "S")
		b.Input("decoder_attention_mask", tensor.Int64, "N", "P")
		c.build(b, ids)
		b.Output(b.Rename("logits"), tensor.Float32, "N", "S", c.last)
		m, err := b.Model()
		if err != nil {
			t.Fatal(err)
		}
		list, err := Of(m, Options{})
		if err != nil || list[0].Kind != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, list, err, c.want)
		} else if text := list[0].Text; c.want == Next && (text.IDs != ids || text.Mask != "decoder_attention_mask") {
			t.Errorf("%s reads %+v", name, text)
		}
		m.Close()
	}
}

// Exporters call what a decoder hands on to its next run by many names.
func TestCaches(t *testing.T) {
	for name, want := range map[string]bool{
		"present": true, "present.3.decoder.key": true, "present_key_self_0": true, "presents": false, "presentation": false,
		"new_past_key_values.0.key": true, "past_key_values_out": true, "out_past_kv": true, "kv_cache_out": true, "out_n_layer_self_k_cache": true,
		"key_cache_1": true, "out_cache_k": true, "keypoints": false, "values": false, "cached": false, "logits": false,
	} {
		if cached(name) != want {
			t.Errorf("%s is a cache: %v", name, !want)
		}
	}
}
