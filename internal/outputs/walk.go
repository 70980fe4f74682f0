package outputs

import (
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
)

// walk follows values from the outputs back.
type walk struct {
	g *graph.Graph
	// fed are the values whose numbers depend on the inputs' numbers, not their sizes alone.
	fed map[string]bool
	// origin names, by value, the node that makes sizes depend on numbers.
	origin map[string]string
	// suppressed are the values behind a non-maximum suppression.
	suppressed map[string]bool
	// batch has the names of the inputs' open dimensions, whatever axes these are; open tells that one of them has an open axis 0.
	batch map[string]bool
	open  bool
	// tables are those that ids are looked up in, nil as long as nobody asked for them.
	tables []table
	// order is what attention says of the order of tokens, unknown as long as nobody asked.
	order order
	// known are the values that scores has an answer for.
	known map[string]bool
}

func newWalk(g *graph.Graph) *walk {
	w := &walk{g: g, fed: map[string]bool{}, origin: map[string]string{}, suppressed: map[string]bool{}, batch: map[string]bool{}, known: map[string]bool{}}
	for _, in := range g.Feeds() {
		w.fed[in.Name()] = true
		for i, d := range in.Dims() {
			if d.Size <= 0 && d.Name != "" {
				w.batch[d.Name] = true
			}
			w.open = w.open || i == 0 && d.Size <= 0
		}
		w.open = w.open || in.Dims() == nil
	}
	for _, n := range g.Nodes() {
		w.node(n)
	}
	return w
}

// lying is a model's graph with the nodes of local functions, and of one branch of every If, in the main graph, so that what makes an output
// is seen wherever it stands: kinds are the same whether a model lies open or not.
func lying(g *graph.Graph) *graph.Graph {
	o := graph.Open(g.Model(), func(n graph.Node, _ bool) graph.Branches {
		if n.Op() == "If" {
			return graph.Then
		}
		return graph.Closed
	})
	if o == nil {
		return g
	}
	return graph.Of(o.Model)
}

// node notes what a node hands on from its inputs.
func (w *walk) node(n graph.Node) {
	fed, origin, suppressed := false, "", n.Op() == "NonMaxSuppression" || strings.HasSuffix(n.Op(), "NMS_TRT")
	for _, in := range n.Reads() {
		fed, suppressed = fed || w.fed[in], suppressed || w.suppressed[in]
		if origin == "" {
			origin = w.origin[in]
		}
	}
	switch n.Op() {
	case "Shape", "Size":
		fed = origin != "" // sizes that depend on numbers are numbers that do
	case "NonMaxSuppression", "NonZero", "Unique", "Compress", "If":
		if fed {
			origin = n.Label()
		}
	case "Loop":
		if fed && !w.counted(n) {
			origin = n.Label()
		}
	}
	for _, out := range n.Outputs() {
		w.suppressed[out] = suppressed
		if w.fed[out] = fed; origin != "" {
			w.origin[out] = origin
		}
	}
}

// counted tells whether a Loop runs as often as sizes say, and makes nothing whose sizes depend on numbers: its condition is handed on as it
// is, and nothing of that kind is in its body.
func (w *walk) counted(n graph.Node) bool {
	g, ok := n.Graph(w.g.Model(), "body")
	if !ok || len(g.Inputs()) < 2 || len(g.Outputs()) == 0 || n.Input(0) == "" || w.fed[n.Input(0)] || w.fed[n.Input(1)] {
		return false
	}
	for _, inner := range g.Nodes() {
		if slices.Contains([]string{"NonMaxSuppression", "NonZero", "Unique", "Compress", "If", "Loop"}, inner.Op()) {
			return false
		}
	}
	goes := g.Outputs()[0].Name()
	for range deepest {
		made, ok := g.Producer(goes)
		if !ok || made.Op() != "Identity" && made.Op() != "Cast" {
			break
		}
		goes = made.Input(0)
	}
	_, inside := g.Constant(goes)
	_, around := w.g.Constant(goes)
	return inside || around || goes == g.Inputs()[1].Name()
}

// varies names the node that makes the sizes of an output depend on the data: one stands before it, and a size is open that is
// no input's.
func (w *walk) varies(v graph.Value) string {
	dims := v.Dims()
	open := dims == nil
	for i, d := range dims {
		if d.Size >= 0 || d.Name != "" && w.batch[d.Name] || i == 0 && d.Name == "" && w.open {
			continue
		}
		open = true
	}
	if !open {
		return ""
	}
	return w.origin[v.Name()]
}

// axis is that along which the samples lie: the only one that has the name of the inputs' first axes, or where those are open without
// a name, and nothing else of the inputs is, the only open one. A size that inputs and outputs share may be chance.
func (w *walk) axis(v graph.Value) int {
	var first graph.Dim
	for i, in := range w.g.Feeds() {
		dims := in.Dims()
		if len(dims) == 0 || dims[0].Size > 0 || i > 0 && dims[0].Name != first.Name || dims[0].Name == "" && open(dims[1:]) {
			return Undeclared
		}
		first = dims[0]
	}
	axis := Undeclared
	for i, d := range v.Dims() {
		if d.Size > 0 || d.Name != first.Name {
			continue
		}
		if axis != Undeclared {
			return Undeclared
		}
		axis = i
	}
	return axis
}

// open tells whether a dimension is.
func open(dims []graph.Dim) bool {
	return slices.ContainsFunc(dims, func(d graph.Dim) bool { return d.Size <= 0 })
}

// deepest bounds how far back a walk along one line goes.
const deepest = 64

// scores tells whether the numbers of a value can be class scores, by the nodes that make it: the largest of the numbers
// that a linear layer or a softmax gives names a class. Numbers that were normalized, bounded or activated after their
// last linear layer, or divided by what they depend on themselves (their norm, or the length of a text), are features or
// an embedding. What is not known may be scores.
func (w *walk) scores(value string) bool {
	answer, ok := w.known[value]
	if !ok {
		w.known[value] = true // where a cycle comes back here
		answer = w.judge(value)
		w.known[value] = answer
	}
	return answer
}

// judge is scores for a value that was not asked about yet.
func (w *walk) judge(value string) bool {
	n, ok := w.g.Producer(value)
	if !ok {
		return true
	}
	switch n.Op() {
	case "Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Hardmax":
		return true
	case "LpNormalization", "LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization", "BatchNormalization", "InstanceNormalization",
		"GroupNormalization", "MeanVarianceNormalization", "com.microsoft::SkipLayerNormalization", "com.microsoft::SkipSimplifiedLayerNormalization", "LRN", "Tanh", "Sqrt", "Pow",
		"LSTM", "GRU", "RNN", "ReduceL2":
		return false
	case "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "HardSwish", "Mish", "Clip":
		return w.linear(n.Input(0))
	case "Identity", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout", "Slice", "Gather", "GatherND",
		"GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool", "ReduceMean", "ReduceMax", "ReduceSum", "Log", "Exp", "Neg", "Pad", "Expand",
		"QuantizeLinear", "DequantizeLinear":
		return w.scores(n.Input(0))
	case "Add", "Sub", "Sum", "Mean", "Max", "Min", "Concat", "Where":
		return !slices.ContainsFunc(w.operands(n), func(in string) bool { return !w.scores(in) })
	case "Mul", "Div":
		return w.quotient(n)
	}
	return true
}

// quotient is scores for a product or a quotient. Of two operands that both depend on the inputs, it is so for a softmax
// that is written out, and for the scale of numbers that were multiplied as integers.
func (w *walk) quotient(n graph.Node) bool {
	switch fed := w.operands(n); len(fed) {
	case 0:
		return true
	case 1:
		return w.scores(fed[0])
	}
	return slices.ContainsFunc(n.Inputs(), func(in string) bool { return w.made(in, "MatMulInteger", "ConvInteger") }) ||
		n.Op() == "Div" && w.made(n.Input(0), "Exp")
}

// made tells whether a value comes from one of the operators, arranged or converted at most.
func (w *walk) made(value string, ops ...string) bool {
	for range deepest {
		n, ok := w.g.Producer(value)
		switch {
		case !ok:
			return false
		case slices.Contains(ops, n.Op()):
			return true
		}
		switch n.Op() {
		case "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose":
			value = n.Input(0)
		default:
			return false
		}
	}
	return false
}

// linear tells whether a value is what a linear layer gives, with its bias.
func (w *walk) linear(value string) bool {
	for range deepest {
		n, ok := w.g.Producer(value)
		if !ok {
			return false
		}
		switch n.Op() {
		case "Conv", "Gemm", "MatMul", "ConvTranspose", "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger",
			"com.microsoft::FusedConv", "com.microsoft::FusedGemm", "com.microsoft::FusedMatMul":
			return true
		case "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "DequantizeLinear", "QuantizeLinear":
			value = n.Input(0)
		case "Add", "Sub", "Mul":
			fed := w.operands(n)
			if len(fed) != 1 {
				return false
			}
			value = fed[0]
		default:
			return false
		}
	}
	return false
}

// operands are a node's inputs that depend on the model's inputs.
func (w *walk) operands(n graph.Node) []string {
	return slices.DeleteFunc(slices.Clone(n.Inputs()), func(in string) bool { return !w.fed[in] })
}
