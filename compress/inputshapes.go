package compress

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
		given = sample.Shapes(inputs)
		if err := checkShapes(m, given); err != nil {
			return nil, fmt.Errorf("%s: sample %s: %w", src.Describe(), sample.Name, err)
		}
	}
	maps.Copy(given, o.InputShapes)
	return given, nil
}

// exampleShape writes a shape for an input that needs one.
func (a *Analysis) exampleShape() string {
	name, shape := "input", "1x3x224x224"
	if len(a.Unknown) > 0 {
		name = a.Unknown[0].Input
	}
	for _, in := range graph.Of(a.model).Feeds() {
		dims := in.Dims()
		if in.Name() != name || len(dims) == 0 {
			continue
		}
		sizes := make([]string, len(dims))
		for i, d := range dims {
			open := 16
			switch {
			case i == 0:
				open = 1
			case len(dims) == 4: // as images have it
				open = 224
			}
			sizes[i] = strconv.Itoa(cmp.Or(max(d.Size, 0), open))
		}
		shape = strings.Join(sizes, "x")
	}
	return name + "=" + shape
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
