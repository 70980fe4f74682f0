package compress

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// expand writes compound operators as what they consist of, as far as shapes are known.
func (a *Analysis) expand(m *onnxio.Model, inputs map[string][]int) (err error) {
	if a.compact, err = rewrite.Expand(m, inputs, a.seen); err != nil {
		return fmt.Errorf("%s: writing compound operators as simpler ones: %w", m.Path, err)
	}
	a.model = a.compact.Model
	a.Shapes = shapes.InferSeen(a.model, inputs, a.seen)
	a.Costs = a.measured()
	return nil
}

// expanded writes the compound operators of a model as simpler ones, for the shapes of a source's first sample.
func expanded(m *onnxio.Model, src samples.Source) (*rewrite.Expansion, error) {
	inputs, err := Options{Source: src}.inputShapes(m)
	if err != nil {
		return nil, err
	}
	concrete, _ := shapes.InputShapes(m, inputs)
	return rewrite.Expand(m, concrete, nil)
}
