package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Sites returns the nodes that can gain from being factored, in graph order, and
// every other node that multiplies weights, or could, with the reason why it is
// left alone.
func Sites(m *onnxio.Model, s *shapes.Shapes) ([]Site, []Skip, error) {
	f, err := find(m, s)
	if err != nil {
		return nil, nil, err
	}
	var sites []Site
	for _, site := range f.sites {
		if skip, ok := gainless(&site); ok {
			f.skips = append(f.skips, skip)
			continue
		}
		sites = append(sites, site)
	}
	Settle(m, sites)
	return sites, f.sorted(), nil
}

// Linear returns every node that can be replaced, whether or not a factored form
// would have fewer parameters; Sites keeps those that can gain.
func Linear(m *onnxio.Model, s *shapes.Shapes) ([]Site, []Skip, error) {
	f, err := find(m, s)
	if err != nil {
		return nil, nil, err
	}
	Settle(m, f.sites)
	return f.sites, f.sorted(), nil
}

// sorted returns the skips in the order of the main graph's nodes that are or hold
// them; those of functions come last.
func (f *finder) sorted() []Skip {
	slices.SortStableFunc(f.skips, func(a, b Skip) int { return a.Index - b.Index })
	return f.skips
}

// gainless says why a site cannot gain at any rank.
func gainless(s *Site) (Skip, bool) {
	k := s.Kernel
	if k.BreakEven() > 0 || smaller(s) {
		return Skip{}, false
	}
	skip := Skip{Node: s.Node, Index: s.Index, Op: s.Op, Name: s.Name, Params: k.Params()}
	if k.Groups > 1 && k.In == k.Groups {
		skip.Kind = SkipDepthwise
		skip.Reason = fmt.Sprintf("depthwise: each of the %d groups has one input channel, and no factored form of its %v window is smaller", k.Groups, k.Window)
		return skip, true
	}
	skip.Kind = SkipNoGain
	skip.Reason = fmt.Sprintf("no rank gains: a matrix of %d×%d has %d parameters, at rank 1 its factors have %d", k.Rows(), k.Cols(), k.Rows()*k.Cols(), k.Rows()+k.Cols())
	return skip, true
}

// smaller tells whether any method has a chain of fewer parameters or multiply-adds than a site: at rank 1, which is the
// smallest of all.
func smaller(s *Site) bool {
	for _, m := range decomp.Methods() {
		if s.Kernel.Check() != nil || m.Accepts(s.Kernel) != nil {
			continue
		}
		for numbers := 1; numbers <= 3; numbers++ {
			least := m.Factors(s.Kernel, slices.Repeat(decomp.Rank{1}, numbers))
			if least != nil && (least.Params() < s.Kernel.Params() || s.Located && s.MACs(least) < s.DenseMACs()) {
				return true
			}
		}
	}
	return false
}

// finder collects sites and skips of one model.
type finder struct {
	model  *onnxio.Model
	graph  *graph.Graph
	shapes *shapes.Shapes
	opset  int64
	names  func() map[string]int // how many nodes of the main graph bear a name
	held   map[string]held       // what values are resolved to, without a permutation where they are no constants
	casts  map[string]held       // likewise, through Casts
	sites  []Site
	skips  []Skip
	loops  map[graph.Node]body // nodes in bodies of Loops and Scans, where costs are counted
}

func find(m *onnxio.Model, s *shapes.Shapes) (*finder, error) {
	if m == nil || m.Proto.GetGraph() == nil {
		return nil, errors.New("the model has no graph")
	}
	f := newFinder(m, s)
	for at, n := range graph.Walk(m) {
		switch {
		case at.Path == "":
			f.node(at.Index, n)
		case !f.calls(n) && multiplies(n.Op()):
			f.skips = append(f.skips, f.foreign(at, n))
		}
	}
	return f, nil
}

func newFinder(m *onnxio.Model, s *shapes.Shapes) *finder {
	f := &finder{model: m, graph: graph.Of(m), shapes: s, opset: m.Opset(""), held: map[string]held{}, casts: map[string]held{}}
	f.names = sync.OnceValue(func() map[string]int {
		names := map[string]int{}
		for _, n := range f.graph.Nodes() {
			names[n.Name()]++
		}
		return names
	})
	return f
}

// calls tells whether a node calls a local function.
func (f *finder) calls(n graph.Node) bool {
	_, call := f.graph.Called(n)
	return call
}

// main tells whether a node is an operator of the main domain, not a call.
func (f *finder) main(n graph.Node) bool {
	return n.Domain() == "" && !f.calls(n)
}

// multiplies tells whether an operator multiplies its input with weights or another input, so that it is a site or is skipped for
// a reason.
func multiplies(op string) bool {
	switch op {
	case "Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul",
		"DeformConv", "Einsum", "GRU", "LSTM", "RNN", "Attention",
		"com.microsoft::Attention", "com.microsoft::FusedConv", "com.microsoft::FusedGemm", "com.microsoft::FusedMatMul",
		"com.microsoft::GroupQueryAttention", "com.microsoft::MultiHeadAttention":
		return true
	}
	return quantised(op)
}

// node classifies one node of the main graph.
func (f *finder) node(i int, n graph.Node) {
	if len(n.Outputs()) == 0 {
		return
	}
	if f.calls(n) {
		return // the nodes inside are listed once, with the function
	}
	if !f.main(n) {
		f.otherDomain(i, n)
		return
	}
	switch op := n.Op(); op {
	case "Conv":
		f.conv(i, n)
	case "ConvTranspose":
		f.convTranspose(i, n)
	case "Gemm":
		f.gemm(i, n)
	case "MatMul":
		f.matMul(i, n)
	case "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul":
		f.skip(i, n, SkipQuantised, f.matrices(n), "%s has quantised weights: compress the float model first, then quantise", op)
	case "Gather":
		f.gather(i, n)
	default:
		if !multiplies(op) {
			return
		}
		params := f.matrices(n)
		switch {
		case params == 0:
		case compound.Recurrent(op):
			f.skip(i, n, SkipUnsupported, params, "%s multiplies its recurrent weights inside, step by step; only those of its input are factored", op)
		default:
			f.skip(i, n, SkipUnsupported, params, "%s is not factored yet", op)
		}
	}
}

// otherDomain notes why a node of another domain is left alone that reads weights.
func (f *finder) otherDomain(i int, n graph.Node) {
	params := f.matrices(n)
	if params == 0 {
		return
	}
	switch op := n.Op(); {
	case quantised(op), op == "com.microsoft::QEmbedLayerNormalization", op == "com.microsoft::GatherBlockQuantized":
		f.skip(i, n, SkipQuantised, params, "%s has quantised weights: compress the float model first, then quantise", n.Type())
	default:
		if err := newExpander(f.model, f.shapes, compound.NewTable(), graph.NewNameSet(f.model)).why(n); err != nil {
			f.skip(i, n, SkipUnsupported, params, "%s is not written as simpler operators: %v", n.Type(), err)
			return
		}
		f.skip(i, n, SkipDomain, params, "operators of domain %q are not known here", n.Domain())
	}
}

func (f *finder) skip(i int, n graph.Node, kind SkipKind, params int64, format string, args ...any) {
	f.skips = append(f.skips, Skip{
		Node: n, Index: i, Op: n.Op(), Name: f.name(n),
		Kind: kind, Reason: fmt.Sprintf(format, args...), Params: params,
	})
}

// matrices counts the elements of a node's constant operands that have two axes or more.
func (f *finder) matrices(n graph.Node) int64 {
	var params int64
	for _, v := range n.Inputs() {
		if h, ok := f.hold(v); ok && len(h.perm) > 1 {
			params += int64(h.tensor.Len())
		}
	}
	return params
}

// name returns a name for a node that no other node of the main graph has: its own
// where it is unique, else that of its first output, which no other node computes.
func (f *finder) name(n graph.Node) string {
	if n.Name() != "" && f.names()[n.Name()] == 1 {
		return n.Name()
	}
	name := graph.NewNode("", "", nil, n.Outputs()).Label()
	for f.names()[name] > 0 {
		name += "'"
	}
	return name
}

// operand resolves the weight in a slot of a node, or notes why there is none.
func (f *finder) operand(i int, n graph.Node, slot int) (held, bool) {
	value := n.Input(slot)
	h, ok := f.stored(value)
	if !ok {
		kind, reason := f.computed(value)
		if kind == SkipNoWeight {
			reason = "is not constant: it " + reason
		}
		f.skip(i, n, kind, 0, "weight %q %s", value, reason)
		return held{}, false
	}
	return h, f.usable(i, n, h)
}

// usable notes why a constant cannot be factored, whatever its role.
func (f *finder) usable(i int, n graph.Node, h held) bool {
	params := int64(h.tensor.Len())
	if t := h.dtype(); !factorable(t) {
		kind := SkipType
		if t == tensor.Int8 || t == tensor.Uint8 {
			kind = SkipQuantised
		}
		f.skip(i, n, kind, params, "weight %q holds %v; only float16, bfloat16, float32 and float64 are factored", h.root, t)
		return false
	}
	if params == 0 {
		f.skip(i, n, SkipMalformed, 0, "weight %q of shape %v has no elements", h.root, h.shape())
		return false
	}
	if configuration, ok := n.Sharded(); ok {
		f.skip(i, n, SkipSharded, params, "device configuration %q shards its tensors", configuration)
		return false
	}
	return true
}

func factorable(t tensor.Type) bool {
	return t == tensor.Float32 || t == tensor.Float16 || t == tensor.BFloat16 || t == tensor.Float64
}

// computed says what a value is that is not constant.
func (f *finder) computed(value string) (SkipKind, string) {
	n, ok := f.graph.Producer(value)
	if !ok {
		return f.outer(value)
	}
	origin := n
	for range 100 { // more nodes that only move numbers stand nowhere but in a bomb
		if op := origin.Type(); op != "Transpose" && op != "Identity" && op != "Reshape" && op != "Cast" {
			break
		}
		next, ok := f.graph.Producer(origin.Input(0))
		if !ok {
			break
		}
		origin = next
	}
	if origin.Type() == "DequantizeLinear" {
		return SkipQuantised, fmt.Sprintf("is quantised (DequantizeLinear %q makes it): compress the float model first, then quantise", origin.Label())
	}
	return SkipNoWeight, fmt.Sprintf("is computed by %s %q", n.Type(), n.Label())
}

// outer says what a value is that no node computes and that is no dense initializer.
func (f *finder) outer(value string) (SkipKind, string) {
	if f.graph.IsSparse(value) {
		return SkipUnsupported, "is a sparse initializer, which is not factored"
	}
	if f.graph.IsInput(value) {
		return SkipNoWeight, "is a graph input"
	}
	return SkipNoWeight, "is not defined"
}

// Settle sets WeightStays of sites of m for the case that only these are replaced. Sites
// and Linear have done so for all that they return; whoever drops some of them calls it
// again for the rest.
func Settle(m *onnxio.Model, sites []Site) {
	users := map[string][]*Site{}
	for i := range sites {
		users[sites[i].Weight] = append(users[sites[i].Weight], &sites[i])
	}
	for root, list := range users {
		l := newLedger(m)
		for _, s := range list {
			l.remove(s.Node)
			for _, t := range s.Twins {
				l.remove(t.Node)
			}
		}
		for _, s := range list {
			l.release(s.Node.Input(s.weight.slot))
		}
		for _, s := range list {
			s.WeightStays = s.held || !l.dropped(root)
		}
	}
}

// note says what is unusual about a weight that is going to be replaced.
func (f *finder) note(h held) string {
	for _, u := range f.graph.Uses(h.root) {
		if u.Node.IsZero() {
			return fmt.Sprintf("the training information binds weight %q, which training then no longer reaches", h.root)
		}
	}
	if !h.overridable {
		return ""
	}
	return fmt.Sprintf("weight %q is also a graph input, so callers could replace it: its default is what is factored, and the input goes when the weight does", h.root)
}
