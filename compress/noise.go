package compress

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// noiseSamples is how many random samples stand in for real ones.
const noiseSamples = 8

// noise is a source of random samples, for verifying by execution where no
// data was given: standard normal numbers for floating-point inputs, ones for
// all others. It shows that a model runs, not how good it is.
type noise struct {
	inputs []samples.InputSpec
	shapes map[string][]int
	seed   uint64
}

// newNoise returns the source for m, or an error that says which input no random
// numbers can be made for. given has shapes of inputs that the model leaves open.
func newNoise(m *onnxio.Model, given map[string][]int, seed uint64) (samples.Source, error) {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	for _, in := range graph.Of(m).Feeds() {
		if slices.ContainsFunc(in.Dims(), func(d graph.Dim) bool { return d.Size == 0 }) {
			return nil, fmt.Errorf("no samples were given and none can be made up: input %q is declared empty, with an axis of size 0", in.Name())
		}
	}
	concrete, unknown := shapes.InputShapes(m, given)
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no samples were given and %s (give samples, or %s)", unknown[0], OptionInputShapes)
	}
	if err := checkNoise(inputs, concrete); err != nil {
		return nil, fmt.Errorf("no samples were given and none can be made up: %w", err)
	}
	n := noise{inputs, concrete, seed}
	if _, err := n.Sample(0); err != nil {
		return nil, fmt.Errorf("no samples were given and none can be made up: %w", err)
	}
	return n, nil
}

// maxNoise is how many numbers a random sample may have: 2 GiB while they are drawn.
const maxNoise = 1 << 28

// checkNoise refuses inputs that are too large to be made up.
func checkNoise(inputs []samples.InputSpec, concrete map[string][]int) error {
	total := 0
	for _, in := range inputs {
		count, err := tensor.Elements(concrete[in.Name])
		if err != nil {
			return fmt.Errorf("input %q: %w", in.Name, err)
		}
		if total += min(count, maxNoise+1); total > maxNoise {
			return fmt.Errorf("input %q of shape %v has %d numbers; at most %d are made up for a sample", in.Name, concrete[in.Name], count, maxNoise)
		}
	}
	return nil
}

func (n noise) Len() int { return noiseSamples }

func (n noise) Describe() string { return "random inputs" }

// Sample draws every input anew from the seed and the sample's number.
func (n noise) Sample(i int) (samples.Sample, error) {
	random := rand.New(rand.NewPCG(n.seed, uint64(i)))
	s := samples.Sample{Name: fmt.Sprintf("random %d", i), Label: -1, Whole: true, Inputs: map[string]tensor.Dense{}}
	for _, in := range n.inputs {
		shape := n.shapes[in.Name]
		count, err := tensor.Elements(shape)
		if err != nil {
			return s, fmt.Errorf("input %q: %w", in.Name, err)
		}
		v := make([]float64, count)
		for k := range v {
			if v[k] = 1; in.Type.IsFloat() {
				v[k] = random.NormFloat64()
			}
		}
		data, err := tensor.Encode(in.Type, v)
		if err != nil {
			return s, fmt.Errorf("input %q: %w", in.Name, err)
		}
		s.Inputs[in.Name] = tensor.Dense{Type: in.Type, Shape: shape, Data: data}
	}
	return s, nil
}
