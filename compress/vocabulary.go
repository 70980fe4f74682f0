package compress

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// moves tells whether all that a node gives are numbers of its first input.
func moves(n graph.Node) bool {
	switch n.Op() {
	case "Cast", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze":
		return true
	}
	return false
}

// vocabularies tells by name for inputs of a model that rows of tables are looked up by, such as tokens or the ends of a graph's edges, how
// many rows there are: the fewest, of several tables. Only the main graph is looked at.
func vocabularies(m *onnxio.Model, inputs map[string][]int) map[string]int {
	g, known := graph.Of(m), shapes.Infer(m, inputs)
	out := map[string]int{}
	for _, in := range g.Feeds() {
		reached := []string{in.Name()}
		for k := 0; k < len(reached); k++ {
			for _, u := range g.Uses(reached[k]) {
				if rows := rowsOf(u, known); rows > 0 {
					if least, ok := out[in.Name()]; !ok || rows < least {
						out[in.Name()] = rows
					}
				}
				if u.Nested || u.Slot != 0 || !moves(u.Node) {
					continue
				}
				for _, next := range u.Node.Outputs() {
					if !slices.Contains(reached, next) {
						reached = append(reached, next)
					}
				}
			}
		}
	}
	return out
}

// rowsOf is how many entries the table has in which a node looks its input up; 0 where it does no such thing, or that is not known.
func rowsOf(u graph.Use, known *shapes.Shapes) int {
	table, axis := "", 0
	switch op := u.Node.Op(); {
	case u.Nested:
	case (op == "Gather" || op == "GatherElements" || op == "ScatterElements") && u.Slot == 1:
		table, axis = u.Node.Input(0), u.Node.Int("axis", 0)
	case op == "OneHot" && u.Slot == 0:
		if depth, ok := known.Ints(u.Node.Input(1)); ok && len(depth) == 1 {
			return int(depth[0])
		}
	case op == "com.microsoft::EmbedLayerNormalization" && u.Slot < 2:
		table = u.Node.Input(2 + 2*u.Slot)
	}
	shape, ok := known.Of(table)
	if axis < 0 {
		axis += len(shape)
	}
	if table == "" || !ok || axis < 0 || axis >= len(shape) {
		return 0
	}
	return shape[axis]
}
