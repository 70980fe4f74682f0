package grad

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Block is a node that no gradient passes.
type Block struct {
	// Node is the node's name, or its first output where it has none.
	Node string
	// Op is the operator, with its domain unless that is ONNX's own.
	Op string
	// Reason says what is missing, for people.
	Reason string
}

// String names operator and node, and says what is missing.
func (b Block) String() string { return fmt.Sprintf("%s %q: %s", b.Op, b.Node, b.Reason) }

// BlockedError says which wanted values have no gradient, because operators without a
// rule stand between them and an output.
type BlockedError struct {
	// Values lists the nodes in the way of each value, in the order of the graph.
	Values map[string][]Block
}

// Operators lists the operators that stand in the way, sorted.
func (e *BlockedError) Operators() []string {
	ops := map[string]bool{}
	for _, blocks := range e.Values {
		for _, b := range blocks {
			ops[b.Op] = true
		}
	}
	return slices.Sorted(maps.Keys(ops))
}

// Error names the operators, and for the first value the first node in the way.
func (e *BlockedError) Error() string {
	names := slices.Sorted(maps.Keys(e.Values))
	if len(names) == 0 {
		return "grad: no value is blocked"
	}
	first := names[0]
	more := ""
	if len(names) > 1 {
		more = fmt.Sprintf(" and %d more", len(names)-1)
	}
	return fmt.Sprintf("grad: no gradient with respect to %q%s: %s (operators in the way: %s); leave these values out",
		first, more, e.Values[first][0], strings.Join(e.Operators(), ", "))
}
