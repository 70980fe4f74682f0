package compress

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// decoder is half of a pair, its weights named with a prefix: the one that begins makes a state of its input, the other is given that, and both
// make the same of input and state. In the merged one, both stand in the branches of an If, and a third input decides.
func decoder(t *testing.T, prefix string) *onnxio.Model {
	t.Helper()
	const in, wide, state = 16, 24, 20
	b := testmodels.NewBuilder(1, 17, 8)
	weight := func(name string, seed uint64, shape ...int) string {
		random := rand.New(rand.NewPCG(seed, seed))
		v := make([]float64, tensor.Product(shape))
		for i := range v {
			v[i] = random.NormFloat64() / 4
		}
		return b.Tensor(prefix+name, tensor.Float32, shape, v)
	}
	x := b.Input("x", tensor.Float32, "N", 6, in)
	first, second, made, used := weight("first", 1, in, wide), weight("second", 2, wide, in), weight("made", 3, in, state), weight("used", 4, state, in)
	shift, scale := weight("shift", 5, wide), weight("scale", 6, wide)
	finish := func(b *testmodels.Builder, past string) {
		h := b.Node("Mul", []string{b.Node("Relu", []string{b.Node("Add", []string{b.Node("MatMul", []string{x, first}), shift})}), scale})
		b.Node("Add", []string{b.Node("MatMul", []string{h, second}), b.Node("MatMul", []string{past, used})})
	}
	switch prefix {
	case "begin.":
		past := b.Node("MatMul", []string{x, made})
		b.Output(past, tensor.Float32, "N", 6, state)
		finish(b, past)
	case "go_on.":
		finish(b, b.Input("past", tensor.Float32, "N", 6, state))
	default:
		past, cond := b.Input("past", tensor.Float32, "N", 6, state), b.Input("cond", tensor.Bool)
		branch := func(fill func(*testmodels.Builder)) graph.Parts {
			return b.Body("branch", func(body *testmodels.Builder) {
				fill(body)
				body.Output(body.Rename("inner"), tensor.Float32, "N", 6, in)
			})
		}
		b.Node("If", []string{cond}, graph.Body("then_branch", branch(func(b *testmodels.Builder) { finish(b, past) })),
			graph.Body("else_branch", branch(func(b *testmodels.Builder) { finish(b, b.Node("MatMul", []string{x, made})) })))
	}
	b.Output(b.Rename("y"), tensor.Float32, "N", 6, in)
	return built(t, b)
}

// matrices are the numbers of a model's weights of two axes, wherever they lie, sorted.
func matrices(t *testing.T, path string) (out []string) {
	t.Helper()
	m := read(t, path)
	graphs := []*graph.Graph{graph.Of(m)}
	for _, n := range graph.Of(m).Nodes() {
		for _, a := range n.Attrs() {
			if g, ok := n.Graph(m, a.Name()); ok {
				graphs = append(graphs, g)
			}
		}
	}
	for _, g := range graphs {
		for _, w := range g.Initializers() {
			d, err := w.Dense()
			if err != nil {
				t.Fatal(err)
			}
			if len(w.Shape()) == 2 {
				out = append(out, string(d.Data))
			}
		}
	}
	slices.Sort(out)
	return out
}

func read(t *testing.T, path string) *onnxio.Model {
	t.Helper()
	m, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// computed is what a model in a file gives.
func computed(t *testing.T, env *Environment, path string, inputs map[string]tensor.Dense) map[string]tensor.Dense {
	t.Helper()
	m := read(t, path)
	s, err := feed.Host{Library: env.library}.NewSession(m)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names []string
	for _, v := range graph.Of(m).Outputs() {
		names = append(names, v.Name())
	}
	got, err := s.Run(t.Context(), inputs, names)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	out := map[string]tensor.Dense{}
	for i, name := range names {
		d := got.Get(i)
		d.Data = slices.Clone(d.Data)
		out[name] = d
	}
	return out
}

// TestAlso: of models that hold the same weights under other names each gets the same factors, with tuning too: the numbers are equal, one
// goes on where the other stopped, and both branches of a merged one share them.
func TestAlso(t *testing.T) {
	needRuntime(t)
	begin, goOn, merged := decoder(t, "begin."), decoder(t, "go_on."), decoder(t, "merged.")
	for _, descent := range []*Descent{nil, {Epochs: 1, Batch: 16}} {
		o := to(t, Options{Targets: []Target{share(Params, 0.7)}, Source: drawn(64, "x", 6, 16), CalibSamples: 40, Descent: descent, Methods: []string{"svd"}, RankMultiple: 1})
		folder := filepath.Dir(o.Output)
		o.Also = []Also{{goOn, filepath.Join(folder, "go_on.onnx")}, {merged, filepath.Join(folder, "merged.onnx")}}
		r, _ := runTo(t, begin, o)
		if len(r.Also) != 2 || r.Also[0].Sites != 3 || r.Also[0].Changed == 0 || r.Also[1].Sites != 7 || r.Also[1].Changed <= r.Also[0].Changed {
			t.Fatalf("tuned %v: %+v", descent != nil, r.Also)
		}
		for _, a := range r.Also {
			if a.Verification == nil {
				t.Errorf("%s was not run: %s", a.Output.Path, a.Unverified)
			}
		}
		if r.Also[1].Output.Params > r.Output.Params {
			t.Errorf("merged has %d parameters, %d in the one that begins: factors are stored twice", r.Also[1].Output.Params, r.Output.Params)
		}
		all := matrices(t, o.Output)
		if !slices.Equal(matrices(t, o.Also[1].Output), all) {
			t.Error("the merged model has other weights than the one that begins")
		}
		for _, w := range matrices(t, o.Also[0].Output) {
			if _, known := slices.BinarySearch(all, w); !known {
				t.Error("the model that goes on has a weight that the one that begins has not")
			}
		}
		env, x := in(t), o.Source.(memory)[0].Inputs["x"]
		x.Shape = []int{1, 6, 16}
		flag := func(v byte) tensor.Dense { return tensor.Dense{Type: tensor.Bool, Shape: []int{}, Data: []byte{v}} }
		want := computed(t, env, o.Output, map[string]tensor.Dense{"x": x})
		var past tensor.Dense
		for name, v := range want {
			if name != "y" {
				past = v
			}
		}
		for name, got := range map[string]map[string]tensor.Dense{
			"goes on":              computed(t, env, o.Also[0].Output, map[string]tensor.Dense{"x": x, "past": past}),
			"merged, with past":    computed(t, env, o.Also[1].Output, map[string]tensor.Dense{"x": x, "past": past, "cond": flag(1)}),
			"merged, without past": computed(t, env, o.Also[1].Output, map[string]tensor.Dense{"x": x, "past": past, "cond": flag(0)}),
		} {
			for i, v := range got["y"].Float32s() {
				if w := want["y"].Float32s()[i]; math.Abs(float64(v-w)) > 1e-5*(1+math.Abs(float64(w))) {
					t.Fatalf("tuned %v, %s: y[%d] is %v, want %v", descent != nil, name, i, v, w)
				}
			}
		}
	}
}

// TestAlsoRefused: what cannot be is said before there is any work, and then nothing is written.
func TestAlsoRefused(t *testing.T) {
	begin, goOn := decoder(t, "begin."), decoder(t, "go_on.")
	for name, c := range map[string]struct {
		model   *onnxio.Model
		methods []string
		place   string
		words   []string
	}{
		"other weights": {zoo(t, "cnn"), nil, "also.onnx", []string{"holds none of the weights", begin.Path}},
		"widths":        {goOn, []string{"svd", Width}, "also.onnx", []string{"leave width out"}},
		"the same file": {goOn, nil, "small.onnx", []string{"two models would go to"}},
	} {
		o := to(t, Options{Targets: []Target{share(Params, 0.7)}, Methods: c.methods, RankMultiple: 1})
		o.Also = []Also{{c.model, filepath.Join(filepath.Dir(o.Output), c.place)}}
		_, err := Run(t.Context(), bare(), begin, o)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%s: %v is no *UsageError", name, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(o.Output)); len(left) > 0 {
			t.Errorf("%s: %v was written", name, left)
		}
	}
}

// TestUnnarrowed: where several models get the same factors, the default has no narrower layers, and what was asked for stays.
func TestUnnarrowed(t *testing.T) {
	byDefault := Options{Source: images(4)}
	if !byDefault.mayNarrow() {
		t.Fatal("layers cannot become narrower by default")
	}
	if o := byDefault.unnarrowed(); o.mayNarrow() || o.widths() || len(o.Methods) == 0 {
		t.Errorf("methods %q", o.Methods)
	}
	byDefault.Methods = []string{"svd"}
	if o := byDefault.unnarrowed(); !slices.Equal(o.Methods, byDefault.Methods) {
		t.Errorf("methods %q", o.Methods)
	}
}
