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
	// Room is how many positions the attention that reads it wants room for in a cache of keys or values which it keeps as long as that, as one
	// with a window may (com.microsoft GroupQueryAttention with sliding_window_cache=1); 0 in all other inputs.
	Room int
}

// axisOf is the axis of the input number i that stacks samples of the given shape: 0; or, where samples are stacked in other
// inputs and this one fixes its first axis, one that it leaves open and the sample lacks, as in states of recurrent layers
// (float32[2,N,64] for a sample [2,64]); or -1 where the sample is the input as it is.
func axisOf(inputs []InputSpec, i int, sample []int) int {
	shape := inputs[i].Shape
	switch {
	case shape == nil:
		return 0
	case len(shape) != len(sample)+1:
		return -1
	case shape[0] >= 0 && slices.ContainsFunc(inputs, InputSpec.open):
		for k := 1; k < len(shape); k++ {
			if shape[k] < 0 && fits(slices.Concat(shape[:k], shape[k+1:]), sample) {
				return k
			}
		}
	}
	return 0
}

// open tells whether the first axis of an input is left open.
func (s InputSpec) open() bool { return len(s.Shape) > 0 && s.Shape[0] < 0 }

// fits tells whether a shape is one of those that want allows.
func fits(want, shape []int) bool {
	return slices.EqualFunc(want, shape, func(w, n int) bool { return w < 0 || w == n })
}

// Batch is the size of the first axis that a model with such inputs takes and no other, 0 where it takes any. Inputs that leave
// another axis open do not decide where others leave their first one open.
func Batch(inputs []InputSpec) int {
	free := slices.ContainsFunc(inputs, InputSpec.open)
	batch := 0
	for _, in := range inputs {
		if len(in.Shape) > 0 && !(free && slices.ContainsFunc(in.Shape, func(n int) bool { return n < 0 })) {
			batch = max(batch, in.Shape[0])
		}
	}
	return batch
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
	closeCaches(m, out)
	return out, nil
}

// Shapes returns the shapes of the model's inputs when the sample runs alone: its own
// shapes, and where it is to be stacked an axis more: of size 1, or of the model's
// own batch where that is fixed.
func (s Sample) Shapes(inputs []InputSpec) map[string][]int {
	out := map[string][]int{}
	for i, in := range inputs {
		t, ok := s.Inputs[in.Name]
		if !ok {
			continue
		}
		axis := axisOf(inputs, i, t.Shape)
		if s.Whole || axis < 0 {
			out[in.Name] = slices.Clone(t.Shape)
			continue
		}
		batch := 1
		if in.Shape != nil && in.Shape[axis] > 0 {
			batch = in.Shape[axis]
		}
		out[in.Name] = slices.Insert(slices.Clone(t.Shape), axis, batch)
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
