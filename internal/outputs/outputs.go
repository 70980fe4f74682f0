// Package outputs says what each output of a model is: class scores, other numbers, the state of a cache, or nothing
// that can be compared.
//
// All that judges a model by its outputs (verification, goals, calibration's sensitivities, tuning) asks [Of], so that an
// output means the same to all.
package outputs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Kind says what an output's numbers are.
type Kind string

// The kinds of outputs.
const (
	// Scores are class scores: the largest of a sample names its class.
	Scores Kind = "scores"
	// Values are other numbers.
	Values Kind = "values"
	// State is what a model hands on to its own next run: the cache of attention's keys and values, called present.* by
	// those who export decoders. Its numbers matter by what the next outputs make of them.
	State Kind = "state"
	// Opaque has no numbers: a sequence, an optional value, a map, strings.
	Opaque Kind = "opaque"
)

// Output is one output of a model.
type Output struct {
	Name string
	// Number is its place among the model's outputs.
	Number int
	Kind   Kind
	// Type is the element type, Undefined where the model does not declare it.
	Type tensor.Type
	// Varies names the node that makes the output's sizes depend on the data, such as a NonMaxSuppression; empty where
	// equal sizes of the inputs give equal sizes.
	Varies string
	// Axis is that along which the samples of a batch lie, as far as the names and sizes of dimensions say; Undeclared where they do
	// not. feed.FindAxes looks further.
	Axis int
	// Weight is how much its change counts beside that of the others, 0 for not at all.
	Weight float64
}

// Undeclared is the axis of samples that the declarations leave open.
const Undeclared = -1

// None is what Options.Classes is where no output has class scores.
const None = "none"

// Options are what somebody knows better than Of.
type Options struct {
	// Classes names the output that has the class scores, or is None. Empty means to look.
	Classes string
	// Weights are the weights of outputs by name; default 1, and 0 for a cache's state and what has no numbers.
	Weights map[string]float64
}

// MaxWeight bounds weights, so that weighed numbers stay well inside float32.
const MaxWeight = 1e12

// Of describes a model's outputs. Names that the model does not have, and weights that are negative or leave nothing,
// are errors.
func Of(m *onnxio.Model, o Options) ([]Output, error) {
	g := graph.Of(m)
	w := newWalk(g)
	var out []Output
	var names []string
	for i, v := range g.Outputs() {
		names = append(names, v.Name())
		one := Output{Name: v.Name(), Number: i, Kind: Values, Type: v.Type(), Varies: w.varies(v), Axis: w.axis(v), Weight: 1}
		switch {
		case v.Declared() && !v.Dense() || one.Type == tensor.String:
			one.Kind, one.Weight = Opaque, 0
		case cached(one.Name):
			one.Kind = State
		case o.Classes == one.Name || o.Classes == "" && shaped(v) && w.scores(one.Name):
			one.Kind = Scores
		}
		out = append(out, one)
	}
	known := func(name, what string) error {
		if slices.Contains(names, name) {
			return nil
		}
		return fmt.Errorf("%s output %q, which the model does not have%s; its outputs are %s", what, name, suggest.Phrase(name, names), strings.Join(names, ", "))
	}
	if o.Classes != "" && o.Classes != None {
		if err := known(o.Classes, "the classes are said to be in"); err != nil {
			return nil, err
		}
		i := slices.Index(names, o.Classes)
		if v := g.Outputs()[i]; out[i].Kind == Opaque || !shaped(v) {
			return nil, fmt.Errorf("the classes are said to be in output %q, which has not the shape of class scores: [samples, classes], floating-point, with at least two classes, where axes of size 1 may follow", o.Classes)
		}
		out[i].Kind = Scores
	}
	for name, weight := range o.Weights {
		if err := known(name, "a weight is given for"); err != nil {
			return nil, err
		}
		if !(weight >= 0 && weight <= MaxWeight) {
			return nil, fmt.Errorf("the weight of output %q is %v; want a number from 0 to %g", name, weight, float64(MaxWeight))
		}
	}
	weigh(out, o.Weights)
	if len(out) > 0 && len(o.Weights) > 0 && !slices.ContainsFunc(out, func(o Output) bool { return o.Weight > 0 }) {
		return nil, fmt.Errorf("no output counts: all outputs of the model have the weight 0; give one a weight")
	}
	return out, nil
}

// weigh gives the outputs their weights. The state of a cache counts where there is nothing else, or it is said to.
func weigh(list []Output, given map[string]float64) {
	others := slices.ContainsFunc(list, func(o Output) bool { return o.Kind == Scores || o.Kind == Values })
	for i := range list {
		o := &list[i]
		if o.Kind == State && others {
			o.Weight = 0
		}
		if w, ok := given[o.Name]; ok && o.Kind != Opaque {
			o.Weight = w
		}
	}
}

// Classes is the number of classes that an output of that shape names: 0 where the output has no class scores, or not in
// that shape.
func (o Output) Classes(shape []int) int {
	if o.Kind != Scores {
		return 0
	}
	return Classes(shape)
}

// Lead is the shape of an output with the samples first, where they are declared to lie along another axis.
func (o Output) Lead(shape []int) []int {
	if o.Axis <= 0 || o.Axis >= len(shape) {
		return shape
	}
	return slices.Concat(shape[o.Axis:o.Axis+1], shape[:o.Axis], shape[o.Axis+1:])
}

// Classes is the number of classes that scores of that shape are for: [samples, classes] with at least two of them, where
// axes of size 1 may follow. It is 0 for other shapes.
func Classes(shape []int) int {
	for len(shape) > 2 && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
	}
	if len(shape) != 2 || shape[1] < 2 {
		return 0
	}
	return shape[1]
}

// shaped tells whether a declaration leaves it open that the value has the shape of class scores.
func shaped(v graph.Value) bool {
	if t := v.Type(); t != tensor.Undefined && !t.IsFloat() {
		return false
	}
	dims := v.Dims()
	if dims == nil {
		return true
	}
	if len(dims) < 2 || dims[1].Size == 0 || dims[1].Size == 1 {
		return false
	}
	return !slices.ContainsFunc(dims[2:], func(d graph.Dim) bool { return d.Size != 1 && d.Size >= 0 })
}

// cached tells by its name whether an output is the state of a cache: present.0.key, present_0, present_key_values.
func cached(name string) bool {
	rest, ok := strings.CutPrefix(name, "present")
	return ok && (rest == "" || strings.ContainsRune("._/0123456789", rune(rest[0])))
}
