package compress

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// retune gives a follower the weights that tuning has made of those of before in after: those of the same name and numbers, else of the same
// numbers.
func (s *Assembled) retune(a *Analysis, before, after *Assembled) error {
	first, last := before.Model, after.Model
	if before.open != nil && after.open != nil {
		first, last = before.open, after.open
	}
	tuned, err := tunedWeights(first, last)
	if err != nil {
		return err
	}
	whole := s.Model
	if s.open != nil {
		whole = s.open
	}
	p := graph.Of(whole).Parts()
	p.Initializers = slices.Clone(p.Initializers)
	for i, t := range p.Initializers {
		d, err := t.Dense()
		if err != nil {
			return err
		}
		became, ok, err := tuned.of(t.Name(), d)
		if err != nil {
			return err
		}
		if _, old := graph.Of(a.model).Initializer(t.Name()); !ok && !old {
			return fmt.Errorf("the weight %q is none that was tuned, though it was made of one; tune the models apart", t.Name())
		}
		if ok {
			p.Initializers[i] = onnxio.DenseTensor(t.Name(), became)
		}
	}
	next := *s
	next.Model, next.open = p.Model(), nil
	if err := next.shut(a); err != nil {
		next.close()
		return err
	}
	s.close()
	*s = next
	return nil
}

// retuning has by their numbers the weights that a tuning began with, and what it made of them.
type retuning map[weightSum][]retuned

type retuned struct {
	name   string
	became tensor.Dense
}

// tunedWeights compares a model before and after it was tuned.
func tunedWeights(before, after *onnxio.Model) (retuning, error) {
	out := retuning{}
	for _, t := range graph.Of(before).Initializers() {
		if !t.Type().IsFloat() {
			continue
		}
		to, ok := graph.Of(after).Initializer(t.Name())
		if !ok || to.Type() != t.Type() || !slices.Equal(to.Shape(), t.Shape()) {
			return nil, fmt.Errorf("tuning has made something else of the weight %q, which cannot be handed on; tune the models apart", t.Name())
		}
		was, err := t.Dense()
		if err != nil {
			return nil, err
		}
		is, err := to.Dense()
		if err != nil {
			return nil, err
		}
		d := denseSum(was)
		out[d] = append(out[d], retuned{t.Name(), is})
	}
	return out, nil
}

// of returns what a weight has become, false where it is none that was tuned.
func (r retuning) of(name string, was tensor.Dense) (tensor.Dense, bool, error) {
	list := r[denseSum(was)]
	if len(list) == 0 {
		return was, false, nil
	}
	if i := slices.IndexFunc(list, func(t retuned) bool { return t.name == name }); i >= 0 {
		return list[i].became, true, nil
	}
	for _, t := range list[1:] {
		if !bytes.Equal(t.became.Data, list[0].became.Data) {
			return was, false, fmt.Errorf("the weight %q had the numbers of %q and of %q, and tuning has changed these apart, so that it is not known which of them it is; tune the models apart", name, list[0].name, t.name)
		}
	}
	return list[0].became, true, nil
}

// denseSum is that of a tensor's numbers.
func denseSum(d tensor.Dense) weightSum {
	h := sha256.New()
	fmt.Fprintln(h, d.Type, d.Shape)
	h.Write(d.Data)
	return weightSum(h.Sum(nil))
}
