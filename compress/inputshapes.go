package compress

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// inputShapes adds the shapes of the first sample to those given.
func (o Options) inputShapes(m *onnxio.Model) (map[string][]int, error) {
	given := map[string][]int{}
	if src := o.Source; src != nil && src.Len() > 0 {
		inputs, err := samples.Inputs(m)
		if err != nil {
			return nil, err
		}
		sample, err := src.Sample(0)
		if err != nil {
			return nil, err
		}
		if err := sample.Check(inputs); err != nil {
			return nil, fmt.Errorf("%s: %w", src.Describe(), err)
		}
		given = sample.Shapes(inputs)
		if err := checkShapes(m, given); err != nil {
			return nil, fmt.Errorf("%s: sample %s: %w", src.Describe(), sample.Name, err)
		}
	}
	maps.Copy(given, o.InputShapes)
	return given, nil
}

// checkShapes refuses shapes of inputs that the model does not have, or declares
// otherwise.
func checkShapes(m *onnxio.Model, inputs map[string][]int) error {
	var known []string
	for _, in := range graph.Of(m).Feeds() {
		known = append(known, in.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("a shape is given for the input %q, which the model does not have%s; its inputs are %s",
				name, suggest.Phrase(name, known), strings.Join(known, ", "))
		}
	}
	_, unknown := shapes.InputShapes(m, inputs)
	for _, u := range unknown {
		if _, given := inputs[u.Input]; given && u.Given != "" {
			return fmt.Errorf("%s", u)
		}
	}
	return nil
}
