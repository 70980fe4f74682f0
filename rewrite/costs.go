package rewrite

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// NodeCost is what one multiplying node costs in one run of the model.
type NodeCost struct {
	Node  *onnxpb.NodeProto
	Index int    // position in the main graph
	Name  string // as Site.Name
	Op    string
	MACs  int64 // sum over output positions of Rows × Cols, without the bias
}

// Unlocated is a multiplying node whose MACs could not be counted.
type Unlocated struct {
	Node  *onnxpb.NodeProto
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
// graph, products of two activations included, and their integer forms. It also
// counts all constant tensors of the model, subgraphs and functions included.
func MeasureCosts(m *onnxio.Model, s *shapes.Shapes) Costs {
	f := newFinder(m, s)
	var c Costs
	g := m.Proto.GetGraph()
	for i, n := range g.GetNode() {
		f.cost(&c, i, n)
		f.nestedCosts(&c, n, label(n))
	}
	for _, fn := range m.Proto.GetFunctions() {
		f.foreignCosts(&c, fn.GetNode(), "function "+operator(fn.GetDomain(), fn.GetName()))
	}
	c.graph(g)
	for _, fn := range m.Proto.GetFunctions() {
		c.nodes(fn.GetNode())
	}
	return c
}

// cost counts one node of the main graph.
func (f *finder) cost(c *Costs, i int, n *onnxpb.NodeProto) {
	if !f.main(n) || !multiplies(n.GetOpType()) || len(n.GetOutput()) == 0 {
		return
	}
	macs, why := f.macs(n)
	if why != "" {
		c.Unlocated = append(c.Unlocated, Unlocated{Node: n, Name: f.name(n), Op: n.GetOpType(), Why: why})
		return
	}
	c.Nodes = append(c.Nodes, NodeCost{Node: n, Index: i, Name: f.name(n), Op: n.GetOpType(), MACs: macs})
	c.MACs += macs
}

// macs counts the multiply-adds of a node, or says why it cannot.
func (f *finder) macs(n *onnxpb.NodeProto) (int64, string) {
	op := n.GetOpType()
	switch op {
	case "Conv", "ConvInteger", "DeformConv":
		return f.perPosition(n, n.GetOutput()[0], input(n, 1))
	case "QLinearConv":
		return f.perPosition(n, n.GetOutput()[0], input(n, 3))
	case "ConvTranspose":
		return f.perPosition(n, input(n, 0), input(n, 1))
	case "Gemm":
		axis := 1
		if onnxio.AttrInt(n, "transA", 0) != 0 {
			axis = 0
		}
		return f.perElement(n.GetOutput()[0], input(n, 0), axis)
	case "MatMul", "MatMulInteger", "QLinearMatMul":
		return f.perElement(n.GetOutput()[0], input(n, 0), -1)
	}
	return 0, fmt.Sprintf("the multiply-adds of %s are not counted", op)
}

// perPosition counts a convolution: every weight meets every position of the named
// side (the output; the input of a ConvTranspose) once.
func (f *finder) perPosition(n *onnxpb.NodeProto, side, weight string) (int64, string) {
	at, ok := f.shapes.Of(side)
	if !ok {
		return 0, f.shapes.Why(side)
	}
	w, ok := f.shapes.Of(weight)
	if !ok {
		return 0, f.shapes.Why(weight)
	}
	if _, ok := f.shapes.Of(n.GetOutput()[0]); !ok || len(at) < 2 {
		return 0, f.shapes.Why(n.GetOutput()[0])
	}
	return int64(at[0]) * product(at[2:]) * product(w), ""
}

// perElement counts a matrix product: each output element sums over the given axis of its first operand.
func (f *finder) perElement(output, operand string, axis int) (int64, string) {
	out, ok := f.shapes.Of(output)
	if !ok {
		return 0, f.shapes.Why(output)
	}
	in, ok := f.shapes.Of(operand)
	if !ok {
		return 0, f.shapes.Why(operand)
	}
	if axis < 0 {
		axis += len(in)
	}
	if axis < 0 || axis >= len(in) {
		return 0, fmt.Sprintf("operand %q has the shape %v", operand, in)
	}
	return product(out) * int64(in[axis]), ""
}

// nestedCosts lists the multiplying nodes of a node's subgraphs, which run an unknown number of times.
func (f *finder) nestedCosts(c *Costs, n *onnxpb.NodeProto, path string) {
	for _, g := range subgraphs(n) {
		f.foreignCosts(c, g.GetNode(), path)
	}
}

func (f *finder) foreignCosts(c *Costs, nodes []*onnxpb.NodeProto, where string) {
	for _, n := range nodes {
		if f.main(n) && multiplies(n.GetOpType()) {
			c.Unlocated = append(c.Unlocated, Unlocated{
				Node: n, Name: label(n), Op: n.GetOpType(), Where: where,
				Why: fmt.Sprintf("inside %s: how often it runs, and on what shapes, is not followed", where),
			})
		}
		f.nestedCosts(c, n, where+"/"+label(n))
	}
}

// graph counts the constants of a graph and of its subgraphs.
func (c *Costs) graph(g *onnxpb.GraphProto) {
	for _, t := range g.GetInitializer() {
		c.tensor(t)
	}
	for _, t := range g.GetSparseInitializer() {
		c.sparse(t)
	}
	c.nodes(g.GetNode())
}

// nodes counts the constants in the attributes of nodes.
func (c *Costs) nodes(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		for _, a := range n.GetAttribute() {
			c.tensor(a.GetT())
			for _, t := range a.GetTensors() {
				c.tensor(t)
			}
			if a.GetSparseTensor() != nil {
				c.sparse(a.GetSparseTensor())
			}
			if n.GetOpType() == "Constant" {
				c.list(a)
			}
		}
		for _, g := range subgraphs(n) {
			c.graph(g)
		}
	}
}

func (c *Costs) tensor(t *onnxpb.TensorProto) {
	if t == nil {
		return
	}
	n := elements(t)
	c.Params += n
	c.Bytes += int64(tensor.Type(t.GetDataType()).Bytes(int(n)))
	for _, s := range t.GetStringData() {
		c.Bytes += int64(len(s))
	}
}

// list counts the value_float, value_floats, value_int or value_ints of a Constant node.
func (c *Costs) list(a *onnxpb.AttributeProto) {
	floats, ints := int64(len(a.GetFloats())), int64(len(a.GetInts()))
	if a.F != nil {
		floats++
	}
	if a.I != nil {
		ints++
	}
	c.Params += floats + ints
	c.Bytes += 4*floats + 8*ints
}

// sparse counts the stored values of a sparse tensor; its indices take space but are no parameters.
func (c *Costs) sparse(t *onnxpb.SparseTensorProto) {
	params := c.Params
	c.tensor(t.GetIndices())
	c.Params = params
	c.tensor(t.GetValues())
}

// subgraphs returns the graphs among a node's attributes.
func subgraphs(n *onnxpb.NodeProto) []*onnxpb.GraphProto {
	var graphs []*onnxpb.GraphProto
	for _, a := range n.GetAttribute() {
		if a.GetG() != nil {
			graphs = append(graphs, a.GetG())
		}
		graphs = append(graphs, a.GetGraphs()...)
	}
	return graphs
}
