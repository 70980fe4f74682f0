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
// data was given: rows of their tables for inputs that these are looked up by, standard normal numbers for other floating-point
// inputs, ones for all others. It shows that a model runs, not how good it is.
type noise struct {
	inputs []samples.InputSpec
	shapes map[string][]int
	rows   map[string]int // see vocabularies
	seed   uint64
}

// newNoise returns the source for m, or an error that says which input no random
// numbers can be made for. given has shapes of inputs that the model leaves open.
func newNoise(m *onnxio.Model, given map[string][]int, seed uint64) (*noise, error) {
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
	n := &noise{inputs, concrete, vocabularies(m, concrete), seed}
	if _, err := n.Sample(0); err != nil {
		return nil, fmt.Errorf("no samples were given and none can be made up: %w", err)
	}
	return n, nil
}

// maxRandom is how many numbers a random sample may have: 2 GiB while they are drawn.
const maxRandom = 1 << 28

// checkNoise refuses inputs that are too large to be made up.
func checkNoise(inputs []samples.InputSpec, concrete map[string][]int) error {
	total := 0
	for _, in := range inputs {
		count, err := tensor.Elements(concrete[in.Name])
		if err != nil {
			return fmt.Errorf("input %q: %w", in.Name, err)
		}
		if total += min(count, maxRandom+1); total > maxRandom {
			return fmt.Errorf("input %q of shape %v has %d numbers; at most %d are made up for a sample", in.Name, concrete[in.Name], count, maxRandom)
		}
	}
	return nil
}

// tells reports whether the samples differ, and so tell enough of a model to refuse it: where all inputs are ones, they tell of one point alone.
func (n *noise) tells() bool {
	return slices.ContainsFunc(n.inputs, func(in samples.InputSpec) bool { return n.rows[in.Name] > 1 || in.Type.IsFloat() })
}

func (n *noise) Len() int { return noiseSamples }

func (n *noise) Describe() string { return "random inputs" }

// Sample draws every input anew from the seed and the sample's number.
func (n *noise) Sample(i int) (samples.Sample, error) {
	random := rand.New(rand.NewPCG(n.seed, uint64(i)))
	s := samples.Sample{Name: fmt.Sprintf("random %d", i), Label: -1, Whole: true, Inputs: map[string]tensor.Dense{}}
	for _, in := range n.inputs {
		shape := n.shapes[in.Name]
		count, err := tensor.Elements(shape)
		if err != nil {
			return s, fmt.Errorf("input %q: %w", in.Name, err)
		}
		v := make([]float64, count)
		rows := n.rows[in.Name]
		for k := range v {
			switch {
			case rows > 0:
				v[k] = float64(random.IntN(rows))
			case in.Type.IsFloat():
				v[k] = random.NormFloat64()
			default:
				v[k] = 1
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
