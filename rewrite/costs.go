package rewrite

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// NodeCost is what one multiplying node costs in one run of the model.
type NodeCost struct {
	Node  graph.Node
	Index int    // position in the main graph
	Name  string // as Site.Name
	Op    string
	MACs  int64 // sum over output positions of Rows × Cols, without the bias
}

// Unlocated is a multiplying node whose MACs could not be counted.
type Unlocated struct {
	Node  graph.Node
	Index int    // position in the main graph of Node or of the node that holds it; for a function's nodes the number of all nodes
	Name  string // as Site.Name
	Op    string // operator, with its domain unless that is the main one
	Where string // path of the subgraph or the function that holds the node, empty in the main graph
	Why   string
}

// Costs is what a whole model costs.
type Costs struct {
	Nodes     []NodeCost  // the nodes counted, in graph order
	MACs      int64       // their sum
	Unlocated []Unlocated // the nodes that multiply but could not be counted
	Params    int64       // elements of all constant tensors, each tensor once
	Bytes     int64       // bytes of the same tensors
}

// MeasureCosts counts the multiply-adds of one run, for the input shapes that s was
// inferred from: every Conv, ConvTranspose, DeformConv, Gemm and MatMul of the main
// graph, products of two activations included, and their integer forms, and those in the
// bodies of Loops and Scans as often as these run, where that is known. It also
// counts all constant tensors of the model, subgraphs and functions included.
func MeasureCosts(m *onnxio.Model, s *shapes.Shapes) Costs {
	f := newFinder(m, s)
	f.loops = map[graph.Node]body{}
	f.bodies(f.graph.Nodes(), s, 1)
	var c Costs
	for at, n := range graph.Walk(m) {
		if !f.calls(n) && multiplies(n.Op()) {
			f.cost(&c, at, n)
		}
	}
	c.Params, c.Bytes = Stored(m)
	return c
}

// Stored counts the elements of all constant tensors of a model, each tensor once, and their bytes.
func Stored(m *onnxio.Model) (params, bytes int64) {
	for t, index := range graph.Tensors(m) {
		bytes += int64(t.Bytes())
		if !index {
			params += int64(t.Len())
		}
	}
	return params, bytes
}

// body is where a node inside of a Loop or Scan stands: under these shapes, run so many times.
type body struct {
	shapes *shapes.Shapes
	times  int
}

// bodies notes the nodes in the bodies of nodes that run so many times.
func (f *finder) bodies(nodes []graph.Node, s *shapes.Shapes, times int) {
	for _, n := range nodes {
		in, ok := s.Inside(n)
		if g, has := n.Graph(f.model, "body"); ok && has && in.Trips > 0 {
			for _, inner := range g.Nodes() {
				f.loops[inner] = body{in.Shapes, times * in.Trips}
			}
			f.bodies(g.Nodes(), in.Shapes, times*in.Trips)
		}
	}
}

// cost counts one multiplying node, or says why it cannot: one in a subgraph or function runs an unknown number of times, but for bodies of Loops and Scans.
func (f *finder) cost(c *Costs, at graph.Place, n graph.Node) {
	in, inside := f.loops[n]
	switch {
	case inside:
		own := *f
		own.shapes = in.shapes
		macs, why := own.macs(n)
		if why != "" {
			c.Unlocated = append(c.Unlocated, Unlocated{Node: n, Index: at.Index, Name: n.Label(), Op: n.Op(), Where: at.Path, Why: why})
			return
		}
		macs *= int64(in.times)
		c.Nodes = append(c.Nodes, NodeCost{Node: n, Index: at.Index, Name: n.Label(), Op: n.Op(), MACs: macs})
		c.MACs += macs
	case at.Path != "":
		why := fmt.Sprintf("inside %s: how often it runs, and on what shapes, is not followed", at.Path)
		c.Unlocated = append(c.Unlocated, Unlocated{Node: n, Index: at.Index, Name: n.Label(), Op: n.Op(), Where: at.Path, Why: why})
	case len(n.Outputs()) > 0:
		macs, why := f.macs(n)
		if why != "" {
			c.Unlocated = append(c.Unlocated, Unlocated{Node: n, Index: at.Index, Name: f.name(n), Op: n.Op(), Why: why})
			return
		}
		c.Nodes = append(c.Nodes, NodeCost{Node: n, Index: at.Index, Name: f.name(n), Op: n.Op(), MACs: macs})
		c.MACs += macs
	}
}

// macs counts the multiply-adds of a node, or says why it cannot.
func (f *finder) macs(n graph.Node) (int64, string) {
	factors, why := f.factors(n)
	if why != "" {
		return 0, why
	}
	macs := int64(1)
	for _, p := range factors {
		shape, _ := f.shapes.Of(p.value)
		macs *= int64(shape[p.axis])
	}
	return macs, ""
}

// factors returns the dimensions of which the multiply-adds of a node are the product, or says why they are not known.
func (f *finder) factors(n graph.Node) ([]position, string) {
	op := n.Op()
	switch op {
	case "Conv", "ConvInteger", "DeformConv":
		return f.perPosition(n, n.Output(0), n.Input(1))
	case "QLinearConv":
		return f.perPosition(n, n.Output(0), n.Input(3))
	case "ConvTranspose":
		return f.perPosition(n, n.Input(0), n.Input(1))
	case "Gemm":
		axis := 1
		if n.Int("transA", 0) != 0 {
			axis = 0
		}
		return f.perElement(n.Output(0), n.Input(0), axis)
	case "MatMul", "MatMulInteger", "QLinearMatMul":
		return f.perElement(n.Output(0), n.Input(0), -1)
	}
	return nil, fmt.Sprintf("the multiply-adds of %s are not counted", op)
}

// perPosition has the dimensions of a convolution: every weight meets every position of the named
// side (the output; the input of a ConvTranspose) once.
func (f *finder) perPosition(n graph.Node, side, weight string) ([]position, string) {
	known, why, ok := f.known(side, weight, n.Output(0))
	if !ok {
		return nil, why
	}
	at, w := known[0], known[1]
	if len(at) < 2 {
		return nil, fmt.Sprintf("%q has the shape %v", side, at)
	}
	out := dimensions(weight, len(w))
	for axis := range at {
		if axis != 1 {
			out = append(out, position{side, axis})
		}
	}
	return out, ""
}

// perElement has the dimensions of a matrix product: each output element sums over the given axis of its first operand.
func (f *finder) perElement(output, operand string, axis int) ([]position, string) {
	known, why, ok := f.known(output, operand)
	if !ok {
		return nil, why
	}
	out, in := known[0], known[1]
	if axis < 0 {
		axis += len(in)
	}
	if axis < 0 || axis >= len(in) {
		return nil, fmt.Sprintf("operand %q has the shape %v", operand, in)
	}
	return append(dimensions(output, len(out)), position{operand, axis}), ""
}

// dimensions are all of a value.
func dimensions(value string, rank int) []position {
	out := make([]position, rank)
	for axis := range out {
		out[axis] = position{value, axis}
	}
	return out
}

// known returns the shapes of values, or why one of them is not known.
func (f *finder) known(values ...string) (found [][]int, why string, ok bool) {
	for _, v := range values {
		shape, ok := f.shapes.Of(v)
		if !ok {
			return nil, f.shapes.Why(v), false
		}
		found = append(found, shape)
	}
	return found, "", true
}
