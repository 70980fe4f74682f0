package onnxio

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// undefined says why a node cannot read a value that nothing before it defines: the graph
// has a cycle, its nodes are out of order, or the value is nowhere.
func undefined(nodes []*onnxpb.NodeProto, value string) error {
	maker := makers(nodes)
	by, ok := maker[value]
	if !ok {
		return fmt.Errorf("%q is defined nowhere: no graph input, initializer or node output has that name", value)
	}
	if cycle := findCycle(nodes, maker); len(cycle) > 0 {
		return fmt.Errorf("the graph has a cycle: %s, and back", cycleText(cycle, nodes))
	}
	return fmt.Errorf("%q is made only later, by %s; nodes must stand in topological order", value, describe(nodes[by], by))
}

// cycleText names the nodes of a cycle, the middle ones of a long one left out.
func cycleText(cycle []int, nodes []*onnxpb.NodeProto) string {
	const ends = 5
	var names []string
	for k, i := range cycle {
		switch left := len(cycle) - 2*ends; {
		case left <= 1 || k < ends || k >= ends+left:
			names = append(names, describe(nodes[i], i))
		case k == ends:
			names = append(names, fmt.Sprintf("%d more nodes", left))
		}
	}
	return strings.Join(names, " → ")
}

// makers returns the node that makes each value.
func makers(nodes []*onnxpb.NodeProto) map[string]int {
	maker := map[string]int{}
	for j, n := range nodes {
		for _, out := range n.Output {
			if out != "" {
				maker[out] = j
			}
		}
	}
	return maker
}

// order is which nodes of a list read what others make.
type order struct {
	needs [][]int // nodes whose outputs each node reads
	feeds [][]int
	open  []int // how many of its needs are not sorted yet
}

// orderOf looks at what nodes and their subgraphs read; maker gives the node that makes each value.
func orderOf(nodes []*onnxpb.NodeProto, maker map[string]int) *order {
	o := &order{make([][]int, len(nodes)), make([][]int, len(nodes)), make([]int, len(nodes))}
	for i, n := range nodes {
		need := func(value string) {
			if j, ok := maker[value]; ok {
				o.needs[i] = append(o.needs[i], j)
				o.feeds[j] = append(o.feeds[j], i)
				o.open[i]++
			}
		}
		for _, in := range n.Input {
			need(in)
		}
		Captured(n, func(value string, _ *onnxpb.NodeProto, _ int) { need(value) })
	}
	return o
}

// sort returns the nodes with each behind those that it reads from: of all that could stand next, always the first
// of the list, so that nodes in order stay as they are. Nodes on or behind a cycle are left out; they stay open.
func (o *order) sort() []int {
	var ready firstOf
	for i, n := range o.open {
		if n == 0 {
			ready = append(ready, i) // ascending, and so a heap
		}
	}
	sorted := make([]int, 0, len(o.open))
	for len(ready) > 0 {
		i := heap.Pop(&ready).(int)
		sorted = append(sorted, i)
		for _, j := range o.feeds[i] {
			if o.open[j]--; o.open[j] == 0 {
				heap.Push(&ready, j)
			}
		}
	}
	return sorted
}

// firstOf is a heap of node numbers, the least first.
type firstOf []int

func (h firstOf) Len() int           { return len(h) }
func (h firstOf) Less(i, j int) bool { return h[i] < h[j] }
func (h firstOf) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *firstOf) Push(x any)        { *h = append(*h, x.(int)) }
func (h *firstOf) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// findCycle returns the nodes of one cycle, each feeding the next, or nil. maker gives the
// node that makes each value.
func findCycle(nodes []*onnxpb.NodeProto, maker map[string]int) []int {
	o := orderOf(nodes, maker)
	o.sort()
	// Whatever is still open needs something that is open too, so walking up from it
	// must come around.
	for start := range nodes {
		if o.open[start] > 0 {
			return walkUp(start, o.needs, o.open)
		}
	}
	return nil
}

// fromFirst turns a cycle found upwards into one in the direction of the values, starting
// at the node that stands first.
func fromFirst(cycle []int) []int {
	slices.Reverse(cycle)
	first := slices.Index(cycle, slices.Min(cycle))
	return slices.Concat(cycle[first:], cycle[:first])
}

// walkUp follows open needs from a node until one comes up twice.
func walkUp(start int, needs [][]int, open []int) []int {
	var path []int
	at := map[int]int{}
	for i := start; ; {
		if first, ok := at[i]; ok {
			return fromFirst(path[first:])
		}
		at[i] = len(path)
		path = append(path, i)
		for _, j := range needs[i] {
			if open[j] > 0 {
				i = j
				break
			}
		}
	}
}
