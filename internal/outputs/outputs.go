// Package outputs says what each output of a model is: class scores, an embedding, boxes, a mask, scores of tokens, other numbers, a
// state for the next run, or nothing that can be compared.
//
// All that judges a model by its outputs (verification, goals, calibration's sensitivities, tuning) asks [Of], so that an
// output means the same to all.
package outputs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
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
	// Text is what the model reads where the output is Next, Words or Tokens.
	Text Text
	// Weight is how much its change counts beside that of the others, 0 for not at all.
	Weight float64
	// Doubt says what else it may be that nothing in the model tells apart from its kind, and empty where the kind is sure or was said.
	Doubt string

	// masked says how the numbers of a Mask lie.
	masked masked
	// otherwise is the kind of what was taken for scores, where its shape turns out to be no such; empty for what was said.
	otherwise Kind
}

// Undeclared is the axis of samples that the declarations leave open.
const Undeclared = -1

// None is what Options.Classes is where no output has class scores.
const None = "none"

// Options are what somebody knows better than Of.
type Options struct {
	// Classes names the output that has the class scores, or is None. Empty means to look.
	Classes string
	// Weights are the weights of outputs by name; default 1, and 0 for a state and what has no numbers.
	Weights map[string]float64
	// Kinds are the kinds of outputs by name; the others are told from their shapes and the nodes that make them. Where
	// one is said to be Scores, no other is looked for, as with Classes.
	Kinds map[string]Kind
}

// MaxWeight bounds weights, so that weighed numbers stay well inside float32.
const MaxWeight = 1e12

// Of describes a model's outputs. Names that the model does not have, kinds that an output cannot be of, and weights that are
// negative or leave nothing, are errors.
func Of(m *onnxio.Model, o Options) ([]Output, error) {
	g := graph.Of(m)
	if err := o.known(g); err != nil {
		return nil, err
	}
	said := o.Classes != "" || slices.Contains(slices.Collect(maps.Values(o.Kinds)), Scores) // then no other is looked for
	w, lying := newWalk(g), newWalk(lying(g))
	var out []Output
	for i, v := range g.Outputs() {
		one := Output{Name: v.Name(), Number: i, Type: v.Type(), Varies: w.varies(v), Axis: w.axis(v), Weight: 1}
		one.Kind, one.otherwise = lying.kind(v)
		if given, ok := o.Kinds[one.Name]; ok && one.Kind != Opaque {
			one.Kind, one.otherwise = given, ""
		}
		switch {
		case one.Kind == Mask:
			one.masked = lying.masked(v)
		case one.Kind.Vocabulary() || one.Kind == Tokens:
			text, err := lying.text(v)
			if err == nil {
				one.Text = text
			} else if one.Kind.Vocabulary() {
				return nil, err
			}
		}
		switch {
		case one.Kind == Opaque:
			one.Weight = 0
		case o.Classes == one.Name:
			one.Kind, one.otherwise = Scores, ""
		case one.Kind == Scores && said && o.Kinds[one.Name] != Scores:
			one.Kind = one.otherwise
		case one.Kind == Scores && !said && lying.side(v):
			one.Doubt = fmt.Sprintf("its four numbers may be a box: --kind %s=%s says so", quote.Shell(one.Name), Boxes)
		case one.Kind == Values && o.Kinds[one.Name] == "":
			if may := lying.unscaled(v); may != "" {
				one.Doubt = fmt.Sprintf("its numbers may be scores of classes (%s): --kind %s=%s says so", may.Title(), quote.Shell(one.Name), may)
			}
		}
		if (o.Classes == one.Name || o.Kinds[one.Name] == Scores) && (one.Kind == Opaque || !shaped(v)) {
			return nil, fmt.Errorf("the classes are said to be in output %q, which has not the shape of class scores: [samples, classes], floating-point, with at least two classes, where axes of size 1 may follow", one.Name)
		}
		out = append(out, one)
	}
	weigh(out, o.Weights)
	if len(out) > 0 && len(o.Weights) > 0 && !slices.ContainsFunc(out, func(o Output) bool { return o.Weight > 0 }) {
		return nil, fmt.Errorf("no output counts: all outputs of the model have the weight 0; give one a weight")
	}
	return out, nil
}

// At is the output where a run gives it that shape, with the samples first: scores that have not the shape of any are what they otherwise
// may be.
func (o Output) At(shape []int) Output {
	if o.Kind == Scores && o.otherwise != "" && Classes(shape) == 0 {
		o.Kind, o.Doubt = o.otherwise, ""
	}
	return o
}

// known refuses what is said of outputs that a model does not have, and weights and kinds that there are not.
func (o Options) known(g *graph.Graph) error {
	var names []string
	for _, v := range g.Outputs() {
		names = append(names, v.Name())
	}
	known := func(name, what string) error {
		if slices.Contains(names, name) {
			return nil
		}
		return fmt.Errorf("%s output %q, which the model does not have%s; its outputs are %s", what, name, suggest.Phrase(name, names), strings.Join(names, ", "))
	}
	if o.Classes != "" && o.Classes != None {
		if err := known(o.Classes, "the classes are said to be in"); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Kinds)) {
		if err := known(name, "a kind is given for"); err != nil {
			return err
		}
		if _, err := ParseKind(string(o.Kinds[name])); err != nil {
			return fmt.Errorf("output %q: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Weights)) {
		if err := known(name, "a weight is given for"); err != nil {
			return err
		}
		if weight := o.Weights[name]; !(weight >= 0 && weight <= MaxWeight) {
			return fmt.Errorf("the weight of output %q is %v; want a number from 0 to %g", name, weight, float64(MaxWeight))
		}
	}
	return nil
}

// weigh gives the outputs their weights. A state counts where there is nothing else, or it is said to.
func weigh(list []Output, given map[string]float64) {
	others := slices.ContainsFunc(list, func(o Output) bool { return o.Kind != State && o.Kind != Opaque })
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
