package rewrite

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// ApplyOptions controls Apply.
type ApplyOptions struct {
	// Stop ends after the patch of that number, counted from 1, so that a bad
	// patch can be found by bisection; 0 applies all.
	Stop int
}

// Apply builds the model in which each patch's node is replaced. Nothing in m
// changes; the new model shares with it every node and tensor that no patch touches.
//
// A weight is dropped when nothing uses it any longer: neither a node, of the main
// graph or inside a subgraph, nor a graph output, the training information or an
// annotation. With it go its graph input, its value_info, its annotation, and the
// Identity and Transpose nodes that led to it. New weights become graph inputs too
// where the IR version (3 and older) asks for that.
//
// Each patch is checked before it is taken in, and the whole model afterwards.
// Errors name the number of the patch and its site. Without patches the new model
// equals m as a message.
func Apply(m *onnxio.Model, patches []Patch, o ApplyOptions) (*onnxio.Model, error) {
	if o.Stop < 0 || o.Stop > len(patches) {
		return nil, fmt.Errorf("stopping after patch %d: there are %d", o.Stop, len(patches))
	}
	if o.Stop > 0 {
		patches = patches[:o.Stop]
	}
	if len(patches) == 0 {
		return graph.Of(m).Parts().Model(), nil
	}
	a := &application{model: m, names: graph.NewNameSet(m), at: map[int]*Patch{}, swaps: map[int]*Swap{}, ledger: newLedger(m), twins: map[graph.Node][]graph.Node{}}
	for i := range patches {
		if err := a.take(&patches[i]); err != nil {
			return nil, fmt.Errorf("patch %d of %d (site %q): %w", i+1, len(patches), patches[i].Site, err)
		}
	}
	for i := range patches {
		a.ledger.release(patches[i].Old.Input(patches[i].Slot))
		for _, v := range patches[i].Freed {
			a.ledger.release(v)
		}
		for _, t := range patches[i].Twins {
			a.ledger.release(t.Node.Input(patches[i].Slot))
		}
	}
	small := a.parts(patches).Model()
	if err := small.Check(); err != nil {
		return nil, errors.Join(fmt.Errorf("after %d patches (apply fewer to find the bad one): %w", len(patches), err), small.Close())
	}
	return small, nil
}

// application collects the patches that were found good.
type application struct {
	model  *onnxio.Model
	names  *graph.NameSet
	at     map[int]*Patch // by the position of the node that goes
	swaps  map[int]*Swap  // by the position of the node
	ledger *ledger
	twins  map[graph.Node][]graph.Node // what takes the place of nodes in bodies
}

// holds tells whether a node stands at a position of the model.
func (a *application) holds(index int, n graph.Node) bool {
	nodes := graph.Of(a.model).Nodes()
	return index >= 0 && index < len(nodes) && nodes[index] == n
}

// changed tells whether a patch before has changed the node at a position.
func (a *application) changed(index int) bool { return a.at[index] != nil || a.swaps[index] != nil }

// take checks a patch against the model and the patches before it, and notes it.
func (a *application) take(p *Patch) error {
	if !a.holds(p.Index, p.Old) {
		return fmt.Errorf("node %d of the model is not the one that the patch was made for", p.Index)
	}
	if a.changed(p.Index) {
		return errors.New("an earlier patch has replaced the same node")
	}
	if err := a.fresh(p); err != nil {
		return err
	}
	if err := connected(p); err != nil {
		return err
	}
	a.at[p.Index] = p
	a.ledger.remove(p.Old)
	if p.Taken != nil {
		if err := a.takeAlong(p); err != nil {
			return err
		}
	}
	for _, n := range slices.Concat(p.Casts, p.New) {
		a.ledger.need(n.Inputs()...)
	}
	for _, t := range p.Twins {
		a.twins[t.Node] = t.New
		a.ledger.remove(t.Node)
		for _, n := range t.New {
			a.ledger.need(n.Inputs()...)
		}
	}
	if p.Next != nil {
		return a.swap(p.Next)
	}
	return nil
}

// takeAlong notes that the node in front of a patch's own goes too.
func (a *application) takeAlong(p *Patch) error {
	t := p.Taken
	if t.Index >= p.Index || !a.holds(t.Index, t.Old) {
		return fmt.Errorf("node %d of the model is not the one in front that is to go too", t.Index)
	}
	if a.changed(t.Index) {
		return fmt.Errorf("an earlier patch has changed the node %q, which is to go too", t.Old.Label())
	}
	for _, v := range t.Old.Outputs() {
		if use, ok := graph.Of(a.model).Reader(v); !ok || use.Node != p.Old {
			return fmt.Errorf("something else reads %q, which the node %q computes that is to go too", v, t.Old.Label())
		}
	}
	a.at[t.Index] = &Patch{Old: t.Old}
	a.ledger.remove(t.Old)
	return nil
}

// swap notes that a node reads something else from now on.
func (a *application) swap(s *Swap) error {
	if !a.holds(s.Index, s.Old) {
		return fmt.Errorf("node %d of the model is not the one whose constant takes the shift", s.Index)
	}
	if a.changed(s.Index) {
		return fmt.Errorf("an earlier patch has changed the node %q, whose constant takes the shift", s.Old.Label())
	}
	if !swapped(s.Old, s.New) {
		return fmt.Errorf("the node %q would change in more than an input", s.Old.Label())
	}
	a.swaps[s.Index] = s
	a.ledger.remove(s.Old)
	a.ledger.need(s.New.Inputs()...)
	return nil
}

// fresh takes the names that a patch brings, which nothing may bear yet.
func (a *application) fresh(p *Patch) error {
	var names []string
	brought := func(old graph.Node, list []graph.Node) {
		for i, n := range list {
			if len(list) > 1 || n.Name() != old.Name() {
				names = append(names, n.Name())
			}
			if i < len(list)-1 {
				names = append(names, n.Outputs()...)
			}
		}
	}
	brought(p.Old, p.New)
	for _, t := range p.Twins {
		brought(t.Node, t.New)
	}
	for _, t := range p.Weights {
		names = append(names, t.Name())
	}
	for _, n := range p.Casts { // which have the names of what they make
		names = append(names, n.Name())
	}
	for _, name := range names {
		if name == "" || a.names.Has(name) {
			return fmt.Errorf("the new name %q is empty or taken", name)
		}
		a.names.Add(name)
	}
	return nil
}

// connected tells whether the new nodes form a path from the inputs of the old one
// to its outputs that uses everything the patch brings.
func connected(p *Patch) error {
	if len(p.New) == 0 {
		return errors.New("no nodes stand in the place of the old one")
	}
	if last := p.New[len(p.New)-1]; !slices.Equal(last.Outputs(), p.Old.Outputs()) {
		return fmt.Errorf("the last new node computes %q, the old one %q", last.Outputs(), p.Old.Outputs())
	}
	known, unread := map[string]bool{"": true}, map[string]bool{}
	for _, v := range p.Old.Inputs() {
		known[v] = true
	}
	if p.Taken != nil {
		for _, v := range p.Taken.Old.Inputs() {
			known[v] = true
		}
		for _, v := range p.Taken.Old.Outputs() {
			delete(known, v)
		}
	}
	bring := func(name string) { known[name], unread[name] = true, true }
	for _, t := range p.Weights {
		bring(t.Name())
	}
	last := len(p.Casts) + len(p.New) - 1
	for i, n := range slices.Concat(p.Casts, p.New) {
		for _, v := range n.Inputs() {
			if !known[v] {
				return fmt.Errorf("new node %q reads %q, which is neither an input of the old node nor new", n.Name(), v)
			}
			delete(unread, v)
		}
		if i < last {
			for _, v := range n.Outputs() {
				bring(v)
			}
		}
	}
	if p.Next != nil {
		for _, v := range p.Next.New.Inputs() {
			delete(unread, v)
		}
	}
	for _, t := range p.Twins {
		for _, n := range t.New {
			for _, v := range n.Inputs() {
				delete(unread, v)
			}
		}
	}
	for v := range unread {
		return fmt.Errorf("no new node reads %q", v)
	}
	return nil
}

// parts assembles the new model from the old one.
func (a *application) parts(patches []Patch) graph.Parts {
	g := graph.Of(a.model)
	parts := g.Parts()
	parts.Nodes = nil
	gone := maps.Clone(a.ledger.tensor)
	for i, n := range g.Nodes() {
		switch p := a.at[i]; {
		case p != nil && p.New != nil:
			parts.Nodes = append(append(parts.Nodes, p.Casts...), p.New...)
		case a.swaps[i] != nil:
			parts.Nodes = append(parts.Nodes, a.swaps[i].New)
		case p != nil || a.ledger.gone[n]:
			for _, v := range n.Outputs() {
				gone[v] = true
			}
		default:
			parts.Nodes = append(parts.Nodes, n.Inside(a.twins))
		}
	}
	info := func(v graph.Value) bool { return gone[v.Name()] }
	parts.Inputs, parts.Values = slices.DeleteFunc(parts.Inputs, info), slices.DeleteFunc(parts.Values, info)
	parts.Initializers = slices.DeleteFunc(parts.Initializers, func(t onnxio.Tensor) bool { return gone[t.Name()] })
	parts.Annotations = slices.DeleteFunc(parts.Annotations, func(q graph.Annotation) bool { return gone[q.Tensor()] })
	for _, p := range patches {
		parts.Initializers = append(parts.Initializers, p.Weights...)
		parts.Values = append(parts.Values, p.Values...)
		if parts.IR > 3 {
			continue
		}
		for _, t := range p.Weights { // which are declared as inputs too
			parts.Inputs = append(parts.Inputs, graph.NewValue(t.Name(), t.Type(), graph.Sizes(t.Shape())))
		}
	}
	return parts
}
