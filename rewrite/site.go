// Package rewrite finds the nodes of an ONNX graph whose constant weight can be
// factored, and replaces them by chains of smaller nodes. A replacement is held
// apart as a Patch until Apply builds the new model, which shares every tensor
// that did not change with the old one.
//
// Sites lists the nodes, given the shapes of the model's values; Site.Load has a weight's numbers as a
// decomp.Kernel. Replace makes the Patch for a chain of factors, Apply the model of all patches, and
// Merge joins neighbours in it. MeasureCosts counts what a model costs, before and after.
//
// Axes lists what may become narrower at no price in nodes: units of channels that sites compute and read, with all that
// lies between. Narrow makes the model in which some of them are left.
package rewrite

import (
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Site is a node with a constant weight that acts linearly on its input, and that
// weight seen as a decomp.Kernel: y_t = W x_t + b, where x_t is the input column at
// output position t.
type Site struct {
	Node   graph.Node // the node as it stands in the original model; not to be changed
	Index  int        // position in the main graph of Node or of the node that holds it; for a function's nodes the number of all nodes
	Name   string     // unique: the node's name, or the name of its output where it has none
	Op     string     // Conv, ConvTranspose, Gemm, MatMul or Gather
	Input  string     // the activation that Node multiplies
	Output string     // the value that Node computes
	Weight string     // the initializer, or the output of the Constant node, that holds the weight; sites that share it have the same name here

	Kernel decomp.Shape // channels and window of the weight
	Dtype  tensor.Type  // element type of the weight; the factors are written in it
	Cast   tensor.Type  // what a Cast between weight and node makes of that, and of the factors; Undefined without one

	Located  bool            // whether Geometry and Batch are known
	Geometry decomp.Geometry // spatial sizes; for a matrix the number of columns x_t it meets per run
	Batch    int             // how often Geometry occurs per run: axis 0 of a convolution's input, 1 for a matrix
	Why      string          // what kept the geometry from being found, empty when Located

	View View // how the input tensor is cut into columns x_t

	Repeats int // how often a run of the model computes the node, in the body of a Loop or Scan; 0 for once

	Twins []Twin // nodes in bodies that compute with the same weight, and are replaced with Node; Pair finds them

	// OutputScale holds |scale/√(var+ε)| per output channel where Output feeds
	// nothing but one inference BatchNormalization with constant parameters, so that
	// a loss weighed by it equals the loss at the folded node; nil otherwise.
	// Entries may be zero: such a channel does not reach the network's output.
	OutputScale []float64

	// WeightStays tells that something which is no site needs the weight too, so that
	// it stays in the model even when every site that shares it is replaced.
	WeightStays bool
	Note        string // what a reader should know before the weight is replaced; empty in the common case

	model  *onnxio.Model
	weight weight
	held   bool // whether the weight was made of a constant that stays in the model
}

// OutputMetric weighs the site's output errors by what the BatchNormalization behind it multiplies them with: diagonal,
// with the squares of OutputScale, [O, O] for each group of channels. It is nil, the identity, where none follows. Under
// it, as G, a loss equals that at the folded node; a G of gradients has the scales in it already.
func (s *Site) OutputMetric() []*linalg.Matrix {
	if s.OutputScale == nil {
		return nil
	}
	rows := s.Kernel.Rows()
	out := make([]*linalg.Matrix, s.Kernel.Groups)
	for g := range out {
		out[g] = linalg.New(rows, rows)
		for i, scale := range s.OutputScale[g*rows : (g+1)*rows] {
			out[g].Set(i, i, scale*scale)
		}
	}
	return out
}

// Computes is the element type that the node computes in.
func (s *Site) Computes() tensor.Type {
	if s.Cast != tensor.Undefined {
		return s.Cast
	}
	return s.Dtype
}

// Uncast is the site with its weight in the type that the node computes in, to be run and not to be written.
func (s *Site) Uncast() *Site {
	if s.Cast == tensor.Undefined {
		return s
	}
	plain := *s
	plain.Dtype, plain.Cast = s.Cast, tensor.Undefined
	return &plain
}

// MACs counts the multiply-adds of one run of the model through c, as Replace
// writes it, instead of the node; 0 where the site is not located.
func (s *Site) MACs(c decomp.Chain) int64 {
	if !s.Located {
		return 0
	}
	if s.View.Kind == TableRows && len(c) > 0 {
		c = c[1:] // looking up is free
	}
	return int64(max(s.Repeats, 1)) * int64(s.Batch) * s.place(c).MACs(s.Geometry)
}

// NewParams counts the elements of the constants that Replace adds for c: the weights
// of its factors and, for a Gemm before opset 11, where C is required, a zero for
// every factor but the last.
func (s *Site) NewParams(c decomp.Chain) int64 {
	n := c.Params()
	if s.Op == "Gemm" && s.model.Opset("") < 11 {
		n += int64(len(c) - 1)
	}
	return n
}

// DenseMACs counts the multiply-adds of one run through the node as it is; 0
// where the site is not located, and for a table, whose rows are looked up.
func (s *Site) DenseMACs() int64 {
	if !s.Located || s.View.Kind == TableRows {
		return 0
	}
	at := s.Geometry.Out
	if s.Geometry.Transposed {
		at = s.Geometry.In
	}
	return int64(max(s.Repeats, 1)) * int64(s.Batch) * s.Kernel.Params() * int64(tensor.Product(at))
}

// Skip is a node that was left alone although its kind can be a site, or
// multiplies weights in some other way.
type Skip struct {
	Node   graph.Node
	Index  int      // position in the main graph of Node or of the node that holds it; for a function's nodes the number of all nodes
	Op     string   // operator, with its domain unless that is the main one
	Name   string   // node name, or the name of its first output where it has none
	Where  string   // path of the subgraph or the function that holds the node, empty in the main graph
	Kind   SkipKind // why, for programs
	Reason string   // why, for people
	Params int64    // elements of the constant weight, 0 when there is none
}

// SkipKind says why a node is no site.
type SkipKind string

// The reasons for which a node is left alone.
const (
	SkipNoWeight    SkipKind = "no-constant-weight" // activation times activation, or the weight is computed
	SkipBothConst   SkipKind = "all-constant"       // both operands are constant
	SkipDepthwise   SkipKind = "depthwise"          // one input channel per output channel
	SkipNoGain      SkipKind = "no-gain"            // even rank 1 needs as many parameters as the node
	SkipQuantised   SkipKind = "quantised"          // weights are integers behind a scale
	SkipType        SkipKind = "type"               // weights are not floating point
	SkipBatched     SkipKind = "batched"            // a stack of matrices
	SkipRank        SkipKind = "rank"               // the weight has too few axes
	SkipSubgraph    SkipKind = "subgraph"           // inside the body of If, Loop or Scan
	SkipFunction    SkipKind = "function"           // inside a local function
	SkipDomain      SkipKind = "domain"             // operator of another domain
	SkipUnsupported SkipKind = "unsupported"        // operators that have no rule yet
	SkipMalformed   SkipKind = "malformed"          // shapes or attributes contradict each other
	SkipSharded     SkipKind = "sharded"            // device configurations name the weight
)

// ViewKind says which axes of the input tensor make up a column x_t.
type ViewKind int

// The ways in which a site reads its input.
const (
	ConvPatches    ViewKind = iota // im2col: x_t is the window of all input channels of a group, [C/groups, window...] row-major
	LastAxis                       // x_t runs along the last axis, t over all others
	SecondLastAxis                 // x_t runs along the axis before the last, t over all others; for a vector it is the only axis
	FirstAxis                      // x_t runs along axis 0, t over all others
	TableRows                      // the input has indices t of rows of a table: x_t is one-hot, 1 at the index
)
