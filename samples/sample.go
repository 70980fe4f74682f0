package samples

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Sample is one example, or one ready-made batch of them.
type Sample struct {
	// Name says where the sample comes from: a file, or a file and a position in it.
	Name string
	// Label is the index of its class, -1 where none is known.
	Label int
	// Share is how much of the sample is one of the class Other, with which it was blended; 0 where it was not.
	Share float64
	Other int
	// Inputs are the model's inputs by name. They lack the batch axis, which is
	// added when samples are stacked, except where Whole is set.
	Inputs map[string]tensor.Dense
	// Whole says that Inputs are complete model inputs, to be run by themselves.
	Whole bool
}

// Source has numbered samples. Its methods may be called from several goroutines. Whatever takes a Source returns only
// when its last call of Sample has, so that a source may be closed then; a call that never returns holds it up.
type Source interface {
	// Len is the number of samples.
	Len() int
	// Sample reads sample i, 0 ≤ i < Len(). Equal i give equal samples.
	Sample(i int) (Sample, error)
	// Describe says in a few words what the samples are and how they are prepared.
	Describe() string
}

// InputSpec is what a model wants at one input.
type InputSpec struct {
	Name string
	Type tensor.Type
	// Shape has -1 for a dimension that the model leaves open; nil means that not
	// even the number of dimensions is known.
	Shape []int
}

// batched tells whether the input has an axis before those of a sample with the
// given number of axes.
func (s InputSpec) batched(sampleAxes int) bool {
	return s.Shape == nil || len(s.Shape) == sampleAxes+1
}

// String writes the input as the model declares it: `input: float32[?,3,32,32]`.
func (s InputSpec) String() string {
	return fmt.Sprintf("%s: %s%s", s.Name, s.Type, tensor.ShapeText(s.Shape))
}

// Inputs returns the inputs that a caller of the model must give: the graph inputs
// that are not initializers. An input that is not a tensor is an error.
func Inputs(m *onnxio.Model) ([]InputSpec, error) {
	var out []InputSpec
	for _, v := range graph.Of(m).Feeds() {
		if !v.Dense() {
			return nil, fmt.Errorf("%s: input %q is not a dense tensor; models with such inputs cannot be fed", m.Path, v.Name())
		}
		spec := InputSpec{Name: v.Name(), Type: v.Type()}
		if dims := v.Dims(); dims != nil {
			spec.Shape = make([]int, len(dims))
			for i, d := range dims {
				if spec.Shape[i] = d.Size; d.Size <= 0 {
					spec.Shape[i] = -1
				}
			}
		}
		out = append(out, spec)
	}
	return out, nil
}

// Shapes returns the shapes of the model's inputs when the sample runs alone: its own
// shapes, and where it is to be stacked an axis in front: of size 1, or of the model's
// own batch where that is fixed.
func (s Sample) Shapes(inputs []InputSpec) map[string][]int {
	out := map[string][]int{}
	for _, in := range inputs {
		t, ok := s.Inputs[in.Name]
		switch {
		case !ok:
		case s.Whole || !in.batched(len(t.Shape)):
			out[in.Name] = slices.Clone(t.Shape)
		default:
			batch := 1
			if in.Shape != nil && in.Shape[0] > 0 {
				batch = in.Shape[0]
			}
			out[in.Name] = append([]int{batch}, t.Shape...)
		}
	}
	return out
}

// Split draws want of n samples for calibration, all of them where there are fewer,
// and returns the others as held. The seed decides the permutation that both are cut
// from, so that a prefix of either is itself a random sample.
func Split(n, want int, seed uint64) (calib, held []int) {
	p := rand.New(rand.NewPCG(seed, 0x63616c6962)).Perm(max(n, 0))
	cut := min(max(want, 0), len(p))
	return p[:cut:cut], p[cut:]
}
