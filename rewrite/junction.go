package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// junction is two linear nodes, the second of which alone reads what the first computes.
type junction struct {
	first, second *Site
	names         *graph.NameSet
	backend       linalg.Backend

	lead *Site // of two convolutions the one that is not pointwise, whose attributes the one node has
	// bias is that of the one node, nil where it keeps what the second adds.
	bias []float64
	own  [2]*constantBias // of both, nil where there is none
}

// constantBias is a constant that a node adds to its channels.
type constantBias struct {
	values []float64
	name   string
	held   held
}

// fits tells whether the two have a product that is one node of their kind.
func (j *junction) fits() bool {
	a, b := j.first, j.second
	if a.Kernel.Groups != b.Kernel.Groups || a.Kernel.Out != b.Kernel.In || b.weight.lead != 0 {
		return false
	}
	patches := a.View.Kind == ConvPatches
	switch {
	case patches != (b.View.Kind == ConvPatches):
		return false
	case patches && b.pointwise():
		j.lead = a
		return true
	case patches:
		j.lead = b
		return a.pointwise()
	case a.Op == "Gather" || b.Op == "Gather" || !slices.Equal(a.weight.stack, b.weight.stack) || a.weight.slot != b.weight.slot:
		return false
	}
	// The second must read its columns along the axis on which the first writes its own.
	along := b.View.Kind == LastAxis
	if b.weight.slot == 0 {
		along = b.View.Kind != LastAxis
	}
	gemm := a.Op == "Gemm" || b.Op == "Gemm"
	return along && (!gemm || a.model.Opset("") >= 11 && a.weight.lead == 0 && len(a.weight.stack) == 0)
}

// pointwise tells whether a convolution acts on single positions and leaves the spatial axes as they are.
func (s *Site) pointwise() bool {
	for axis := range s.Kernel.Window {
		if !s.View.still(axis) {
			return false
		}
	}
	return true
}

// biases reads what the nodes add, and tells whether the one node can add as much.
func (j *junction) biases() bool {
	for i, s := range []*Site{j.first, j.second} {
		if s.Node.Input(2) == "" {
			continue
		}
		if i == 1 && j.own[0] == nil {
			return true // the second's is kept, whatever it is
		}
		if j.own[i] = s.constantBias(); j.own[i] == nil {
			return false
		}
	}
	if j.own[0] == nil || j.lead != j.second {
		return true
	}
	// The first's bias passes the window only where that meets it at every tap.
	v := j.second.View
	padded := slices.ContainsFunc(slices.Concat(v.PadBegin, v.PadEnd), func(p int) bool { return p != 0 })
	return !v.Transposed && v.AutoPad == "" && !padded
}

// constantBias returns the constant per channel that a Conv, ConvTranspose or Gemm adds; nil where it is none.
func (s *Site) constantBias() *constantBias {
	f := newFinder(s.model, nil)
	name := s.Node.Input(2)
	h, ok := f.hold(name)
	if !ok || h.overridable || h.dtype() != s.Dtype || !slices.IsSorted(h.perm) {
		return nil
	}
	behind, scale := 0, 1.0
	if s.Op == "Gemm" {
		behind, scale = 1-s.weight.slot, float64(s.Node.Float("beta", 1))
	}
	n := s.Kernel.Out
	shape := h.shape()
	for i, d := range shape {
		if channel := len(shape)-1-behind == i; d != 1 && (!channel || d != n) {
			return nil
		}
	}
	v, err := h.tensor.Float64s()
	if err != nil || len(v) == 0 {
		return nil
	}
	b := &constantBias{values: make([]float64, n), name: name, held: h}
	for i := range b.values {
		b.values[i] = scale * v[i%len(v)]
	}
	return b
}

// shape is that of the product's kernel.
func (j *junction) shape() decomp.Shape {
	s := decomp.Shape{Out: j.second.Kernel.Out, In: j.first.Kernel.In, Groups: j.first.Kernel.Groups}
	if j.lead != nil {
		s.Window = j.lead.Kernel.Window
	}
	return s
}

// saves counts what the one node saves, and tells whether that is something of both weights and multiply-adds.
func (j *junction) saves() (Merged, bool) {
	l := newLedger(j.first.model)
	var saved Merged
	l.remove(j.first.Node)
	l.remove(j.second.Node)
	both := []*Site{j.first, j.second}
	for _, s := range both {
		l.release(s.Node.Input(s.weight.slot))
	}
	for _, s := range both {
		if !l.dropped(s.Weight) {
			return saved, false
		}
		saved.Params += s.Kernel.Params()
	}
	if j.first.Weight == j.second.Weight {
		saved.Params -= j.second.Kernel.Params() // which is there but once
	}
	shape := j.shape()
	saved.Params -= shape.Params()
	if j.own[0] != nil {
		saved.Params -= int64(shape.Out)
		for _, b := range j.own {
			if b == nil {
				continue
			}
			if l.release(b.name); l.dropped(b.held.root) {
				saved.Params += int64(b.held.tensor.Len())
			}
		}
	}
	if !j.first.Located || !j.second.Located {
		// Pointwise both, the two and the one work at the same positions.
		return saved, saved.Params > 0 && (j.lead == nil || j.first.pointwise() && j.second.pointwise())
	}
	whole := Site{Located: true, Batch: j.second.Batch, Kernel: shape, Geometry: j.second.Geometry}
	if j.lead != nil {
		whole.Geometry = decomp.Geometry{In: j.first.Geometry.In, Out: j.second.Geometry.Out, Transposed: j.lead.View.Transposed}
	}
	saved.MACs = j.first.DenseMACs() + j.second.DenseMACs() - whole.DenseMACs()
	return saved, saved.Params > 0 && saved.MACs > 0
}

// patch multiplies the kernels and builds the one node in the place of the second.
func (j *junction) patch() (Patch, error) {
	f, err := j.first.Load()
	if err != nil {
		return Patch{}, err
	}
	s, err := j.second.Load()
	if err != nil {
		return Patch{}, err
	}
	kernel := decomp.Kernel{Shape: j.shape(), Weights: j.product(f, s)}
	if j.own[0] != nil {
		j.bias = j.combined(s)
	}
	for _, v := range slices.Concat(kernel.Weights, j.bias) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return Patch{}, &NotFiniteError{Weight: j.second.Weight, Node: j.second.Name, Value: v} // their product is
		}
	}
	b := &builder{site: j.second, names: j.names, chain: decomp.Chain{{Kernel: kernel}}, opset: j.second.model.Opset("")}
	b.patch = Patch{
		Site: j.second.Name, Old: j.second.Node, Index: j.second.Index, Slot: j.second.weight.slot,
		Taken: &Taken{Old: j.first.Node, Index: j.first.Index}, Freed: []string{j.first.Node.Input(j.first.weight.slot)},
	}
	return b.patch, j.node(b, kernel)
}

// product returns the numbers of S F, group by group.
func (j *junction) product(f, s decomp.Kernel) []float64 {
	rows, middle := s.Rows(), f.Rows()
	cols, taps := f.Cols(), s.Cols()/middle // taps of the second
	var out []float64
	for g := range f.Groups {
		left := s.Weights[g*rows*middle*taps : (g+1)*rows*middle*taps]
		right := &linalg.Matrix{Rows: middle, Cols: cols, Data: f.Weights[g*middle*cols : (g+1)*middle*cols]}
		left = permute(left, []int{rows, middle, taps}, []int{0, 2, 1})
		whole := j.backend.Mul(false, false, 1, &linalg.Matrix{Rows: rows * taps, Cols: middle, Data: left}, right)
		out = append(out, permute(whole.Data, []int{rows, taps, cols}, []int{0, 2, 1})...)
	}
	return out
}

// combined returns S f + s: what both nodes add to the output's channels.
func (j *junction) combined(s decomp.Kernel) []float64 {
	out := make([]float64, s.Out)
	if j.own[1] != nil {
		copy(out, j.own[1].values)
	}
	middle := s.In / s.Groups
	taps := s.Cols() / middle
	for o := range out {
		for i, w := range s.Weights[o*s.Cols() : (o+1)*s.Cols()] {
			out[o] += w * j.own[0].values[o/s.Rows()*middle+i/taps]
		}
	}
	return out
}

// node completes the patch with the one node and its constants.
func (j *junction) node(b *builder, kernel decomp.Kernel) error {
	first, second := j.first, j.second
	name := b.names.Fresh(clean(first.Name) + "+" + clean(second.Name))
	n := second.Node.Spec()
	weight := b.names.Fresh(name + ".weight")
	n.Name, n.Inputs, n.Attrs = name, []string{first.Input, weight}, nil
	if j.lead == nil && second.weight.slot == 0 {
		slices.Reverse(n.Inputs)
	}
	var err error
	if j.lead != nil {
		err = j.convolution(b, &n, weight, kernel)
	} else {
		b.site = first // whose leading axes the weight takes over
		err = j.matrix(b, &n, weight, kernel)
	}
	if err != nil {
		return err
	}
	return j.addBias(b, &n, name)
}

// convolution gives the one node the attributes of the convolution that is not pointwise.
func (j *junction) convolution(b *builder, n *graph.Spec, weight string, k decomp.Kernel) error {
	n.Op, n.Attrs = j.lead.Op, j.lead.Node.Attrs()
	shape, v := append([]int{k.Out, k.In / k.Groups}, k.Window...), k.Weights
	if j.lead.View.Transposed {
		shape[0], shape[1] = k.In, k.Rows()
		v = transpose(v, k.Groups, k.Rows(), k.In/k.Groups)
	}
	return b.weight(weight, shape, v)
}

// matrix makes the one node a Gemm where one of the two is, since it has what they add, and a MatMul else.
func (j *junction) matrix(b *builder, n *graph.Spec, weight string, k decomp.Kernel) error {
	slot := j.first.weight.slot
	if j.first.Op != "Gemm" && j.second.Op != "Gemm" {
		n.Attrs = j.second.Node.Attrs()
		return b.matrix(weight, k, slot == 1, j.first.weight.lead)
	}
	n.Op = "Gemm"
	switch kind := j.first.View.Kind; { // the activation stays turned as it was
	case slot == 1 && kind == FirstAxis:
		n.Attrs = append(n.Attrs, graph.Int("transA", 1))
	case slot == 0 && kind == LastAxis:
		n.Attrs = append(n.Attrs, graph.Int("transB", 1))
	}
	if beta, ok := j.second.Node.Attr("beta"); ok && j.own[0] == nil {
		n.Attrs = append(n.Attrs, beta)
	}
	return b.matrix(weight, k, slot == 1, 0)
}

// addBias gives the one node what it adds: the second's own third input, or the new constant.
func (j *junction) addBias(b *builder, n *graph.Spec, name string) error {
	if own := j.second.Node.Input(2); j.bias == nil {
		if own != "" {
			n.Inputs = append(n.Inputs, own)
		}
		b.patch.New = []graph.Node{n.Node()}
		return nil
	}
	dims := []int{len(j.bias)}
	if n.Op == "Gemm" {
		dims = j.second.channelShape(1 - j.second.weight.slot)
	}
	bias := b.names.Fresh(name + ".bias")
	n.Inputs = append(n.Inputs, bias)
	b.patch.New = []graph.Node{n.Node()}
	for _, c := range j.own {
		if c != nil {
			b.patch.Freed = append(b.patch.Freed, c.name)
		}
	}
	t, err := onnxio.NewTensor(bias, j.second.Dtype, dims, j.bias)
	if err != nil {
		return err
	}
	b.patch.Weights = append(b.patch.Weights, t)
	return nil
}
