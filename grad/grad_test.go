package grad

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// inferred are the values of a net without a run.
func (n *net) inferred(m *onnxio.Model) Values { return Infer(m, n.shapes) }

// gradients runs the gradients of a net for given cotangents, all ones where there is none.
func (n *net) gradients(t *testing.T, o Options, cotangents map[string][]float64) map[string][]float64 {
	t.Helper()
	m := n.model()
	if o.Values == nil {
		o.Values = n.inferred(m)
	}
	if o.Wanted == nil {
		o.Wanted = n.wanted
	}
	g, err := Build(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Model.Close()
	feeds := maps.Clone(n.feeds)
	for out, in := range g.Cotangents {
		shape := o.Values[out].Shape
		v, ok := cotangents[out]
		if !ok {
			v = make([]float64, tensor.Product(shape))
			for i := range v {
				v[i] = 1
			}
		}
		feeds[in] = tensor.Dense{Type: n.typ, Shape: shape, Data: must(tensor.Encode(n.typ, v))}
	}
	names := make([]string, len(o.Wanted))
	for i, w := range o.Wanted {
		names[i] = g.Gradients[w]
	}
	out := map[string][]float64{}
	for i, v := range run(t, session(t, orttest.Open(t), g.Model), feeds, names) {
		out[o.Wanted[i]] = v
	}
	return out
}

// At kinks and ties the gradients are as the package says.
func TestConventions(t *testing.T) {
	window := attrs{graph.Ints("kernel_shape", 2, 2)}
	for _, c := range []struct {
		name   string
		opset  int
		op     string
		shape  []int
		x      []float64
		more   []float64 // a second input
		a      []graph.Attr
		g      []float64
		dx, dy []float64
	}{
		{"MaxPool takes the first", 12, "MaxPool", []int{1, 1, 2, 3}, []float64{1, 5, 5, 2, 5, 0}, nil, window, []float64{2, 3}, []float64{0, 5, 0, 0, 0, 0}, nil},
		{"MaxPool takes the first", 16, "MaxPool", []int{1, 1, 2, 3}, []float64{1, 5, 5, 2, 5, 0}, nil, window, []float64{2, 3}, []float64{0, 5, 0, 0, 0, 0}, nil},
		{"MaxPool of zeros", 12, "MaxPool", []int{1, 1, 2, 3}, make([]float64, 6), nil, window, []float64{2, 3}, []float64{2, 3, 0, 0, 0, 0}, nil},
		{"MaxPool of zeros", 16, "MaxPool", []int{1, 1, 2, 3}, make([]float64, 6), nil, window, []float64{2, 3}, []float64{2, 3, 0, 0, 0, 0}, nil},
		{"GlobalMaxPool shares", 13, "GlobalMaxPool", []int{1, 1, 4}, []float64{3, 1, 3, 2}, nil, nil, []float64{2}, []float64{1, 0, 1, 0}, nil},
		{"ReduceMax shares", 13, "ReduceMax", []int{4}, []float64{3, 1, 3, 2}, nil, nil, []float64{2}, []float64{1, 0, 1, 0}, nil},
		{"ReduceMin shares", 13, "ReduceMin", []int{4}, []float64{3, 1, 3, 1}, nil, nil, []float64{2}, []float64{0, 1, 0, 1}, nil},
		{"Max shares", 13, "Max", []int{3}, []float64{1, 2, 3}, []float64{1, 3, 2}, nil, []float64{2, 2, 2}, []float64{1, 0, 2}, []float64{1, 2, 0}},
		{"Relu at 0", 13, "Relu", []int{3}, []float64{-1, 0, 1}, nil, nil, []float64{1, 1, 1}, []float64{0, 0, 1}, nil},
		{"Abs at 0", 13, "Abs", []int{3}, []float64{-1, 0, 1}, nil, nil, []float64{1, 1, 1}, []float64{-1, 0, 1}, nil},
		{"LeakyRelu at 0", 13, "LeakyRelu", []int{3}, []float64{-1, 0, 1}, nil, attrs{graph.Float("alpha", 0.5)}, []float64{1, 1, 1}, []float64{0.5, 0.5, 1}, nil},
		{"Clip at its bounds", 10, "Clip", []int{4}, []float64{-2, -1, 1, 2}, nil, attrs{graph.Float("min", -1), graph.Float("max", 1)}, []float64{1, 1, 1, 1}, []float64{0, 1, 1, 0}, nil},
		{"ReduceL2 of zeros", 13, "ReduceL2", []int{2}, []float64{0, 0}, nil, nil, []float64{1}, []float64{0, 0}, nil},
		{"Pow of negative bases", 13, "Pow", []int{2}, []float64{-2, 3}, []float64{2, 0}, nil, []float64{1, 1}, []float64{-4, 0}, []float64{0, 1.0986123}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(c.opset, tensor.Float32, 1)
			inputs := []string{n.feed(n.typ, c.shape, c.x)}
			if c.more != nil {
				inputs = append(inputs, n.feed(n.typ, c.shape, c.more))
			}
			n.wanted = slices.Clone(inputs)
			y := n.op(c.op, inputs, c.a...)
			n.out(y)
			got := n.gradients(t, Options{}, map[string][]float64{y: c.g})
			for i, want := range [][]float64{c.dx, c.dy}[:len(inputs)] {
				if _, off, _ := farthest(got[inputs[i]], want); off > 1e-6 {
					t.Errorf("gradient of input %d is %v, wanted %v", i, got[inputs[i]], want)
				}
			}
		})
	}
}

// A small graph with fan-out, two outputs, and an integer branch.
func branching(opset int) (n *net, x, mid, y, z string) {
	n = newNet(opset, tensor.Float32, 3)
	x = n.in(away, 2, 3)
	w := n.weight(normal, 3, 3)
	mid = n.op("MatMul", []string{x, w})
	relu := n.op("Relu", []string{mid})
	shape := n.op("Shape", []string{relu})
	y = n.op("Add", []string{n.op("Mul", []string{mid, relu}), n.op("Reshape", []string{x, shape})})
	z = n.op("ReduceSum", []string{n.op("MatMul", []string{relu, w})}, graph.Int("keepdims", 0))
	n.wanted = append(n.wanted, mid)
	n.out(y, z)
	return n, x, mid, y, z
}

// What several nodes read gets the sum, and outputs count together.
func TestFanOut(t *testing.T) {
	l := orttest.Open(t)
	n, _, mid, _, _ := branching(13)
	n.wanted = slices.DeleteFunc(n.wanted, func(s string) bool { return s == mid })
	n.check(t, l)
}

// The gradient of an intermediate value is that of an input in its place.
func TestIntermediateValues(t *testing.T) {
	n, x, mid, y, z := branching(13)
	got := n.gradients(t, Options{Wanted: []string{mid, y, x}}, map[string][]float64{z: {2}})

	cut := newNet(13, tensor.Float32, 3)
	cut.in(away, 2, 3)
	cut.weight(normal, 3, 3)
	values := must(run1(t, n, mid).Float64s())
	c := cut.feed(tensor.Float32, []int{2, 3}, values)
	cut.count++ // the names that follow are those of the first graph
	relu := cut.op("Relu", []string{c})
	cy := cut.op("Add", []string{cut.op("Mul", []string{c, relu}), "x1"})
	cz := cut.op("ReduceSum", []string{cut.op("MatMul", []string{relu, "c2"})}, graph.Int("keepdims", 0))
	cut.out(cy, cz)
	want := cut.gradients(t, Options{Wanted: []string{c}}, map[string][]float64{cz: {2}})
	if _, off, size := farthest(got[mid], want[c]); off > 1e-6*size {
		t.Errorf("gradient of the value %v, of an input in its place %v", got[mid], want[c])
	}
	// An output's own gradient is its cotangent, plus what goes through other outputs.
	if _, off, _ := farthest(got[y], []float64{1, 1, 1, 1, 1, 1}); off != 0 {
		t.Errorf("gradient of the output %v, wanted its cotangent", got[y])
	}
}

// What reads a constant value passes it no gradient, so that of x is what comes around it.
func TestConstantValues(t *testing.T) {
	n, x, mid, y, z := branching(13)
	got := n.gradients(t, Options{Wanted: []string{x}, Constant: []string{mid}}, nil)
	around := n.gradients(t, Options{Wanted: []string{x}, Outputs: []string{y}}, nil)
	if _, off, _ := farthest(got[x], []float64{1, 1, 1, 1, 1, 1}); off != 0 {
		t.Errorf("gradient %v, wanted ones; of the other way too it is %v", got[x], around[x])
	}
	if _, off, _ := farthest(around[x], got[x]); off == 0 {
		t.Error("there is no other way, so nothing is shown")
	}
	m := n.model()
	if _, err := Build(m, Options{Values: n.inferred(m), Wanted: []string{x}, Outputs: []string{z}, Constant: []string{"q"}}); err == nil || !strings.Contains(err.Error(), `"q", which is to count as a constant`) {
		t.Errorf("an unknown value: %v", err)
	}
}

// run1 runs the forward pass of a net for one value.
func run1(t *testing.T, n *net, name string) tensor.Dense {
	t.Helper()
	one := n.parts
	one.Outputs = undeclared([]string{name})
	r, err := session(t, orttest.Open(t), one.Model()).Run(context.Background(), n.feeds, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d := r.Get(0)
	d.Data = slices.Clone(d.Data)
	return d
}

// A value that no output depends on has the gradient zero.
func TestNoPath(t *testing.T) {
	for _, opset := range []int{7, 13} {
		n := newNet(opset, tensor.Float32, 1)
		x, w := n.in(normal, 2, 3), n.weight(normal, 3)
		dead := n.op("Mul", []string{x, w})
		floor := n.op("Floor", []string{w})
		n.wanted = append(n.wanted, dead)
		n.out(n.op("Add", []string{x, floor}))
		got := n.gradients(t, Options{}, nil)
		for _, name := range []string{w, dead} {
			if _, off, _ := farthest(got[name], make([]float64, len(got[name]))); off != 0 || len(got[name]) == 0 {
				t.Errorf("opset %d: gradient of %s is %v, wanted zeros", opset, name, got[name])
			}
		}
		if _, off, _ := farthest(got[x], []float64{1, 1, 1, 1, 1, 1}); off != 0 {
			t.Errorf("opset %d: gradient of x is %v, wanted ones", opset, got[x])
		}
	}
}

// Chosen outputs, kept values and fed initializers are what the model takes and gives.
func TestOptions(t *testing.T) {
	n, x, mid, _, z := branching(13)
	m := n.model()
	before := must(m.Marshal())
	o := Options{Values: n.inferred(m), Outputs: []string{z}, Wanted: n.wanted, Keep: []string{mid, z}, Feed: []string{"c2"}}
	g, err := Build(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Model.Close()
	if !bytes.Equal(before, must(m.Marshal())) {
		t.Error("Build changed the model")
	}
	shared := 0
	for _, node := range graph.Of(g.Model).Nodes() {
		if own, ok := graph.Of(m).Producer(node.Output(0)); own == node {
			shared++
		} else if ok {
			t.Errorf("node %q is not the original's own", node.Output(0))
		}
	}
	if shared == 0 {
		t.Error("no node is the original's own")
	}
	var inputs, outputs []string
	for _, v := range graph.Of(g.Model).Inputs() {
		inputs = append(inputs, v.Name())
	}
	for _, v := range graph.Of(g.Model).Outputs() {
		outputs = append(outputs, v.Name())
	}
	if want := []string{x, "c2", g.Cotangents[z]}; !slices.Equal(inputs, want) {
		t.Errorf("inputs %q, wanted %q", inputs, want)
	}
	if want := []string{z, mid, g.Gradients[x], g.Gradients["c2"], g.Gradients[mid]}; !slices.Equal(outputs, want) {
		t.Errorf("outputs %q, wanted %q", outputs, want)
	}
	if len(graph.Of(g.Model).Initializers()) != len(n.parts.Initializers)-1 {
		t.Error("the fed initializer is still there")
	}
	again, err := Build(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Model.Close()
	if !bytes.Equal(must(g.Model.Marshal()), must(again.Model.Marshal())) {
		t.Error("the same call gave another model")
	}
}

// Values with the same gradient have an output each.
func TestOutputsOfTheirOwn(t *testing.T) {
	n := newNet(13, tensor.Float32, 1)
	a, b := n.in(normal, 3), n.in(normal, 3)
	y := n.op("Add", []string{a, b})
	n.wanted = append(n.wanted, y)
	n.out(n.op("Identity", []string{y}))
	m := n.model()
	g, err := Build(m, Options{Values: n.inferred(m), Wanted: append(n.wanted, a)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Model.Close()
	if names := slices.Sorted(maps.Values(g.Gradients)); len(slices.Compact(names)) != 3 {
		t.Errorf("gradients %v of three values", g.Gradients)
	}
}

// Up to IR version 3 initializers are inputs too; constants of the gradient must not ask
// for that.
func TestOldModel(t *testing.T) {
	n := newNet(7, tensor.Float32, 1)
	x, w := n.in(normal, 2, 3, 5, 5), n.weight(normal, 2, 3, 3, 3)
	n.out(n.op("Conv", []string{x, w}, graph.Ints("strides", 2, 2)))
	n.declare(w, n.typ, []int{2, 3, 3, 3})
	n.parts.IR = 3
	m := n.model()
	for _, feed := range [][]string{nil, {w}} {
		g, err := Build(m, Options{Values: n.inferred(m), Wanted: n.wanted, Feed: feed})
		if err != nil {
			t.Fatal(err)
		}
		session(t, orttest.Open(t), g.Model)
		if err := g.Model.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	n, x, _, y, _ := branching(13)
	m := n.model()
	values := n.inferred(m)
	old := newNet(6, tensor.Float32, 1)
	old.out(old.op("Relu", []string{old.in(normal, 2)}))
	ints := newNet(13, tensor.Float32, 1)
	shape := ints.op("Shape", []string{ints.in(normal, 2)})
	im := ints.model()
	for _, c := range []struct {
		name string
		m    *onnxio.Model
		o    Options
		want string
	}{
		{"nothing wanted", m, Options{Values: values}, "no value to differentiate"},
		{"unknown value", m, Options{Values: values, Wanted: []string{"q"}}, `"q" is not in the main graph`},
		{"unknown output", m, Options{Values: values, Wanted: []string{x}, Outputs: []string{"q"}}, `"q" is not in the main graph`},
		{"output twice", m, Options{Values: values, Wanted: []string{x}, Outputs: []string{y, y}}, "named twice"},
		{"unknown value kept", m, Options{Values: values, Wanted: []string{x}, Keep: []string{"q"}}, `"q" is not in the main graph`},
		{"no initializer", m, Options{Values: values, Wanted: []string{x}, Feed: []string{x}}, "is no initializer"},
		{"no values", m, Options{Wanted: []string{x}, Outputs: []string{y}}, "is not known"},
		{"no values, no outputs", m, Options{Wanted: []string{x}}, "no output of a floating-point type"},
		{"integer value", im, Options{Values: ints.inferred(im), Wanted: []string{shape}, Outputs: []string{"x1"}}, "of type int64"},
		{"old operators", old.model(), Options{Values: Values{}, Wanted: []string{"x1"}}, "operator set 6"},
	} {
		_, err := Build(c.m, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, wanted one with %q", c.name, err, c.want)
		}
	}
}

// blockedNet has an operator without a rule behind x1 and none behind the others.
func blockedNet() (n *net, x, mid, free string) {
	n = newNet(13, tensor.Float32, 1)
	x, free = n.in(normal, 2, 3), n.in(normal, 2, 3)
	mid = n.op("Mul", []string{x, free})
	sum := n.op("CumSum", []string{n.op("Relu", []string{x}), n.constant(tensor.Int64, []int{}, []float64{1})})
	hard := n.op("Hardmax", []string{sum})
	n.out(n.op("Add", []string{n.op("Add", []string{sum, hard}), mid}))
	return n, x, mid, free
}

// What stands in the way is named, with all of its kind, and the rest can be had.
func TestBlocked(t *testing.T) {
	n, x, mid, free := blockedNet()
	m := n.model()
	o := Options{Values: n.inferred(m), Wanted: []string{x, mid, free}}
	_, err := Build(m, o)
	var blocked *BlockedError
	if !errors.As(err, &blocked) {
		t.Fatalf("error %v", err)
	}
	if ops := blocked.Operators(); !slices.Equal(ops, []string{"CumSum", "Hardmax"}) {
		t.Errorf("operators %q", ops)
	}
	for _, want := range []string{x, "CumSum", "Hardmax", "no rule"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not have %q", err, want)
		}
	}
	found, err := Blocked(m, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || len(found[x]) != 2 || found[x][0].Op != "CumSum" || found[x][1].Op != "Hardmax" {
		t.Errorf("blocked %v", found)
	}
	got := n.gradients(t, Options{Wanted: []string{mid, free}}, nil)
	if _, off, _ := farthest(got[mid], []float64{1, 1, 1, 1, 1, 1}); off != 0 {
		t.Errorf("gradient beside the hindrance %v, wanted ones", got[mid])
	}
}

// The ways in which a node can stand in the way.
func TestHindrances(t *testing.T) {
	for _, c := range []struct {
		name  string
		opset int
		build func(n *net)
		want  string
	}{
		{"another domain", 13, func(n *net) {
			n.parts.Opsets = append(n.parts.Opsets, graph.Opset{Domain: "com.example", Version: 1})
			n.out(n.op("com.example::Relu", []string{n.in(normal, 2)}))
		}, `com.example::Relu`},
		{"a subgraph reads it", 13, func(n *net) {
			x := n.in(normal, 2)
			branch := func(op string) graph.Attr {
				inner := newNet(13, n.typ, 1)
				inner.count = 100 * len(op)
				inner.out(inner.op(op, []string{x}))
				return graph.Body(map[string]string{"Relu": "then_branch", "Neg": "else_branch"}[op], inner.parts)
			}
			n.out(n.op("If", []string{n.constant(tensor.Bool, []int{}, []float64{1})}, branch("Relu"), branch("Neg")))
		}, `If "If_`},
		{"normalization in training mode", 14, func(n *net) {
			n.out(n.ops("BatchNormalization", 3, []string{
				n.in(normal, 2, 3, 4), n.weight(normal, 3), n.weight(normal, 3), n.weight(normal, 3), n.weight(above, 3),
			}, graph.Int("training_mode", 1))[0])
		}, "training mode"},
		{"dropout in training mode", 13, func(n *net) {
			n.out(n.op("Dropout", []string{n.in(normal, 3), n.constant(tensor.Float32, []int{}, []float64{0.5}), n.constant(tensor.Bool, []int{}, []float64{1})}))
		}, "training mode"},
		{"a diagonal", 13, func(n *net) {
			n.out(n.op("Einsum", []string{n.in(normal, 3, 3)}, graph.String("equation", "ii->i")))
		}, "diagonal"},
		{"antialiased resampling", 18, func(n *net) {
			n.out(n.op("Resize", []string{n.in(normal, 1, 1, 4, 4), "", n.constant(tensor.Float32, []int{4}, []float64{1, 1, 0.5, 0.5})},
				graph.String("mode", "linear"), graph.Int("antialias", 1)))
		}, "antialiasing"},
		{"cropped resampling", 13, func(n *net) {
			n.out(n.op("Resize", []string{n.in(normal, 1, 1, 4, 4), n.constant(tensor.Float32, []int{8}, []float64{0, 0, 0, 0, 1, 1, 1, 1}), n.constant(tensor.Float32, []int{4}, []float64{1, 1, 2, 2})},
				graph.String("coordinate_transformation_mode", "tf_crop_and_resize")))
		}, "tf_crop_and_resize"},
		{"a padding value", 13, func(n *net) {
			v := n.weight(normal)
			n.wanted = []string{v}
			n.out(n.op("Pad", []string{n.data(normal, 3), n.ints(1, 1), v}))
		}, "no gradient with respect to"},
		{"the statistics of a normalization", 17, func(n *net) {
			out := n.ops("LayerNormalization", 3, []string{n.in(normal, 2, 3), n.weight(normal, 3)})
			n.out(out[0], out[1])
		}, "no gradient from output 1"},
		{"an unknown shape", 13, func(n *net) {
			x := n.in(normal, 3)
			n.out(n.op("Relu", []string{n.op("Compress", []string{x, n.feed(tensor.Bool, []int{3}, []float64{1, 0, 1})})}))
		}, "Compress"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(c.opset, tensor.Float32, 1)
			c.build(n)
			m := n.model()
			values := n.inferred(m)
			for _, out := range n.parts.Outputs { // the outputs' own shapes are no obstacle here
				if v := values[out.Name()]; v.Shape == nil {
					values[out.Name()] = Value{Type: n.typ, Shape: []int{2}}
				}
			}
			_, err := Build(m, Options{Values: values, Wanted: n.wanted})
			var blocked *BlockedError
			if !errors.As(err, &blocked) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, wanted a BlockedError with %q", err, c.want)
			}
		})
	}
}

// An operator without a rule matters only between a wanted value and an output.
func TestOutOfTheWay(t *testing.T) {
	n := newNet(13, tensor.Float32, 1)
	before := n.op("CumSum", []string{n.data(normal, 2, 3), n.constant(tensor.Int64, []int{}, []float64{1})})
	w := n.weight(normal, 3)
	y := n.op("Mul", []string{before, w})
	n.out(y, n.op("CumSum", []string{y, n.constant(tensor.Int64, []int{}, []float64{0})}))
	got := n.gradients(t, Options{Outputs: []string{y}}, nil)
	if len(got[w]) != 3 {
		t.Errorf("gradient %v", got[w])
	}
}

// Observe says what a run cannot find.
func TestObserveErrors(t *testing.T) {
	n, x, _, _, _ := branching(13)
	_, err := Observe(context.Background(), orttest.Open(t), n.model(), nil)
	if err == nil || !strings.Contains(err.Error(), x) {
		t.Errorf("without inputs: error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Observe(ctx, orttest.Open(t), n.model(), n.feeds); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// Observe finds shapes that depend on numbers.
func TestObserveFindsMore(t *testing.T) {
	n := newNet(13, tensor.Float32, 1)
	x := n.in(normal, 4)
	y := n.op("Compress", []string{x, n.feed(tensor.Bool, []int{4}, []float64{1, 0, 1, 1})})
	n.out(y)
	m := n.model()
	if v := n.inferred(m)[y]; v.Shape != nil {
		t.Fatalf("inferred %v: the case is none", v)
	}
	values, err := Observe(context.Background(), orttest.Open(t), m, n.feeds)
	if err != nil {
		t.Fatal(err)
	}
	if v := values[y]; v.Type != tensor.Float32 || !slices.Equal(v.Shape, []int{3}) {
		t.Errorf("observed %v", v)
	}
}

// sized notes the largest model that it was given.
type sized struct {
	Runtime
	most int
}

func (s *sized) OutputTypes(model []byte, folder string) (map[string]tensor.Type, error) {
	s.most = max(s.most, len(model))
	return s.Runtime.OutputTypes(model, folder)
}

func (s *sized) RunOnce(ctx context.Context, model []byte, folder string, inputs map[string]tensor.Dense, outputs []string) ([]tensor.Dense, error) {
	s.most = max(s.most, len(model))
	return s.Runtime.RunOnce(ctx, model, folder, inputs, outputs)
}

// TestObserveLeavesWeights: what is run to observe a model has not its weights, which stay in their file.
func TestObserveLeavesWeights(t *testing.T) {
	n := newNet(13, tensor.Float32, 1)
	x := n.op("MatMul", []string{n.in(normal, 4, 64), n.weight(normal, 64, 128)})
	y := n.op("Compress", []string{x, n.feed(tensor.Bool, []int{4}, []float64{1, 0, 1, 1})}, graph.Int("axis", 0))
	n.out(y)
	data, err := n.model().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := &sized{Runtime: orttest.Open(t)}
	values, err := Observe(context.Background(), r, m, n.feeds)
	if v := values[y]; err != nil || !slices.Equal(v.Shape, []int{3, 128}) {
		t.Errorf("observed %v (%v)", v, err)
	}
	if r.most == 0 || r.most >= 4*64*128 {
		t.Errorf("a model of %d bytes was run, of a file of %d", r.most, len(data))
	}
}

// Models in half precision get gradients in half precision.
func TestHalfPrecision(t *testing.T) {
	build := func(typ tensor.Type) *net {
		n := newNet(13, typ, 5)
		y := n.op("Relu", []string{n.op("Conv", []string{n.in(away, 1, 3, 4, 4), n.weight(away, 2, 3, 3, 3)})})
		y = n.op("Softmax", []string{n.op("MaxPool", []string{y}, graph.Ints("kernel_shape", 2, 2))}, graph.Int("axis", 1))
		n.out(n.op("Gemm", []string{n.op("Flatten", []string{y}), n.weight(away, 2, 3)}))
		return n
	}
	half, single := build(tensor.Float16), build(tensor.Float32)
	got, want := half.gradients(t, Options{}, nil), single.gradients(t, Options{}, nil)
	for _, name := range half.wanted {
		// Float16 has 11 bits; the inputs alone are off by 2⁻¹².
		if _, off, size := farthest(got[name], want[name]); off > 1.0/64*size || size == 0 {
			t.Errorf("gradient of %s is off by %g of %g", name, off, size)
		}
	}
}
