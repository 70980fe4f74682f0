package compound_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// draw makes calls of one operator, with what is random about them.
type draw struct {
	*rand.Rand
	inputs  []string
	feeds   map[string]tensor.Dense
	weights map[string]bool // the feeds that a body takes for constants
	attrs   []graph.Attr
	outputs int
	opset   int
}

func (d *draw) feed(t tensor.Type, shape []int, number func() float64) string {
	v := make([]float64, tensor.Product(shape))
	for i := range v {
		v[i] = number()
	}
	raw, err := tensor.Encode(t, v)
	if err != nil {
		panic(err)
	}
	name := fmt.Sprintf("x%d", len(d.inputs))
	d.feeds[name] = tensor.Dense{Type: t, Shape: shape, Data: raw}
	d.inputs = append(d.inputs, name)
	return name
}

func (d *draw) float(shape ...int) { d.feed(tensor.Float32, shape, d.NormFloat64) }

func (d *draw) ints(t tensor.Type, below int, shape ...int) {
	d.feed(t, shape, func() float64 { return float64(d.IntN(below)) })
}

func (d *draw) list(t tensor.Type, shape []int, v ...int) {
	i := -1
	d.feed(t, shape, func() float64 { i++; return float64(v[i]) })
}

func (d *draw) none() { d.inputs = append(d.inputs, "") }

func (d *draw) coin() bool { return d.IntN(2) == 0 }

// groups are queries of n heads, and keys and values of kv, in three inputs or packed in the first.
func (d *draw) groups(batch, sequence, n, kv, channels int) {
	if d.coin() {
		d.float(batch, sequence, n*channels)
		d.float(batch, sequence, kv*channels)
		d.float(batch, sequence, kv*channels)
		return
	}
	d.float(batch, sequence, (n+2*kv)*channels)
	d.none()
	d.none()
}

// maybe is an input that may be left out.
func (d *draw) maybe(shape ...int) {
	if d.coin() {
		d.float(shape...)
	} else {
		d.none()
	}
}

func (d *draw) attr(a ...graph.Attr) { d.attrs = append(d.attrs, a...) }

func pick[T any](d *draw, list ...T) T { return list[d.IntN(len(list))] }

// cases are the operators with a kernel on processors.
var cases = map[string]func(d *draw){
	"com.microsoft::SkipLayerNormalization": func(d *draw) {
		d.float(2, 3, 8)
		d.float(pick(d, []int{2, 3, 8}, []int{3, 8})...)
		d.float(8)
		d.maybe(8)
		d.maybe(8)
		d.attr(graph.Float("epsilon", 1e-5))
		if d.coin() {
			d.outputs = 4
		}
	},
	"com.microsoft::SkipSimplifiedLayerNormalization": func(d *draw) {
		d.float(2, 3, 8)
		d.float(2, 3, 8)
		d.float(8)
		d.maybe(8)
		d.attr(graph.Float("epsilon", 1e-5))
		if d.coin() {
			d.outputs = 4
		}
	},
	"SimplifiedLayerNormalization": func(d *draw) {
		d.float(2, 3, 8)
		d.float(8)
		d.attr(graph.Int("axis", pick(d, -1, 2)), graph.Float("epsilon", 1e-4))
	},
	"com.microsoft::EmbedLayerNormalization": func(d *draw) {
		d.ints(tensor.Int32, 11, 2, 5)
		segments := d.coin()
		if segments {
			d.ints(tensor.Int32, 2, 2, 5)
		} else {
			d.none()
		}
		d.float(11, 8)
		d.float(7, 8)
		if segments {
			d.float(2, 8)
		} else {
			d.none()
		}
		d.float(8)
		d.float(8)
		if d.coin() {
			d.list(tensor.Int32, []int{2, 5}, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1)
		} else {
			d.none()
		}
		if d.coin() {
			d.ints(tensor.Int32, 7, 2, 5)
		}
		d.outputs = pick(d, 2, 3)
	},
	"com.microsoft::BiasGelu": func(d *draw) { d.float(2, 3, 8); d.float(8) },
	"com.microsoft::Gelu":     func(d *draw) { d.float(2, 3, 8) },
	"com.microsoft::FastGelu": func(d *draw) { d.float(2, 3, 8); d.maybe(8) },
	"com.microsoft::QuickGelu": func(d *draw) {
		d.float(2, 3, 8)
		d.attr(graph.Float("alpha", pick[float32](d, 1, 1.702, 0.5)))
	},
	"com.microsoft::FusedMatMul": func(d *draw) {
		a, b := []int{2, 4, 3}, []int{2, 3, 5}
		if d.coin() {
			a, b = []int{4, 3}, []int{3, 5}
		}
		n := len(a)
		if d.coin() {
			a[n-2], a[n-1] = a[n-1], a[n-2]
			d.attr(graph.Int("transA", 1))
		}
		if d.coin() {
			b[n-2], b[n-1] = b[n-1], b[n-2]
			d.attr(graph.Int("transB", 1))
		}
		d.float(a...)
		d.float(b...)
		d.weights[pick(d, "", "x0", "x1")] = true
		d.attr(graph.Float("alpha", pick[float32](d, 1, 0.3)))
	},
	"com.microsoft::FusedGemm": func(d *draw) {
		d.float(4, 3)
		d.float(5, 3)
		if d.coin() {
			d.float(5)
			d.attr(graph.Float("beta", 0.5))
		}
		d.attr(graph.Int("transB", 1), graph.Float("alpha", 1.5), graph.String("activation", pick(d, "Relu", "LeakyRelu", "Sigmoid", "Tanh")), graph.Float("activation_alpha", 0.2))
	},
	"com.microsoft::FusedConv": func(d *draw) {
		d.float(1, 4, 6, 6)
		d.float(4, 2, 3, 3)
		d.maybe(4)
		if d.coin() {
			d.float(1, 4, 6, 6)
		}
		activation := pick(d, "Relu", "LeakyRelu", "HardSigmoid", "Clip", "Tanh")
		switch d.attr(graph.Int("group", 2), graph.Ints("pads", 1, 1, 1, 1), graph.Ints("kernel_shape", 3, 3), graph.String("activation", activation)); activation {
		case "LeakyRelu":
			d.attr(graph.Floats("activation_params", 0.3))
		case "HardSigmoid":
			d.attr(graph.Floats("activation_params", 0.3, 0.4))
		case "Clip":
			d.attr(graph.Floats("activation_params", -0.5, 0.5))
		}
	},
	"com.microsoft::Attention": func(d *draw) {
		past, same := 0, d.coin()
		if same && d.coin() {
			past = 2
		}
		d.float(2, 5, 7)
		if same {
			d.float(7, 24)
			d.maybe(24)
		} else {
			d.float(7, 28)
			d.maybe(28)
			d.attr(graph.Ints("qkv_hidden_sizes", 8, 8, 12))
		}
		d.weights["x1"] = true
		switch d.IntN(4) {
		case 0:
			d.none()
		case 1:
			d.feed(tensor.Int32, []int{2, 5 + past}, func() float64 { return float64(d.IntN(2)) })
		case 2:
			if past > 0 {
				d.none()
				break
			}
			d.list(tensor.Int32, []int{2}, 3, 5)
		case 3:
			d.feed(tensor.Int32, []int{2, 5, 5 + past}, func() float64 { return float64(d.IntN(2)) })
		}
		switch {
		case past > 0:
			d.float(2, 2, 2, past, 4)
			d.outputs = 2
		default:
			d.none()
		}
		if past == 0 && d.coin() {
			d.float(pick(d, []int{2, 2, 5, 5}, []int{1, 2, 5, 5})...)
		}
		d.attr(graph.Int("num_heads", 2), graph.Int("unidirectional", d.IntN(2)))
		if d.coin() {
			d.attr(graph.Float("scale", 0.3))
		}
	},
	"com.microsoft::MultiHeadAttention": func(d *draw) {
		d.float(2, 3, 8)
		keys := 3
		if d.coin() {
			keys = 4
		}
		past, causal, values := 0, 0, 12
		if d.coin() && keys == 3 {
			past, values = 2, 8
		}
		d.float(2, keys, 8)
		d.float(2, keys, values)
		d.maybe(16 + values)
		switch d.IntN(3) {
		case 0:
			d.none()
		case 1:
			d.feed(tensor.Int32, []int{2, keys + past}, func() float64 { return float64(d.IntN(2)) })
		case 2:
			d.none()
		}
		d.maybe(2, 2, 3, keys+past)
		if past > 0 {
			d.float(2, 2, past, 4)
			d.float(2, 2, past, 4)
			d.outputs = 3
		}
		if keys == 3 {
			causal = d.IntN(2)
		}
		d.attr(graph.Int("num_heads", 2), graph.Int("unidirectional", causal))
	},
	"com.microsoft::GroupQueryAttention": func(d *draw) {
		const batch, channels, n, kv = 2, 16, 4, 2
		sequence, past := pick(d, 1, 5), 0
		if d.coin() {
			past = 3
		}
		if past > 0 {
			sequence = 1
		}
		d.groups(batch, sequence, n, kv, channels)
		d.float(batch, kv, past, channels)
		d.float(batch, kv, past, channels)
		d.list(tensor.Int32, []int{batch}, past+sequence-1, past+sequence-1)
		d.list(tensor.Int32, []int{1}, past+sequence)
		d.attr(graph.Int("num_heads", n), graph.Int("kv_num_heads", kv))
		if d.coin() {
			d.float(16, channels/2)
			d.float(16, channels/2)
			d.attr(graph.Int("do_rotary", 1), graph.Int("rotary_interleaved", d.IntN(2)))
		}
		switch d.IntN(3) {
		case 0:
			d.attr(graph.Int("local_window_size", 2))
		case 1:
			d.attr(graph.Float("softcap", 1.5))
		}
		d.outputs = 3
	},
	"com.microsoft::RotaryEmbedding": func(d *draw) {
		if d.coin() {
			d.float(2, 3, 24)
		} else {
			d.float(2, 3, 4, 8)
		}
		four := len(d.feeds["x0"].Shape) == 4
		sequence := 3
		if four {
			sequence = 4
		}
		if d.coin() {
			d.list(tensor.Int64, []int{1}, 2)
		} else {
			d.ints(tensor.Int64, 10, 2, sequence)
		}
		half := pick(d, 4, 2)
		d.float(10, half)
		d.float(10, half)
		d.attr(graph.Int("interleaved", d.IntN(2)))
		if half == 2 {
			d.attr(graph.Int("rotary_embedding_dim", 4), graph.Int("num_heads", 3))
		}
	},
	"Einsum": func(d *draw) {
		equation := pick(d, "bsh,ho->bso", "bshd,hdo->bso", "bsm,mhd->bhsd", "bsm,hdm->bshd", "om,bm->bo", "bms,mo->bos")
		size := map[rune]int{'b': 2, 's': 3, 'h': 4, 'd': 5, 'o': 6, 'm': 7}
		left, _, _ := strings.Cut(equation, "->")
		for i, term := range strings.Split(left, ",") {
			var shape []int
			for _, r := range term {
				shape = append(shape, size[r])
			}
			d.float(shape...)
			d.weights[fmt.Sprint("x", i)] = (i == 1) != (equation == "om,bm->bo")
		}
		d.attr(graph.String("equation", equation))
	},
	"LSTM": func(d *draw) { recurrent(d, 4) },
	"GRU":  func(d *draw) { recurrent(d, 3); d.attr(graph.Int("linear_before_reset", d.IntN(2))) },
	"RNN":  func(d *draw) { recurrent(d, 1) },
	"RotaryEmbedding": func(d *draw) {
		d.opset = 23
		sequence := 3
		if d.coin() {
			d.float(2, 3, 24)
			d.attr(graph.Int("num_heads", 3))
		} else {
			sequence = 4
			d.float(2, 3, 4, 8)
		}
		half := pick(d, 4, 2)
		if half == 2 {
			d.attr(graph.Int("rotary_embedding_dim", 4))
		}
		if d.coin() {
			d.float(10, half)
			d.float(10, half)
			d.ints(tensor.Int64, 10, 2, sequence)
		} else {
			d.float(2, sequence, half)
			d.float(2, sequence, half)
		}
		d.attr(graph.Int("interleaved", d.IntN(2)))
	},
	"Attention": func(d *draw) {
		d.opset = pick(d, 23, 24)
		n, kv := 4, pick(d, 4, 2)
		keys, past := pick(d, 3, 5), 0
		if d.coin() {
			past = 2
		}
		if d.coin() {
			d.float(2, 3, n*4)
			d.float(2, keys, kv*4)
			d.float(2, keys, kv*6)
			d.attr(graph.Int("q_num_heads", n), graph.Int("kv_num_heads", kv))
		} else {
			d.float(2, n, 3, 4)
			d.float(2, kv, keys, 4)
			d.float(2, kv, keys, 6)
		}
		switch d.IntN(3) {
		case 0:
			d.float(pick(d, []int{3, keys + past}, []int{2, 1, 3, keys + past}, []int{2, n, 3, keys + past})...)
		case 1:
			i := -1
			d.feed(tensor.Bool, []int{3, keys + past}, func() float64 {
				if i++; i%(keys+past) == 0 {
					return 1
				}
				return float64(d.IntN(2))
			})
		default:
			d.none()
		}
		if past > 0 {
			d.float(2, kv, past, 4)
			d.float(2, kv, past, 6)
			d.outputs = 3
		}
		d.attr(graph.Int("is_causal", d.IntN(2)))
		if d.coin() {
			d.attr(graph.Float("softcap", 2))
		}
		if d.coin() {
			d.attr(graph.Float("scale", 0.3))
		}
	},
}

// recurrent draws a recurrent operator of so many gates.
func recurrent(d *draw, gates int) {
	directions := pick(d, 1, 2)
	d.float(5, 2, 7)
	d.float(directions, gates*3, 7)
	d.float(directions, gates*3, 3)
	d.maybe(directions, 2*gates*3)
	d.weights["x1"] = true
	d.attr(graph.Int("hidden_size", 3), graph.String("direction", []string{"forward", "bidirectional"}[directions-1]))
	d.outputs = 2
}

// run loads the nodes as a model and runs it.
func run(t *testing.T, l *ort.Library, d *draw, nodes []graph.Node, outputs []string) []tensor.Dense {
	t.Helper()
	raw, err := model(d, nodes, outputs).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.RunOnce(context.Background(), raw, "", d.feeds, outputs)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// model has nodes that read what was drawn.
func model(d *draw, nodes []graph.Node, outputs []string) graph.Parts {
	p := graph.Parts{IR: 8, Name: "g", Opsets: []graph.Opset{{Version: d.opset}, {Domain: "com.microsoft", Version: 1}}, Nodes: nodes}
	if d.opset > 22 {
		p.IR = 11
	}
	for _, in := range d.inputs {
		if in != "" {
			p.Inputs = append(p.Inputs, graph.NewValue(in, d.feeds[in].Type, graph.Sizes(d.feeds[in].Shape)))
		}
	}
	for _, o := range outputs {
		p.Outputs = append(p.Outputs, graph.NewValue(o, tensor.Undefined, nil))
	}
	return p
}

// drawn draws a call of an operator, and returns the node and the names of its outputs.
func drawn(op string, seed uint64, fill func(*draw)) (d *draw, n graph.Node, named []string) {
	d = &draw{Rand: rand.New(rand.NewPCG(seed, 3)), feeds: map[string]tensor.Dense{}, weights: map[string]bool{}, outputs: 1}
	d.opset = pick(d, 13, 17, 18, 20, 21)
	fill(d)
	var outputs []string
	for i := range d.outputs {
		name := fmt.Sprintf("y%d", i)
		if strings.HasPrefix(op, "com.microsoft::Skip") && (i == 1 || i == 2) {
			name = ""
		}
		outputs = append(outputs, name)
	}
	named = slices.DeleteFunc(slices.Clone(outputs), func(s string) bool { return s == "" })
	return d, graph.NewNode(op, "node", d.inputs, outputs, d.attrs...), named
}

// Gradients pass every body, but those of recurrent operators.
func TestBodiesHaveGradients(t *testing.T) {
	table := compound.NewTable()
	for op, fill := range cases {
		if compound.Recurrent(op) {
			continue
		}
		for seed := range uint64(20) {
			d, n, _ := drawn(op, seed, fill)
			shapes, wanted := map[string][]int{}, []string{}
			for _, in := range d.inputs {
				if in != "" {
					shapes[in] = d.feeds[in].Shape
				}
				if f, ok := d.feeds[in]; ok && f.Type == tensor.Float32 && f.Len() > 0 {
					wanted = append(wanted, in)
				}
			}
			m := model(d, expand(t, table, n, d), []string{"y0"}).Model()
			values := grad.Infer(m, shapes)
			blocked, err := grad.Blocked(m, grad.Options{Values: values, Outputs: []string{"y0"}, Wanted: wanted})
			if err != nil || len(blocked) > 0 {
				t.Errorf("%s, seed %d, opset %d: %v %v", op, seed, d.opset, blocked, err)
				break
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Every body computes what the runtime's kernel of the operator does.
func TestBodiesAgainstKernels(t *testing.T) {
	l := orttest.Open(t)
	table := compound.NewTable()
	for op, fill := range cases {
		t.Run(op, func(t *testing.T) {
			for seed := range uint64(40) {
				d, n, named := drawn(op, seed, fill)
				want := run(t, l, d, []graph.Node{n}, named)
				nodes := expand(t, table, n, d)
				for i, got := range run(t, l, d, nodes, named) {
					if why := differ(got, want[i]); why != "" {
						t.Fatalf("seed %d, opset %d, inputs %v, %v: output %s: %s", seed, d.opset, shapesOf(d), attrsOf(d), named[i], why)
					}
				}
			}
		})
	}
}

// expand returns the body of a node, and of what is compound in it.
func expand(t *testing.T, table compound.Table, n graph.Node, d *draw) []graph.Node {
	t.Helper()
	names := graph.NewNameSet(graph.Parts{IR: 8, Opsets: []graph.Opset{{Version: d.opset}}, Nodes: []graph.Node{n}}.Model())
	shapes := map[string][]int{}
	for name, f := range d.feeds {
		shapes[name] = f.Shape
	}
	known := compound.Known{
		Opset:    d.opset,
		Shape:    func(v string) ([]int, bool) { s, ok := shapes[v]; return s, ok },
		Type:     func(v string) tensor.Type { return d.feeds[v].Type },
		Constant: func(v string) bool { return d.weights[v] },
	}
	nodes, err := table.Body(n, known, names)
	if err != nil {
		t.Fatalf("%v, %v: %v", shapesOf(d), attrsOf(d), err)
	}
	var out []graph.Node
	for _, inner := range nodes {
		if !table.Has(inner.Op()) || inner.Op() == n.Op() {
			out = append(out, inner)
			continue
		}
		for i := range 3 { // of a MultiHeadAttention in an Attention
			x := d.feeds[d.inputs[0]].Shape
			sizes := []int{8, 8, 8}
			if len(n.Attrs()) > 0 && n.Ints("qkv_hidden_sizes") != nil {
				sizes = n.Ints("qkv_hidden_sizes")
			}
			shapes[inner.Input(i)] = []int{x[0], x[1], sizes[i]}
		}
		for i, in := range inner.Inputs() {
			if i > 5 {
				past := d.feeds[n.Input(4)].Shape
				shapes[in] = past[1:]
			}
		}
		more, err := table.Body(inner, known, names)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, more...)
	}
	return out
}

func shapesOf(d *draw) (out []string) {
	for _, in := range d.inputs {
		out = append(out, fmt.Sprint(in, d.feeds[in].Shape))
	}
	return out
}

func attrsOf(d *draw) (out []string) {
	n := graph.NewNode("x", "", nil, nil, d.attrs...)
	for _, a := range d.attrs {
		out = append(out, fmt.Sprint(a.Name(), "=", n.Int(a.Name(), -7), n.Ints(a.Name()), n.Float(a.Name(), -7), n.String(a.Name(), "")))
	}
	return out
}

// differ says how two results differ by more than rounding.
func differ(got, want tensor.Dense) string {
	if !slices.Equal(got.Shape, want.Shape) || got.Type != want.Type {
		return fmt.Sprintf("%v %v, want %v %v", got.Type, got.Shape, want.Type, want.Shape)
	}
	a, _ := got.Float64s()
	b, _ := want.Float64s()
	for i := range a {
		if !(math.Abs(a[i]-b[i]) <= 1e-5*max(1, math.Abs(b[i]))) {
			return fmt.Sprintf("element %d is %v, want %v", i, a[i], b[i])
		}
	}
	return ""
}
