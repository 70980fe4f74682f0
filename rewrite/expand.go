package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Expansion is a model with its compound operators (see package compound) written as what they consist of, and the way back.
type Expansion struct {
	// Model computes what the original does, and shares with it all that is not expanded. It is the original where nothing is.
	Model *onnxio.Model

	original *onnxio.Model
	list     []expanded // outer ones before what is in them
	held     map[string]bool
}

// expanded is a node, and what stands in its place.
type expanded struct {
	node      graph.Node
	body      []graph.Node
	constants []onnxio.Tensor // parts of constants that the node reads
	channels  int             // of each head of queries of a MultiHeadAttention
	pairs     int             // of channels that a rotary embedding turns
	cone      []graph.Node    // where a weight takes the place of what computes it: that, node the last of it
}

// maxNesting bounds how deeply compound operators lie in each other.
const maxNesting = 4

// Expand writes the compound operators of a model's main graph as what they consist of, where that is known for inputs of these
// shapes, of which some values have been seen in a run, as shapes.InferSeen takes both. What a body takes of a constant, such as
// the weights of queries out of those of an attention, becomes a constant of its own.
//
// The model shares the files of m and is closed with it.
func Expand(m *onnxio.Model, inputs, seen map[string][]int) (*Expansion, error) {
	x := &Expansion{Model: m, original: m, held: map[string]bool{}}
	table, names := compound.NewTable(), (*graph.NameSet)(nil)
	for range maxNesting {
		e := newExpander(x.Model, nil, table, names)
		if slices.ContainsFunc(e.graph.Nodes(), func(n graph.Node) bool { return table.Has(n.Op()) }) {
			if names == nil {
				names = graph.NewNameSet(m)
			}
			e = newExpander(x.Model, shapes.InferSeen(x.Model, inputs, seen), table, names)
		}
		e.held = x.held
		next := e.expand()
		if len(e.list) == 0 {
			break
		}
		x.list = append(x.list, e.list...)
		if err := errors.Join(next.Check(), x.replace(next)); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// replace takes a model in the place of the one so far.
func (x *Expansion) replace(next *onnxio.Model) error {
	x.Model = next
	return next.Close() // which shares the maps of the original alone, and these stay as long as that does
}

// expander expands one level.
type expander struct {
	*finder
	table compound.Table
	names *graph.NameSet
	types map[string]tensor.Type
	list  []expanded
	parts map[string]onnxio.Tensor // constants made so far, by how they come of the model's
	// held has constants that were made of others which stay in the model though all that reads what was made of them goes.
	held map[string]bool
	// budget is how many bytes more these may have.
	budget int
}

func newExpander(m *onnxio.Model, s *shapes.Shapes, table compound.Table, names *graph.NameSet) *expander {
	e := &expander{finder: newFinder(m, s), table: table, names: names, parts: map[string]onnxio.Tensor{}, budget: maxParts}
	if s != nil {
		e.types = shapes.Types(graph.Of(m))
	}
	return e
}

// expand returns the model in which every node that can be is replaced by its body.
func (e *expander) expand() *onnxio.Model {
	parts := e.graph.Parts()
	var nodes []graph.Node
	gone := e.weights()
	for _, n := range parts.Nodes {
		if gone[n] {
			continue
		}
		x, err := e.body(n)
		if err != nil {
			nodes = append(nodes, n)
			continue
		}
		e.list = append(e.list, x)
		nodes = append(nodes, x.body...)
	}
	made := map[string]bool{}
	for _, x := range e.list {
		for _, t := range x.constants {
			if !made[t.Name()] {
				parts.Initializers = append(parts.Initializers, t)
			}
			made[t.Name()] = true
		}
	}
	parts.Nodes = nodes
	e.prune(&parts)
	return parts.Model()
}

// errSimple is for nodes that consist of nothing else.
var errSimple = errors.New("it is no compound operator")

// body returns what can stand in the place of a node.
func (e *expander) body(n graph.Node) (expanded, error) {
	_, call := e.graph.Called(n)
	if call || !e.table.Has(n.Op()) {
		return expanded{}, errSimple
	}
	nodes, err := e.table.Body(n, compound.Known{
		Opset:    int(e.opset),
		Shape:    e.shapes.Of,
		Type:     func(value string) tensor.Type { return e.types[value] },
		Constant: func(value string) bool { _, ok := e.hold(value); return ok },
		Maker: func(value string) string {
			made, _ := e.graph.Producer(value)
			if made.IsZero() {
				return ""
			}
			return made.Op()
		},
	}, e.names)
	if err != nil {
		return expanded{}, err
	}
	x := expanded{node: n}
	x.body, x.constants = e.fold(nodes, n.Outputs())
	if shape, ok := e.shapes.Of(n.Input(0)); ok && n.Op() == multiHead && len(shape) == 3 {
		x.channels = shape[2] / max(n.Int("num_heads", 1), 1)
	}
	if tables := angles(n); tables != nil {
		if shape, ok := e.shapes.Of(n.Input(tables[0])); ok && len(shape) > 0 {
			x.pairs = shape[len(shape)-1]
		}
	}
	return x, nil
}

// why says what keeps a compound node from being expanded, nil for other nodes.
func (e *expander) why(n graph.Node) error {
	_, err := e.body(n)
	if errors.Is(err, errSimple) {
		return nil
	}
	return err
}

// prune leaves out the constants that only expanded nodes have read.
func (e *expander) prune(p *graph.Parts) {
	read := map[string]bool{}
	for _, n := range p.Nodes {
		for _, v := range n.Reads() {
			read[v] = true
		}
	}
	stays := func(v string) bool {
		return e.held[v] || read[v] || e.graph.IsOutput(v) || e.graph.IsInput(v) || !e.alone(v)
	}
	freed := map[string]bool{}
	for _, x := range e.list {
		for _, v := range x.reads() {
			freed[v] = !stays(v)
		}
	}
	e.note(stays)
	p.Initializers = slices.DeleteFunc(p.Initializers, func(t onnxio.Tensor) bool { return freed[t.Name()] })
}

// note notes which of the constants that were made are held: those made of a constant that stays, or of which more was made, all in all, than
// it has numbers, so that it is not each of them that takes its place.
func (e *expander) note(stays func(value string) bool) {
	how := map[string]string{}
	for from, t := range e.parts {
		how[t.Name()] = from
	}
	made, numbers := map[string][]string{}, map[string]int{} // by the constant that they are made of
	for _, x := range e.list {
		for _, v := range x.reads() {
			c, ok := e.graph.Constant(v)
			if !ok {
				continue
			}
			for _, t := range x.constants {
				of := x.cone != nil || strings.Contains(how[t.Name()], fmt.Sprintf("%q", e.graph.Origin(v)))
				if !of || t.Type() != c.Tensor.Type() || slices.Contains(made[v], t.Name()) { // sizes and indices are of another type
					continue
				}
				made[v], numbers[v] = append(made[v], t.Name()), numbers[v]+min(t.Len(), c.Tensor.Len())
			}
			if stays(v) || numbers[v] > c.Tensor.Len() {
				for _, name := range made[v] {
					e.held[name] = true
				}
			}
		}
	}
}

// Hold sets WeightStays of sites whose weights were made of constants that stay in the model without them: replacing such a site drops nothing.
func (x *Expansion) Hold(sites []Site) {
	for i := range sites {
		s := &sites[i]
		s.held = x.held[s.Weight]
		s.WeightStays = s.WeightStays || s.held
	}
}

// reads are the values that an expanded node has read.
func (x expanded) reads() []string {
	values := x.node.Inputs()
	for _, n := range x.cone {
		values = slices.Concat(values, n.Inputs())
	}
	return values
}

// alone tells whether nothing but nodes of the graph reads a value.
func (e *expander) alone(value string) bool {
	return !slices.ContainsFunc(e.graph.Uses(value), func(u graph.Use) bool { return u.Nested || u.Node.IsZero() })
}
