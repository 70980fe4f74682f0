package shapes

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// limits bound what inference takes on whatever model: local functions that call each other make 2ⁿ nodes of n, and every
// node may turn thousands of folded numbers.
type limits struct{ nodes, numbers int }

// maxNodes is how many nodes are visited, those inside local functions and subgraphs once for every call: twice what
// onnxio accepts of a model.
const maxNodes = 2 * onnxio.MaxNodes

// maxFolded is how many numbers all nodes together are given to fold, in values of more than fewNumbers.
const (
	maxFolded  = 1 << 23
	fewNumbers = 64
)

func newLimits() *limits { return &limits{nodes: maxNodes, numbers: maxFolded} }

// visit counts a node.
func (l *limits) visit() error {
	if l.nodes == 0 {
		return fmt.Errorf("the model has more than %d nodes, those of local functions counted at every call", maxNodes)
	}
	l.nodes--
	return nil
}

// fold returns a value that a node is given, without its numbers where no more of them are folded.
func (l *limits) fold(v *value) *value {
	if v == nil || v.data == nil || v.data.len() <= fewNumbers {
		return v
	}
	if l.numbers -= v.data.len(); l.numbers < 0 {
		return &value{shape: v.shape}
	}
	return v
}
