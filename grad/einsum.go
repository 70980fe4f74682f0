package grad

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
)

// equation is an Einsum equation with its ellipses written out as indices.
type equation struct {
	operands []string // one letter per axis
	output   string
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// parseEquation reads an equation for operands of the given shapes.
func parseEquation(text string, shapes [][]int) (equation, error) {
	text = strings.ReplaceAll(text, " ", "")
	left, output, explicit := strings.Cut(text, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(shapes) {
		return equation{}, fmt.Errorf("equation %q has %d operands, the node %d", text, len(terms), len(shapes))
	}
	widest := 0
	for i, t := range terms {
		if strings.Contains(t, "...") {
			widest = max(widest, len(shapes[i])-len(t)+len("..."))
		}
	}
	var free string
	for _, l := range letters {
		if !strings.ContainsRune(text, l) {
			free += string(l)
		}
	}
	if widest > len(free) {
		return equation{}, fmt.Errorf("equation %q has too many indices", text)
	}
	dots := free[:widest]
	e := equation{}
	for i, t := range terms {
		if n := len(shapes[i]) - len(t) + len("..."); strings.Contains(t, "...") {
			if n < 0 {
				return equation{}, fmt.Errorf("equation %q does not fit an operand of shape %v", text, shapes[i])
			}
			t = strings.Replace(t, "...", dots[widest-n:], 1)
		}
		if len(t) != len(shapes[i]) {
			return equation{}, fmt.Errorf("equation %q does not fit an operand of shape %v", text, shapes[i])
		}
		e.operands = append(e.operands, t)
	}
	if e.output = strings.Replace(output, "...", dots, 1); !explicit {
		e.output = dots + once(strings.Join(terms, ""))
	}
	for _, t := range append(slices.Clone(e.operands), e.output) {
		if err := e.check(t); err != nil {
			return equation{}, fmt.Errorf("equation %q: %w", text, err)
		}
	}
	return e, nil
}

// once returns the letters that occur exactly once, sorted: the output of an equation
// that names none.
func once(text string) string {
	var out []byte
	for i := range len(text) {
		if strings.IndexByte(letters, text[i]) >= 0 && strings.Count(text, text[i:i+1]) == 1 {
			out = append(out, text[i])
		}
	}
	slices.Sort(out)
	return string(out)
}

func (e equation) check(term string) error {
	for i := range len(term) {
		if strings.IndexByte(letters, term[i]) < 0 {
			return fmt.Errorf("unexpected %q", term[i])
		}
		if strings.Count(term, term[i:i+1]) > 1 {
			return errors.New("a diagonal (an index twice in one operand) has no rule")
		}
	}
	return nil
}

// einsumRule emits, per operand, the equation with that operand and the output exchanged.
func einsumRule(c *call) error {
	shapes := make([][]int, len(c.node.Inputs()))
	for i := range shapes {
		if c.x(i) == "" || c.shape(i) == nil {
			return errShape
		}
		shapes[i] = c.shape(i)
	}
	e, err := parseEquation(c.node.String("equation", ""), shapes)
	if err != nil {
		return err
	}
	if len(e.output) != len(c.shapeOut(0)) {
		return errShape
	}
	size := map[byte]int{}
	for i, t := range e.operands {
		for k := range len(t) {
			size[t[k]] = max(size[t[k]], shapes[i][k])
		}
	}
	for i := range shapes {
		c.want(i, func() string { return e.product(c, i, size) })
	}
	return nil
}

// product emits the gradient of operand i.
func (e equation) product(c *call, i int, size map[byte]int) string {
	var terms, inputs []string
	if e.output != "" {
		terms, inputs = []string{e.output}, []string{c.g()}
	}
	for k, t := range e.operands {
		if k != i {
			terms, inputs = append(terms, t), append(inputs, c.x(k))
		}
	}
	have := strings.Join(terms, "")
	var result string
	var from, kept, full []int
	for k := range len(e.operands[i]) {
		l := e.operands[i][k]
		full = append(full, c.shape(i)[k])
		if strings.IndexByte(have, l) >= 0 {
			result += string(l)
			from = append(from, size[l])
			kept = append(kept, size[l])
		} else {
			kept = append(kept, 1)
		}
	}
	y := c.g()
	if len(terms) > 0 {
		y = c.Node("Einsum", inputs, graph.String("equation", strings.Join(terms, ",")+"->"+result))
		if e.output == "" {
			y = c.mul(y, c.g())
		}
	}
	y = c.reshape(y, from, kept)
	// Where the operand was broadcast kept is the larger, where it alone has an index the smaller.
	summed := slices.Clone(kept)
	for k := range summed {
		summed[k] = min(kept[k], full[k])
	}
	return c.expand(c.reduceTo(y, kept, summed), summed, full)
}
