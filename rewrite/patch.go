package rewrite

import (
	"errors"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Patch is the replacement of one node, held apart until Apply.
type Patch struct {
	Site    string                    // name of the site
	Old     *onnxpb.NodeProto         // the node that goes
	Index   int                       // its position in the main graph
	New     []*onnxpb.NodeProto       // the nodes that stand in its place, in order
	Weights []*onnxpb.TensorProto     // new initializers
	Values  []*onnxpb.ValueInfoProto  // types of the new values between the factors, where the model keeps such entries
}

// Replace builds the patch that puts the factors of a chain in the place of a
// site's node. method names the decomposition and becomes part of the new names:
// NODE/method.part and NODE/method.part.weight, made unique through names. The
// factors are rounded to the element type of the weight.
func Replace(m *onnxio.Model, s *Site, method string, c decomp.Chain, names *onnxio.NameSet) (Patch, error) {
	return Patch{}, errors.New("not yet")
}

// ApplyOptions controls Apply.
type ApplyOptions struct {
	// Stop ends after the patch of that number, counted from 1, so that a bad
	// patch can be found by bisection; 0 applies all.
	Stop int
}

// Apply builds the model in which each patch's node is replaced. Nothing in m
// changes; the new model shares with it every node and tensor that no patch touches.
// A weight is dropped with its graph input when nothing uses it any longer.
// Without patches the new model equals m as a message. Errors name the number of
// the patch and its site.
func Apply(m *onnxio.Model, patches []Patch, o ApplyOptions) (*onnxio.Model, error) {
	return nil, errors.New("not yet")
}
