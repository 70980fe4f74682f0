package grad

import (
	"slices"
	"strings"
)

// Rule is the vector-Jacobian product of one operator.
type Rule struct {
	// Op is the operator, one of ONNX's own domain.
	Op string
	// Formula gives the product: g is the cotangent of the output y, and dx, da, … the
	// gradient of the input of that name. [c] is 1 where c holds and 0 elsewhere; a sum
	// that undoes broadcasting is not written.
	Formula string

	// inputs are those that the rule has a gradient for.
	inputs slots
	// need is the number of inputs that the operator requires.
	need int
	// outputs says that the rule takes cotangents of all outputs, not of the first alone.
	outputs bool
	// vjp emits the product; nil for an operator whose output is flat.
	vjp func(c *call) error
}

// slots is a set of inputs, bit i for input i.
type slots uint64

const (
	none   slots = 0
	first  slots = 1
	second slots = 2
	third  slots = 4
	every  slots = ^none
)

func (r Rule) carries(input int) bool {
	return input < 64 && r.inputs&(1<<input) != 0 || r.inputs == every
}

// Rules returns the rules of all operators that gradients pass, sorted by operator.
func Rules() []Rule {
	all := slices.Concat(
		flatRules(), pointwiseRules(), activationRules(), arithmeticRules(), softmaxRules(), productRules(), convolutionRules(),
		normRules(), poolRules(), resizeRules(), reduceRules(), reshapeRules(), moveRules(), indexRules(),
	)
	slices.SortFunc(all, func(a, b Rule) int { return strings.Compare(a.Op, b.Op) })
	return all
}

// ruleTable returns the rules by their operators.
func ruleTable() map[string]Rule {
	table := map[string]Rule{}
	for _, r := range Rules() {
		table[r.Op] = r
	}
	return table
}

// flatRules are operators with floating-point outputs that are constant almost everywhere,
// or have nothing to do with the numbers of their inputs.
func flatRules() []Rule {
	var rules []Rule
	for _, op := range []string{
		"Bernoulli", "Ceil", "ConstantOfShape", "EyeLike", "Floor", "OneHot", "RandomNormalLike", "RandomUniformLike", "Round",
		"Sign",
	} {
		rules = append(rules, Rule{Op: op, Formula: "dx = 0"})
	}
	return rules
}
