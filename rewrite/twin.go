package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Twin is a node in a body that computes with a site's weight as the site does. It takes the same factors.
type Twin struct {
	Node  graph.Node
	Index int // position in the main graph of the node that holds the body
}

// Pair gives the sites of m their twins among the nodes of those bodies whose holders, numbered in the main graph, within says: nodes of the same
// operator and attributes that read the same weight, or one of the same content. Of sites that share a weight the first gets them. Settle then
// counts a twin's use of the weight as gone with the site's.
func Pair(m *onnxio.Model, sites []Site, within func(index int) bool) {
	p := &pairing{model: m, byOp: map[string][]*Site{}}
	for i := range sites {
		s := &sites[i]
		s.Twins = nil
		if s.View.Kind == ConvPatches || s.Kernel.Groups == 1 {
			p.byOp[s.Op] = append(p.byOp[s.Op], s)
		}
	}
	for i, n := range graph.Of(m).Nodes() {
		if within(i) {
			p.bodies(i, n, []*graph.Graph{graph.Of(m)})
		}
	}
}

// pairing is a call of Pair on its way.
type pairing struct {
	model *onnxio.Model
	byOp  map[string][]*Site
}

// bodies looks through the subgraphs of a node in the main graph's node of that number.
func (p *pairing) bodies(index int, n graph.Node, scopes []*graph.Graph) {
	for _, a := range n.Attrs() {
		g, ok := n.Graph(p.model, a.Name())
		if !ok {
			continue
		}
		inner := append(slices.Clone(scopes), g)
		for _, n := range g.Nodes() {
			p.pair(index, n, inner)
			p.bodies(index, n, inner)
		}
	}
}

// pair makes a node the twin of the first site that computes as it does.
func (p *pairing) pair(index int, n graph.Node, scopes []*graph.Graph) {
	for _, s := range p.byOp[n.Op()] {
		if alike(s.Node, n) && p.same(s, n.Input(s.weight.slot), scopes) {
			s.Twins = append(s.Twins, Twin{n, index})
			return
		}
	}
}

// same tells whether a value of a body is a site's weight, as the site's node reads it, or has its content.
func (p *pairing) same(s *Site, value string, scopes []*graph.Graph) bool {
	own, ok := scopes[0].Constant(s.Node.Input(s.weight.slot))
	if !ok {
		return false // behind a Transpose
	}
	for i, g := range slices.Backward(scopes) {
		c, constant := g.Constant(value)
		switch _, made := g.Producer(value); {
		case constant && i == 0 && c.Tensor.Proto() == own.Tensor.Proto():
			return true
		case constant:
			return c.Tensor.Type() == own.Tensor.Type() && slices.Equal(c.Tensor.Shape(), own.Tensor.Shape()) && equalNumbers(c.Tensor, own.Tensor)
		case made || g.IsInput(value):
			return false
		}
	}
	return false
}

func equalNumbers(a, b onnxio.Tensor) bool {
	x, err := a.Dense()
	if err != nil {
		return false
	}
	y, err := b.Dense()
	return err == nil && equal(x, y)
}

// alike tells whether two nodes compute the same of their inputs.
func alike(a, b graph.Node) bool {
	plain := func(n graph.Node) graph.Node { return graph.NewNode(n.Op(), "", nil, nil, n.Attrs()...) }
	return len(a.Outputs()) == 1 && len(b.Outputs()) == 1 && plain(a).Equal(plain(b))
}

// TwinPatch is what takes the place of a twin, beside the patch of its site, whose weights it reads.
type TwinPatch struct {
	Twin
	New []graph.Node
}

// twins adds the replacements of the site's twins to a patch. Where the chain shifts its output, a twin gets a sum behind it, since what is added
// there is not known.
func (b *builder) twins() error {
	for _, t := range b.site.Twins {
		site := *b.site
		site.Node, site.Name, site.Output = t.Node, t.Node.Label(), t.Node.Output(0)
		site.Input = t.Node.Input(slices.Index(b.site.Node.Inputs(), b.site.Input))
		chain := slices.Clone(b.chain)
		last := &chain[len(chain)-1]
		shift := last.Shift
		last.Shift = nil
		own := &builder{site: &site, chain: chain, names: b.names, opset: b.opset, given: b.kernels}
		own.patch.Old = t.Node
		for i, f := range chain {
			if err := own.factor(i, f); err != nil {
				return fmt.Errorf("twin %q: factor %q: %w", site.Name, f.Part, err)
			}
		}
		if shift != nil {
			if err := own.shift(shift); err != nil {
				return fmt.Errorf("twin %q: %w", site.Name, err)
			}
		}
		b.patch.Weights = append(b.patch.Weights, own.patch.Weights...)
		b.patch.Twins = append(b.patch.Twins, TwinPatch{t, own.patch.New})
	}
	return nil
}

// shift has a sum behind the last node.
func (b *builder) shift(v []float64) error {
	shape := []int{len(v)}
	switch {
	case b.site.View.Kind == ConvPatches:
		shape = append(shape, slices.Repeat([]int{1}, len(b.site.Kernel.Window))...)
	case b.site.Op != "Gather" && b.site.weight.slot == 0:
		shape = append(shape, 1)
	}
	base := clean(b.site.Name)
	name := b.names.Fresh(base + "/shift")
	if err := b.weight(name, shape, v); err != nil {
		return err
	}
	end := len(b.patch.New) - 1
	s := b.patch.New[end].Spec()
	s.Outputs = []string{b.names.Fresh(base + "/product")}
	sum := graph.NewNode("Add", b.names.Fresh(base+"/sum"), []string{s.Outputs[0], name}, []string{b.site.Output})
	b.patch.New[end] = s.Node()
	b.patch.New = append(b.patch.New, sum)
	return nil
}
