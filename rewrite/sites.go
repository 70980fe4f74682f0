package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
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
	model     *onnxio.Model
	index     *onnxio.Index
	shapes    *shapes.Shapes
	opset     int64
	functions map[string]bool // domain and name of each local function
	names     map[string]int  // how many nodes of the main graph bear a name
	sites     []Site
	skips     []Skip
}

func find(m *onnxio.Model, s *shapes.Shapes) (*finder, error) {
	if m == nil || m.Proto.GetGraph() == nil {
		return nil, errors.New("the model has no graph")
	}
	f := newFinder(m, s)
	for i, n := range m.Proto.GetGraph().GetNode() {
		f.node(i, n)
		f.nested(i, n, label(n))
	}
	for _, fn := range m.Proto.GetFunctions() {
		where := "function " + operator(fn.GetDomain(), fn.GetName())
		f.foreign(len(m.Proto.GetGraph().GetNode()), fn.GetNode(), where, SkipFunction, "inside local function "+operator(fn.GetDomain(), fn.GetName())+", which may be called from several places")
	}
	return f, nil
}

func newFinder(m *onnxio.Model, s *shapes.Shapes) *finder {
	f := &finder{model: m, index: m.Index(), shapes: s, opset: m.Opset(""), functions: map[string]bool{}, names: map[string]int{}}
	for _, fn := range m.Proto.GetFunctions() {
		f.functions[domain(fn.GetDomain())+"\x00"+fn.GetName()] = true
	}
	for _, n := range m.Proto.GetGraph().GetNode() {
		f.names[n.GetName()]++
	}
	return f
}

// nested lists the multiplying nodes of a node's subgraphs; path leads to the node.
func (f *finder) nested(at int, n *onnxpb.NodeProto, path string) {
	for _, g := range subgraphs(n) {
		f.foreign(at, g.GetNode(), path, SkipSubgraph, fmt.Sprintf("inside a subgraph of %s %q", n.GetOpType(), path))
	}
}

// foreign lists the multiplying nodes outside the main graph; at is the position of the
// main graph's node that holds them.
func (f *finder) foreign(at int, nodes []*onnxpb.NodeProto, where string, kind SkipKind, reason string) {
	for _, n := range nodes {
		if f.main(n) && multiplies(n.GetOpType()) {
			f.skips = append(f.skips, Skip{Node: n, Index: at, Op: operator(n.GetDomain(), n.GetOpType()), Name: label(n), Where: where, Kind: kind, Reason: reason})
		}
		f.nested(at, n, where+"/"+label(n))
	}
}

// main tells whether a node is an operator of the main domain, not a call.
func (f *finder) main(n *onnxpb.NodeProto) bool {
	return domain(n.GetDomain()) == "" && !f.functions["\x00"+n.GetOpType()]
}

// multiplies tells whether an operator of the main domain multiplies its input
// with weights, so that it is a site or is skipped for a reason.
func multiplies(op string) bool {
	switch op {
	case "Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul",
		"DeformConv", "Einsum", "GRU", "LSTM", "RNN", "Attention":
		return true
	}
	return false
}

// node classifies one node of the main graph.
func (f *finder) node(i int, n *onnxpb.NodeProto) {
	if len(n.GetOutput()) == 0 {
		return
	}
	if f.functions[domain(n.GetDomain())+"\x00"+n.GetOpType()] {
		return // the nodes inside are listed once, with the function
	}
	if !f.main(n) {
		if params := f.matrices(n); params > 0 {
			f.skip(i, n, SkipDomain, params, "operators of domain %q are not known here", n.GetDomain())
		}
		return
	}
	switch op := n.GetOpType(); op {
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
		if params := f.matrices(n); multiplies(op) && params > 0 {
			f.skip(i, n, SkipUnsupported, params, "%s is not factored yet", op)
		}
	}
}

func (f *finder) skip(i int, n *onnxpb.NodeProto, kind SkipKind, params int64, format string, args ...any) {
	f.skips = append(f.skips, Skip{
		Node: n, Index: i, Op: operator(n.GetDomain(), n.GetOpType()), Name: f.name(n),
		Kind: kind, Reason: fmt.Sprintf(format, args...), Params: params,
	})
}

// matrices counts the elements of a node's constant operands that have two axes or more.
func (f *finder) matrices(n *onnxpb.NodeProto) int64 {
	var params int64
	for _, v := range n.GetInput() {
		if h, ok := f.hold(v); ok && len(h.perm) > 1 {
			params += elements(h.tensor)
		}
	}
	return params
}

// name returns a name for a node that no other node of the main graph has: its own
// where it is unique, else that of its first output, which no other node computes.
func (f *finder) name(n *onnxpb.NodeProto) string {
	if n.GetName() != "" && f.names[n.GetName()] == 1 {
		return n.GetName()
	}
	name := label(&onnxpb.NodeProto{Output: n.GetOutput()})
	for f.names[name] > 0 {
		name += "'"
	}
	return name
}

// operand resolves the weight in a slot of a node, or notes why there is none.
func (f *finder) operand(i int, n *onnxpb.NodeProto, slot int) (held, bool) {
	value := input(n, slot)
	h, ok := f.hold(value)
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
func (f *finder) usable(i int, n *onnxpb.NodeProto, h held) bool {
	params := elements(h.tensor)
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
	for _, d := range n.GetDeviceConfigurations() {
		if len(d.GetShardingSpec()) > 0 {
			f.skip(i, n, SkipSharded, params, "device configuration %q shards its tensors", d.GetConfigurationId())
			return false
		}
	}
	return true
}

func factorable(t tensor.Type) bool {
	return t == tensor.Float32 || t == tensor.Float16 || t == tensor.BFloat16 || t == tensor.Float64
}

// computed says what a value is that is not constant.
func (f *finder) computed(value string) (SkipKind, string) {
	n, ok := f.index.Producer(value)
	if !ok {
		return f.outer(value)
	}
	origin := n
	for range len(f.model.Proto.GetGraph().GetNode()) {
		if op := origin.GetOpType(); op != "Transpose" && op != "Identity" && op != "Reshape" {
			break
		}
		next, ok := f.index.Producer(input(origin, 0))
		if !ok {
			break
		}
		origin = next
	}
	if origin.GetOpType() == "DequantizeLinear" {
		return SkipQuantised, fmt.Sprintf("is quantised (DequantizeLinear %q makes it): compress the float model first, then quantise", label(origin))
	}
	return SkipNoWeight, fmt.Sprintf("is computed by %s %q", n.GetOpType(), label(n))
}

// outer says what a value is that no node computes and that is no dense initializer.
func (f *finder) outer(value string) (SkipKind, string) {
	for _, t := range f.model.Proto.GetGraph().GetSparseInitializer() {
		if t.GetValues().GetName() == value {
			return SkipUnsupported, "is a sparse initializer, which is not factored"
		}
	}
	if f.index.IsInput(value) {
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
		}
		for _, s := range list {
			l.release(s.Node.GetInput()[s.weight.slot])
		}
		for _, s := range list {
			s.WeightStays = !l.dropped(root)
		}
	}
}

// note says what is unusual about a weight that is going to be replaced.
func (f *finder) note(h held) string {
	for _, u := range f.index.Uses(h.root) {
		if u.Node == nil {
			return fmt.Sprintf("the training information binds weight %q, which training then no longer reaches", h.root)
		}
	}
	if !h.overridable {
		return ""
	}
	return fmt.Sprintf("weight %q is also a graph input, so callers could replace it: its default is what is factored, and the input goes when the weight does", h.root)
}

func input(n *onnxpb.NodeProto, i int) string {
	if i < len(n.GetInput()) {
		return n.GetInput()[i]
	}
	return ""
}

// label names a node for people: by its name, or else its first named output.
func label(n *onnxpb.NodeProto) string {
	if n.GetName() != "" {
		return n.GetName()
	}
	for _, o := range n.GetOutput() {
		if o != "" {
			return o
		}
	}
	return n.GetOpType()
}

func domain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// operator returns an operator with its domain unless that is the main one.
func operator(d, op string) string {
	if domain(d) == "" {
		return op
	}
	return strings.Join([]string{d, op}, "::")
}

// elements counts the elements of a tensor, 0 for an impossible shape.
func elements(t *onnxpb.TensorProto) int64 {
	shape := make([]int, len(t.GetDims()))
	for i, d := range t.GetDims() {
		shape[i] = int(d)
	}
	n, err := tensor.Elements(shape)
	if err != nil {
		return 0
	}
	return int64(n)
}
