package tune

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
)

// OpaqueError says that operators without a gradient stand between parameters and the loss.
type OpaqueError struct {
	// Operators are those in the way, sorted.
	Operators []string
	// First is the first node in the way of the first parameter.
	First grad.Block
	// Blocked are the parameters without a gradient, Open those that have one, in the order of the model.
	Blocked, Open []string
}

func (e *OpaqueError) Error() string {
	text := fmt.Sprintf("no gradient passes %s (operators without one: %s), so %d of the %d weights cannot be tuned",
		e.First, strings.Join(e.Operators, ", "), len(e.Blocked), len(e.Blocked)+len(e.Open))
	if len(e.Open) == 0 {
		return text
	}
	return fmt.Sprintf("%s; those that can be, from %q to %q, are tuned alone where only those that are %s are asked for", text, e.Open[0], e.Open[len(e.Open)-1], Reachable)
}

// choose finds the parameters that are tuned.
func (t *trainer) choose(objective *objective, values grad.Values) error {
	// The original's own tables of embeddings stay: of the rows, few samples show few.
	keep := func(name string) bool {
		_, ok := graph.Of(t.original).Initializer(name)
		return !ok || t.o.Part != Factors && !table(graph.Of(t.compressed), name)
	}
	t.params = newParameters(t.compressed, keep)
	if len(t.params.list) == 0 {
		if t.o.Part == Factors {
			return fmt.Errorf("every float32 weight of the compressed model is one of the original's, so there are no factors to tune")
		}
		return fmt.Errorf("the compressed model has no float32 weights to tune")
	}
	blocked, err := grad.Blocked(objective.model, grad.Options{
		Values: values, Outputs: []string{objective.loss}, Wanted: t.params.names(), Feed: t.params.names(), Constant: objective.passed,
	})
	if err != nil || len(blocked) == 0 {
		return err
	}
	opaque := &OpaqueError{}
	for _, name := range t.params.names() {
		if len(blocked[name]) == 0 {
			opaque.Open = append(opaque.Open, name)
			continue
		}
		if opaque.Blocked == nil {
			opaque.First = blocked[name][0]
		}
		opaque.Blocked = append(opaque.Blocked, name)
	}
	opaque.Operators = (&grad.BlockedError{Values: blocked}).Operators()
	if t.o.Part != Reachable || len(opaque.Open) == 0 {
		return opaque
	}
	t.params = newParameters(t.compressed, func(name string) bool { return slices.Contains(opaque.Open, name) })
	return nil
}
