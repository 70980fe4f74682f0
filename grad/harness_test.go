package grad

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// net is a small graph for a test, put together node by node.
type net struct {
	parts  graph.Parts
	opset  int
	typ    tensor.Type // of the floating-point values
	random *rand.Rand
	feeds  map[string]tensor.Dense
	wanted []string
	shapes map[string][]int
	count  int
}

func newNet(opset int, typ tensor.Type, seed uint64) *net {
	return &net{
		parts: graph.Parts{IR: 8, Opsets: []graph.Opset{{Version: opset}}, Name: "net"}, opset: opset, typ: typ, random: rand.New(rand.NewPCG(seed, 7)),
		feeds: map[string]tensor.Dense{}, shapes: map[string][]int{},
	}
}

// fill is how the numbers of an input are drawn.
type fill func(r *rand.Rand, v []float64)

// Functions with kinks are differenced across steps, so the numbers keep away from them.
var (
	// normal draws from the standard normal distribution.
	normal fill = func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = r.NormFloat64()
		}
	}
	// away draws numbers of magnitude 0.3 to 1.8.
	away fill = func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = (0.3 + 1.5*r.Float64()) * float64(2*r.IntN(2)-1)
		}
	}
	// small draws from -0.4 to 0.4.
	small fill = func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = 0.8*r.Float64() - 0.4
		}
	}
	// large draws from 1.5 to 3.
	large fill = func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = 1.5 + 1.5*r.Float64()
		}
	}
	// above draws from 0.6 to 2.
	above fill = func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = 0.6 + 1.4*r.Float64()
		}
	}
	// apart draws numbers that all differ by at least 0.4.
	apart fill = func(r *rand.Rand, v []float64) {
		for i, k := range r.Perm(len(v)) {
			v[i] = 0.4 * (float64(k) - float64(len(v))/2 + 0.1)
		}
	}
)

// off draws like normal, keeping a distance of 0.3 from kinks.
func off(kinks ...float64) fill {
	return func(r *rand.Rand, v []float64) {
		for i := range v {
			for {
				v[i] = 2.5 * r.NormFloat64()
				if !slices.ContainsFunc(kinks, func(k float64) bool { return math.Abs(v[i]-k) < 0.3 }) {
					break
				}
			}
		}
	}
}

// in adds a graph input that a gradient is wanted of.
func (n *net) in(draw fill, shape ...int) string {
	name := n.data(draw, shape...)
	n.wanted = append(n.wanted, name)
	return name
}

// data adds a graph input without a gradient.
func (n *net) data(draw fill, shape ...int) string {
	v := make([]float64, tensor.Product(shape))
	draw(n.random, v)
	return n.feed(n.typ, shape, v)
}

func (n *net) feed(t tensor.Type, shape []int, v []float64) string {
	n.count++
	name := fmt.Sprintf("x%d", n.count)
	raw, err := tensor.Encode(t, v)
	if err != nil {
		panic(err)
	}
	n.feeds[name] = tensor.Dense{Type: t, Shape: shape, Data: raw}
	n.shapes[name] = shape
	n.declare(name, t, shape)
	return name
}

// weight adds an initializer that a gradient is wanted of.
func (n *net) weight(draw fill, shape ...int) string {
	v := make([]float64, tensor.Product(shape))
	draw(n.random, v)
	name := n.constant(n.typ, shape, v)
	n.wanted = append(n.wanted, name)
	return name
}

// constant adds an initializer.
func (n *net) constant(t tensor.Type, shape []int, v []float64) string {
	n.count++
	p, err := onnxio.NewTensor(fmt.Sprintf("c%d", n.count), t, shape, v)
	if err != nil {
		panic(err)
	}
	n.parts.Initializers = append(n.parts.Initializers, p)
	return p.Name()
}

// ints adds a 1-D initializer of int64.
func (n *net) ints(v ...int) string {
	f := make([]float64, len(v))
	for i, x := range v {
		f[i] = float64(x)
	}
	return n.constant(tensor.Int64, []int{len(v)}, f)
}

// scalar adds an initializer without axes.
func (n *net) scalar(v float64) string { return n.constant(n.typ, []int{}, []float64{v}) }

// op adds a node with one output.
func (n *net) op(op string, inputs []string, attributes ...graph.Attr) string {
	return n.ops(op, 1, inputs, attributes...)[0]
}

// ops adds a node with several outputs.
func (n *net) ops(op string, outputs int, inputs []string, attributes ...graph.Attr) []string {
	n.count++
	var out []string
	for i := range outputs {
		out = append(out, fmt.Sprintf("y%d.%d", n.count, i))
	}
	n.parts.Nodes = append(n.parts.Nodes, graph.NewNode(op, fmt.Sprintf("%s_%d", op, n.count), inputs, out, attributes...))
	return out
}

// out makes a value an output of the graph.
func (n *net) out(names ...string) {
	for _, name := range names {
		n.parts.Outputs = append(n.parts.Outputs, graph.NewValue(name, n.typ, nil))
	}
}

// declare adds a graph input.
func (n *net) declare(name string, t tensor.Type, shape []int) {
	n.parts.Inputs = append(n.parts.Inputs, graph.NewValue(name, t, graph.Sizes(orEmpty(shape))))
}

func (n *net) model() *onnxio.Model { return n.parts.Model() }

// session makes a session of a model.
func session(t testing.TB, l *ort.Library, m *onnxio.Model) *ort.Session {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder()})
	if err != nil {
		t.Fatalf("%v\n%s", err, text(m))
	}
	t.Cleanup(s.Close)
	return s
}

// run runs a session and copies its results.
func run(t testing.TB, s *ort.Session, feeds map[string]tensor.Dense, outputs []string) [][]float64 {
	t.Helper()
	r, err := s.Run(context.Background(), feeds, outputs)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out [][]float64
	for i := range r.Len() {
		v, err := r.Get(i).Float64s()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// opened makes every wanted initializer of the net an input, so that differences can be
// taken with respect to it.
func (n *net) opened() (*onnxio.Model, map[string]tensor.Dense) {
	open := *n
	open.parts.Initializers = nil
	feeds := maps.Clone(n.feeds)
	for _, t := range n.parts.Initializers {
		if !slices.Contains(n.wanted, t.Name()) {
			open.parts.Initializers = append(open.parts.Initializers, t)
			continue
		}
		feeds[t.Name()] = must(t.Dense())
		open.declare(t.Name(), t.Type(), t.Shape())
	}
	return open.model(), feeds
}

// check compares the gradients of a net with central differences of order four,
// (f(x-2h) - 8f(x-h) + 8f(x+h) - f(x+2h))/12h, entry by entry.
//
// Their error is h⁴/30 times the fifth derivative, plus about 1.5·ε·|f|/h. In float64 with
// h = 2⁻¹⁰ that is 3e-14 and 2e-13; the tolerance of 1e-8 leaves room for large
// derivatives. In float32 with h = 2⁻⁴ it is 5e-7 and 2e-6, where the runtime's own
// approximations of exp, tanh and erf (about 1e-6) add as much: hence 2e-4. A wrong
// formula is off by far more than either. Both are relative to the largest entry.
func (n *net) check(t *testing.T, l *ort.Library) {
	t.Helper()
	h, tolerance := 1.0/1024, 1e-8
	if n.typ == tensor.Float32 {
		h, tolerance = 1.0/16, 2e-4
	}
	m := n.model()
	values := n.values(t, l, m)
	for _, feed := range [][]string{nil, n.initializers()} {
		if feed != nil && len(feed) == 0 {
			continue
		}
		g, err := Build(m, Options{Values: values, Wanted: n.wanted, Feed: feed})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Model.Close()
		n.compare(t, l, g, values, len(feed) > 0, h, tolerance)
	}
}

// values finds out about the net by a run, and checks that inference says the same.
func (n *net) values(t *testing.T, l *ort.Library, m *onnxio.Model) Values {
	t.Helper()
	values, err := observe(context.Background(), l, graph.Of(m), n.feeds)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range Infer(m, n.shapes) {
		seen, ok := values[name]
		if !ok {
			continue
		}
		if v.Type != tensor.Undefined && v.Type != seen.Type {
			t.Errorf("%s has type %s, inferred %s", name, seen.Type, v.Type)
		}
		if v.Shape != nil && !slices.Equal(v.Shape, seen.Shape) {
			t.Errorf("%s has shape %v, inferred %v", name, seen.Shape, v.Shape)
		}
	}
	return values
}

// initializers names the wanted initializers.
func (n *net) initializers() []string {
	names := []string{}
	for _, t := range n.parts.Initializers {
		if slices.Contains(n.wanted, t.Name()) {
			names = append(names, t.Name())
		}
	}
	return names
}

func (n *net) compare(t *testing.T, l *ort.Library, g *Graph, values Values, fed bool, h, tolerance float64) {
	t.Helper()
	openModel, openFeeds := n.opened()
	forward := session(t, l, openModel)
	feeds := maps.Clone(n.feeds)
	if fed {
		feeds = maps.Clone(openFeeds)
	}
	cotangents := map[string][]float64{}
	outputs := slices.Sorted(maps.Keys(g.Cotangents))
	for _, out := range outputs {
		v := make([]float64, tensor.Product(values[out].Shape))
		normal(n.random, v)
		raw, err := tensor.Encode(n.typ, v)
		if err != nil {
			t.Fatal(err)
		}
		d := tensor.Dense{Type: n.typ, Shape: values[out].Shape, Data: raw}
		feeds[g.Cotangents[out]] = d
		cotangents[out], _ = d.Float64s()
	}
	var names []string
	for _, w := range n.wanted {
		names = append(names, g.Gradients[w])
	}
	got := run(t, session(t, l, g.Model), feeds, names)
	for i, w := range n.wanted {
		want := n.differences(t, forward, openFeeds, w, outputs, cotangents, h)
		if at, off, size := farthest(got[i], want); !(off <= tolerance*max(size, 1)) {
			t.Errorf("gradient of %s (fed: %v): entry %d of %d is off by %.3g of %.3g\n got %.6v\nwant %.6v\n%s",
				w, fed, at, len(want), off, size, head(got[i]), head(want), text(g.Model))
			return
		}
	}
}

// differences is the gradient of a feed by differences.
func (n *net) differences(t *testing.T, forward *ort.Session, feeds map[string]tensor.Dense, name string, outputs []string, cotangents map[string][]float64, h float64) []float64 {
	t.Helper()
	at, err := feeds[name].Float64s()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(at))
	moved := maps.Clone(feeds)
	for i := range at {
		for _, step := range []struct{ by, weight float64 }{{-2, 1}, {-1, -8}, {1, 8}, {2, -1}} {
			v := slices.Clone(at)
			v[i] += step.by * h
			raw, err := tensor.Encode(n.typ, v)
			if err != nil {
				t.Fatal(err)
			}
			moved[name] = tensor.Dense{Type: n.typ, Shape: feeds[name].Shape, Data: raw}
			for k, y := range run(t, forward, moved, outputs) {
				for j, c := range cotangents[outputs[k]] {
					out[i] += step.weight * c * y[j] / (12 * h)
				}
			}
		}
	}
	return out
}

// farthest returns the largest difference, where it is, and the largest entry wanted.
func farthest(got, want []float64) (at int, off, size float64) {
	if len(got) != len(want) {
		return -1, math.Inf(1), 0
	}
	for i := range want {
		size = max(size, math.Abs(want[i]))
		if d := math.Abs(got[i] - want[i]); d > off || math.IsNaN(d) {
			at, off = i, d
			if math.IsNaN(d) {
				return at, math.Inf(1), size
			}
		}
	}
	return at, off, size
}

func head(v []float64) []float64 { return v[:min(len(v), 12)] }
