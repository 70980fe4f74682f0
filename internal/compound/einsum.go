package compound

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// einsum is an Einsum that multiplies a value with a constant, as a MatMul between what moves numbers. Others have no body: the
// rest of the program knows Einsum itself.
func einsum(b *body) error {
	if len(b.node.Inputs()) != 2 || b.constant(b.x(0)) == b.constant(b.x(1)) {
		return errors.New("it multiplies no value with one constant")
	}
	equation := strings.ReplaceAll(b.node.String("equation", ""), " ", "")
	left, out, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if !explicit || len(terms) != 2 || strings.Contains(equation, ".") || repeats(terms[0]) || repeats(terms[1]) || repeats(out) {
		return fmt.Errorf("equation %q is no plain product", equation)
	}
	x, w := 0, 1
	if b.constant(b.x(0)) {
		x, w = 1, 0
	}
	var rows, inner, columns []rune // of x alone, of both, of the constant alone
	for _, r := range terms[x] {
		switch both, kept := strings.ContainsRune(terms[w], r), strings.ContainsRune(out, r); {
		case both && !kept:
			inner = append(inner, r)
		case !both && kept:
			rows = append(rows, r)
		default:
			return fmt.Errorf("equation %q is no plain product: of %q", equation, r)
		}
	}
	size := map[rune]int{}
	shape, err := b.shape(b.x(w))
	if err != nil || len(shape) != len(terms[w]) {
		return errors.Join(err, fmt.Errorf("equation %q for a constant of shape %v", equation, shape))
	}
	for i, r := range terms[w] {
		size[r] = shape[i]
		switch both, kept := strings.ContainsRune(terms[x], r), strings.ContainsRune(out, r); {
		case !both && kept:
			columns = append(columns, r)
		case !both:
			return fmt.Errorf("equation %q is no plain product: of %q", equation, r)
		}
	}
	if len(inner) == 0 || len(columns) == 0 || len(rows) == 0 || len(out) != len(rows)+len(columns) {
		return fmt.Errorf("equation %q is no plain product", equation)
	}
	sizes := func(of []rune) (list []int) {
		for _, r := range of {
			list = append(list, size[r])
		}
		return list
	}
	data := b.turned(b.x(x), []rune(terms[x]), slices.Concat(rows, inner))
	data = b.grouped(data, len(rows), len(inner), tensor.Product(sizes(inner)))
	weight := b.turned(b.x(w), []rune(terms[w]), slices.Concat(inner, columns))
	if len(inner) > 1 || len(columns) > 1 {
		weight = b.reshape(weight, tensor.Product(sizes(inner)), tensor.Product(sizes(columns)))
	}
	b.main = b.Op("MatMul", data, weight)
	y := b.main
	if len(columns) > 1 {
		y = b.reshape(y, append(make([]int, len(rows)), sizes(columns)...)...)
	}
	b.give(0, b.turned(y, slices.Concat(rows, columns), []rune(out)))
	return nil
}

func repeats(term string) bool {
	for i, r := range term {
		if strings.ContainsRune(term[:i], r) {
			return true
		}
	}
	return false
}

// turned brings axes with letters into another order.
func (b *body) turned(x string, from, to []rune) string {
	perm := make([]int, len(to))
	for i, r := range to {
		perm[i] = slices.Index(from, r)
	}
	if slices.IsSorted(perm) {
		return x
	}
	return b.transpose(x, perm...)
}

// grouped makes one axis of so many behind the first ones.
func (b *body) grouped(x string, first, many, size int) string {
	if many == 1 {
		return x
	}
	return b.reshape(x, append(make([]int, first), size)...)
}
