package refit

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// side is one of the two models that run side by side.
type side int

const (
	original side = iota
	compressed
)

// never is the stop of a node that nothing of interest needs.
const never = -1

// schedule says in which stop each node of the main graph runs. Stop k gathers what site k needs: nodes run as late
// as that, in the order of the graph. The original's sites run in their own stop, to give their output; the compressed
// model's in the stop of what first reads them, when they have been solved.
type schedule struct {
	graph    *graph.Graph
	nodes    []graph.Node
	reads    [][]string     // of each node: values of the main graph, those that its subgraphs read included
	maker    map[string]int // the node that computes a value
	constant map[string]bool
	inputs   map[string]bool // graph inputs that are fed
	sparse   map[string]graph.Sparse

	site      map[int]int // the stop of each site, by the position of its node
	shortcuts []*shortcut // of each stop, nil for none
	stops     [2][]int    // of each node, for each model
	last      [2]map[string]int
}

func newSchedule(m *onnxio.Model, sites []*rewrite.Site) *schedule {
	g := graph.Of(m)
	p := &schedule{
		graph: g, nodes: g.Nodes(), maker: map[string]int{}, constant: map[string]bool{}, sparse: map[string]graph.Sparse{},
		site: map[int]int{}, shortcuts: make([]*shortcut, len(sites)), inputs: map[string]bool{},
	}
	for _, t := range g.Initializers() {
		p.constant[t.Name()] = true
	}
	for _, t := range g.Sparse() {
		p.sparse[t.Name()], p.constant[t.Name()] = t, true
	}
	for _, v := range g.Feeds() {
		p.inputs[v.Name()] = true
	}
	for i, n := range p.nodes {
		for _, v := range n.Outputs() {
			if v != "" {
				p.maker[v] = i
			}
		}
		p.reads = append(p.reads, n.Reads())
		if !n.Random() && !slices.ContainsFunc(p.reads[i], func(v string) bool { return !p.constant[v] }) {
			for _, v := range n.Outputs() {
				p.constant[v] = true
			}
		}
	}
	p.fill(m, sites)
	return p
}

// fill fills in the stops and how long each value is needed.
func (p *schedule) fill(m *onnxio.Model, sites []*rewrite.Site) {
	for s := range p.stops {
		p.stops[s] = make([]int, len(p.nodes))
		for i := range p.nodes {
			p.stops[s][i] = never
		}
		p.last[s] = map[string]int{}
	}
	for k, s := range sites {
		p.site[s.Index] = k
	}
	for k, s := range sites {
		p.demand(s.Input, k)
		if c := findShortcut(m, s, p); c != nil && p.free(c.operand, k) {
			p.shortcuts[k] = c
			p.demand(c.operand, k)
		}
	}
	copy(p.stops[original], p.stops[compressed])
	for i, k := range p.site {
		p.stops[original][i] = k
	}
	for s := range p.stops {
		for i, k := range p.stops[s] {
			if k != never {
				for _, v := range p.reads[i] {
					p.last[s][v] = max(p.last[s][v], k)
				}
			}
		}
		for k, site := range sites {
			p.last[s][site.Input] = max(p.last[s][site.Input], k)
			if c := p.shortcuts[k]; c != nil {
				p.last[s][c.operand] = max(p.last[s][c.operand], k)
			}
		}
	}
}

// demand puts the nodes that a value needs, and that have no stop yet, into stop k of the compressed model.
func (p *schedule) demand(value string, k int) {
	i, ok := p.maker[value]
	if !ok || p.constant[value] || p.stops[compressed][i] != never {
		return
	}
	p.stops[compressed][i] = k
	for _, v := range p.reads[i] {
		p.demand(v, k)
	}
}

// free tells whether a value can be had in stop k: it needs no site that is not solved by then.
func (p *schedule) free(value string, k int) bool {
	return p.freeOf(value, k, map[int]bool{})
}

func (p *schedule) freeOf(value string, k int, seen map[int]bool) bool {
	i, ok := p.maker[value]
	if !ok || p.constant[value] || p.stops[compressed][i] != never || seen[i] {
		return true
	}
	seen[i] = true
	if at, site := p.site[i]; site && at >= k {
		return false
	}
	for _, v := range p.reads[i] {
		if !p.freeOf(v, k, seen) {
			return false
		}
	}
	return true
}

// needed is the last stop in which either model, or both where the value is the same in them, reads it.
func (p *schedule) needed(s side, value string, same bool) int {
	last := never
	for _, m := range []side{original, compressed} {
		if k, ok := p.last[m][value]; ok && (m == s || same) {
			last = max(last, k)
		}
	}
	return last
}

// needs is the model with those of its nodes alone that run in some stop.
func (p *schedule) needs(m *onnxio.Model) *onnxio.Model {
	parts := graph.Of(m).Parts().Plain()
	parts.Nodes = nil
	for i, n := range p.nodes {
		if p.stops[original][i] != never {
			parts.Nodes = append(parts.Nodes, n)
		}
	}
	return parts.Model()
}
