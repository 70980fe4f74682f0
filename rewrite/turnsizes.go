package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// turning is the attribute of rotary embeddings that says how many channels of a head turn, 0 for all.
const turning = "rotary_embedding_dim"

// angles are the inputs of a rotary embedding that are its tables of cosines and sines, nil for other nodes.
func angles(n graph.Node) []int {
	switch n.Op() {
	case "RotaryEmbedding":
		return []int{1, 2}
	case "com.microsoft::RotaryEmbedding":
		return []int{2, 3}
	}
	return nil
}

// pairs is how many pairs of channels the tables of a rotary embedding turn now, where both say the same.
func (c *collapser) pairs(x expanded) (int, bool) {
	pairs, read := 0, 0
	for _, at := range angles(x.node) {
		for _, n := range x.body {
			slot := slices.Index(n.Inputs(), x.node.Input(at))
			if slot < 0 {
				continue
			}
			t, ok := c.stored[c.makers[first(n.Outputs())].Input(slot)]
			if !ok || len(t.Shape()) == 0 {
				return 0, false
			}
			now := t.Shape()[len(t.Shape())-1]
			if read++; read > 1 && now != pairs {
				return 0, false
			}
			pairs = now
		}
	}
	return pairs, read == 2 && pairs > 0 && x.pairs > 0
}

// fewer tells whether a rotary embedding turns fewer pairs than it did.
func (c *collapser) fewer(x expanded) bool {
	if angles(x.node) == nil {
		return false
	}
	pairs, ok := c.pairs(x)
	return ok && pairs < x.pairs
}

// turned tells whether a node differs from that of a rotary embedding's body by sizes alone: by how many pairs of channels turn, which the
// operator reads from its tables, and by how many channels each of as many heads has.
func (c *collapser) turned(x expanded, was, is graph.Node) bool {
	if is.IsZero() {
		return was.Op() == "Constant" && !slices.ContainsFunc(x.body, func(n graph.Node) bool {
			at := slices.Index(n.Inputs(), was.Output(0))
			return at >= 0 && !c.turned(x, n, c.makers[first(n.Outputs())])
		})
	}
	pairs, ok := c.pairs(x)
	if !ok || was.Op() != is.Op() {
		return false
	}
	switch was.Op() {
	case "Constant":
		return c.turned(x, was, graph.Node{})
	case "Slice", "Reshape":
		if was.Input(0) != is.Input(0) || len(was.Inputs()) != len(is.Inputs()) {
			return false
		}
		for k := range was.Inputs()[1:] {
			if !c.resized(x, was, is, k+1, pairs) {
				return false
			}
		}
		return true
	}
	return false
}

// resized tells whether integers that a node of a body reads follow from those that it read, beside so many pairs of channels.
func (c *collapser) resized(x expanded, was, is graph.Node, slot, pairs int) bool {
	old, ok := c.written(x, was.Input(slot))
	now, there := c.integers(is.Input(slot))
	if !ok || !there || len(old) != len(now) {
		return false
	}
	turned := int64(2 * pairs)
	follows := func(old, now int64) bool {
		switch {
		case was.Op() == "Slice" && slot > 2: // its axis and step
			return old == now
		case old == int64(x.pairs):
			return now == int64(pairs)
		case old == int64(2*x.pairs):
			return now == turned
		case old >= math.MaxInt32: // to the end, of which all channels that do not turn are
			return now > turned
		}
		return old == now
	}
	heads := int64(x.node.Int("num_heads", 0))
	switch {
	case was.Op() == "Slice" || len(old) == 4 && old[2] == 0: // of the channels that turn
		for i := range old {
			if !follows(old[i], now[i]) {
				return false
			}
		}
		return true
	case len(old) == 4: // to heads
		return slices.Equal(old[:3], now[:3]) && (now[3] == turned || x.node.Int(turning, 0) > 0)
	}
	return slices.Equal(old[:2], now[:2]) && (heads == 0 || now[2]%heads == 0) // to all heads side by side
}

// written are the integers of a constant of a body as it was.
func (c *collapser) written(x expanded, value string) ([]int64, bool) {
	for _, n := range x.body {
		if n.Op() != "Constant" || n.Output(0) != value {
			continue
		}
		if t, ok := n.Value(c.from); ok {
			return integersOf(t)
		}
	}
	return nil, false
}
