package outputs

import (
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// order is what a model's tokens see of each other.
type order int

const (
	unknown order = iota
	ahead         // those after them too
	behind        // only those before them, or it is not known
)

// causal tells whether the scores of a position may depend on the tokens before it alone: not where tokens see each other, by attention
// or a recurrence that runs backwards, and nothing in the model hides from them what comes after them. What hides it is a cache, an
// operator that says so, a triangular constant, Trilu, or a comparison of positions.
func (w *walk) causal() bool {
	if w.order == unknown {
		w.order = behind
		if w.mixes() && !hides(w.g) && !w.triangular() {
			w.order = ahead
		}
	}
	return w.order == behind
}

// mixes tells whether positions see others after them, unless something hides these.
func (w *walk) mixes() bool {
	softmax, pairs := false, false
	for _, n := range w.g.Nodes() {
		switch op := n.Op(); {
		case strings.HasSuffix(op, "Attention"):
			return true
		case op == "Softmax":
			softmax = true
		case op == "MatMul" || op == "Einsum" || op == "com.microsoft::FusedMatMul":
			pairs = pairs || len(w.operands(n)) == 2
		case (op == "LSTM" || op == "GRU" || op == "RNN") && n.String("direction", "forward") != "forward":
			return true
		}
	}
	return softmax && pairs
}

// hides tells whether a model has a cache, or a node that hides from tokens those after them.
func hides(g *graph.Graph) bool {
	state := func(v graph.Value) bool { return cached(v.Name()) }
	if slices.ContainsFunc(g.Feeds(), state) || slices.ContainsFunc(g.Outputs(), state) {
		return true
	}
	still := map[string]bool{"": true}
	for t := range graph.Tensors(g.Model()) {
		still[t.Name()] = true
	}
	for _, n := range graph.Walk(g.Model()) {
		switch op := n.Op(); {
		case op == "Constant":
			still[n.Output(0)] = true
		case strings.HasPrefix(op, "com.microsoft::DecoderMasked"),
			slices.Contains([]string{"Trilu", "com.microsoft::GroupQueryAttention", "com.microsoft::SparseAttention", "com.microsoft::LinearAttention"}, op):
			return true
		case strings.HasSuffix(op, "Attention") && (n.Int("is_causal", 0) != 0 || n.Int("unidirectional", 0) != 0):
			return true
		case slices.Contains([]string{"Less", "LessOrEqual", "Greater", "GreaterOrEqual"}, op) && !still[n.Input(0)] && !still[n.Input(1)]:
			return true
		}
	}
	return false
}

// largest is how many numbers of a constant are looked at. What is larger and no weight is a mask.
const largest = 1 << 22

// triangular tells whether a constant that is no weight has one number below its diagonal, and another above.
func (w *walk) triangular() bool {
	for t := range graph.Tensors(w.g.Model()) {
		s := t.Shape()
		n := len(s)
		if n < 2 || s[n-1] != s[n-2] || s[n-1] < 2 || tensor.Product(s) != s[n-1]*s[n-1] || w.weighs(t.Name()) {
			continue
		}
		if t.Len() > largest || splits(t, s[n-1]) {
			return true
		}
	}
	return false
}

// weighs tells whether a constant is a weight of a layer.
func (w *walk) weighs(name string) bool {
	return slices.ContainsFunc(w.g.Uses(name), func(u graph.Use) bool {
		if u.Node.IsZero() {
			return true
		}
		op := u.Node.Op()
		return slices.Contains([]string{"MatMul", "Gemm", "Einsum", "Gather", "Conv", "Transpose", "LSTM", "GRU", "RNN"}, op) || strings.HasSuffix(op, "Attention")
	})
}

// splits tells whether a matrix of n×n has one number on and below its diagonal, and another above.
func splits(t onnxio.Tensor, n int) bool {
	d, err := t.Dense()
	if err != nil {
		return false
	}
	v, err := d.Float64s()
	if err != nil || v[0] == v[1] {
		return false
	}
	for i, x := range v {
		if want := v[0]; x != want && i%n <= i/n || x != v[1] && i%n > i/n {
			return false
		}
	}
	return true
}
