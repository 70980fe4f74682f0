package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// ledger works out which constants nothing needs any longer once some nodes are gone.
type ledger struct {
	graph  *graph.Graph
	gone   map[graph.Node]bool // nodes removed, replaced ones included
	kept   map[string]bool     // values needed by new nodes and by annotations
	tensor map[string]bool     // initializers to drop
	passed map[string]int      // how many of a value's uses, from the first on, are known to be gone: what is gone stays so
}

func newLedger(m *onnxio.Model) *ledger {
	l := &ledger{graph: graph.Of(m), gone: map[graph.Node]bool{}, kept: map[string]bool{}, tensor: map[string]bool{}, passed: map[string]int{}}
	for _, a := range l.graph.Annotations() {
		l.need(a.Parameters()...)
	}
	return l
}

// remove notes that a node goes.
func (l *ledger) remove(n graph.Node) { l.gone[n] = true }

// need notes that new nodes read the values.
func (l *ledger) need(values ...string) {
	for _, v := range values {
		l.kept[v] = true
	}
}

// release drops what holds a value, unless something still reads it: an initializer, or the node that makes it, and what
// that alone reads in turn.
func (l *ledger) release(value string) {
	queue := []string{value}
	for len(queue) > 0 {
		value, queue = queue[0], queue[1:]
		if value == "" || l.tensor[value] || l.used(value) {
			continue
		}
		if _, ok := l.graph.Initializer(value); ok {
			l.tensor[value] = true
			continue
		}
		n, ok := l.graph.Producer(value)
		if !ok || l.gone[n] || slices.ContainsFunc(n.Outputs(), l.used) {
			continue
		}
		l.gone[n] = true
		queue = append(queue, n.Inputs()...)
	}
}

// used tells whether anything that stays reads a value.
func (l *ledger) used(value string) bool {
	if l.kept[value] || l.graph.IsOutput(value) {
		return true
	}
	uses, at := l.graph.Uses(value), l.passed[value]
	for at < len(uses) && l.gone[uses[at].Node] {
		at++
	}
	l.passed[value] = at
	return at < len(uses) // nodes inside subgraphs and training graphs never go
}

// dropped tells whether the initializer or Constant node of that name goes.
func (l *ledger) dropped(name string) bool {
	if l.tensor[name] {
		return true
	}
	n, ok := l.graph.Producer(name)
	return ok && l.gone[n]
}
