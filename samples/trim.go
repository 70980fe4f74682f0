package samples

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// trimmed are texts without the padding behind them.
type trimmed struct {
	Source
	texts    *tokenInputs
	multiple int
}

// Trimmed is a source whose texts end with their last token that the mask of a model does not hide, at the next multiple of so many tokens: runs
// take no time for padding then. Where the inputs are no texts with a mask, or of a fixed length, it is the source itself, and ok is false. A sample
// with an input that has the length in another place, such as one of positions by positions, stays as it is.
func Trimmed(src Source, inputs []InputSpec, multiple int) (short Source, ok bool) {
	t := textsOf(inputs)
	if t == nil || t.mask == "" {
		return src, false
	}
	for _, in := range inputs {
		if (in.Name == t.tokens || in.Name == t.mask) && in.Shape[1] >= 0 {
			return src, false
		}
	}
	return trimmed{src, t, multiple}, true
}

// Sample implements Source.
func (s trimmed) Sample(i int) (Sample, error) {
	one, err := s.Source.Sample(i)
	if err != nil || one.Whole {
		return one, err
	}
	shape := one.Inputs[s.texts.tokens].Shape
	if len(shape) != 1 {
		return one, nil
	}
	_, to := s.texts.extent(one)
	if to = (to + s.multiple - 1) / s.multiple * s.multiple; to == 0 || to >= shape[0] {
		return one, nil
	}
	inputs := map[string]tensor.Dense{}
	for name, d := range one.Inputs {
		switch {
		case slices.Equal(d.Shape, shape):
			d = tensor.Dense{Type: d.Type, Shape: []int{to}, Data: d.Data[:to*d.Type.Size()]}
		case slices.Contains(d.Shape, shape[0]):
			return one, nil
		}
		inputs[name] = d
	}
	one.Inputs = inputs
	return one, nil
}
