package samples

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// tokenInputs are the inputs of a model that reads tokens.
type tokenInputs struct {
	tokens string // the input of the tokens
	mask   string // the one that tells which of them are padding, empty without
}

// textsOf finds the input of tokens, integers [batch, length], and their mask; nil where there is none.
func textsOf(inputs []InputSpec) *tokenInputs {
	out := &tokenInputs{}
	for _, in := range inputs {
		switch rank := len(in.Shape); {
		case rank != 2 || in.Type != tensor.Int64 && in.Type != tensor.Int32:
		case strings.Contains(in.Name, "mask"):
			out.mask = in.Name
		case out.tokens == "" || in.Name == "input_ids":
			out.tokens = in.Name
		}
	}
	if out.tokens == "" {
		return nil
	}
	return out
}

// splice has a text go on from some token what another one has begun, each token at its own place: so what opens and what closes a text stands
// where the model wants it. The text keeps its length, and with it all inputs of other shapes. Texts of one token stay.
func (t *tokenInputs) splice(s, other Sample, r *rand.Rand) (Sample, error) {
	if s.Whole {
		return s, errors.New("ready-made batches cannot be augmented; give single texts")
	}
	from, to := t.extent(s)
	begin, end := t.extent(other)
	from, to = max(from, begin)+1, min(to, end)
	if from >= to {
		return s, nil
	}
	cut := from + r.IntN(to-from)
	inputs := map[string]tensor.Dense{}
	for name, d := range s.Inputs {
		o := other.Inputs[name]
		if inputs[name] = d; slices.Equal(d.Shape, s.Inputs[t.tokens].Shape) && o.Type == d.Type && len(o.Shape) == len(d.Shape) {
			at := cut * d.Type.Size()
			inputs[name] = tensor.Dense{Type: d.Type, Shape: d.Shape, Data: slices.Concat(o.Data[:at], d.Data[at:])}
		}
	}
	s.Inputs, s.Share, s.Other = inputs, float64(cut-from+1)/float64(to-from+1), other.Label
	return s, nil
}

// extent are the first token of a text that is no padding, and the one behind the last.
func (t *tokenInputs) extent(s Sample) (from, to int) {
	ids := s.Inputs[t.tokens]
	if len(ids.Shape) != 1 {
		return 0, 0
	}
	from, to = 0, ids.Shape[0]
	if mask := s.Inputs[t.mask]; slices.Equal(mask.Shape, ids.Shape) {
		if real, err := mask.Float64s(); err == nil {
			for from < to && real[from] == 0 {
				from++
			}
			for to > from && real[to-1] == 0 {
				to--
			}
		}
	}
	return from, to
}
