package shapes

import (
	"fmt"
	"slices"
	"strings"
)

// matMul follows MatMul and MatMulInteger, which multiply as NumPy does.
func matMul(c *call) error { return c.multiply(c.shape(0), c.shape(1)) }

// qLinearMatMul follows QLinearMatMul, whose second operand is input 3.
func qLinearMatMul(c *call) error { return c.multiply(c.shape(0), c.shape(3)) }

func (c *call) multiply(a, b []int) error {
	out, err := product(a, b)
	if err != nil {
		return err
	}
	c.set(0, out)
	return nil
}

// product returns the shape of a matrix product: vectors gain an axis for the
// product and lose it afterwards, leading axes broadcast.
func product(a, b []int) ([]int, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("a scalar cannot be multiplied as a matrix")
	}
	left, right := a, b
	if len(a) == 1 {
		left = []int{1, a[0]}
	}
	if len(b) == 1 {
		right = []int{b[0], 1}
	}
	n, m := len(left), len(right)
	if left[n-1] != right[m-2] {
		return nil, fmt.Errorf("shapes %v and %v do not multiply", a, b)
	}
	out, err := Broadcast(left[:n-2], right[:m-2])
	if err != nil {
		return nil, err
	}
	if len(a) > 1 {
		out = append(out, left[n-2])
	}
	if len(b) > 1 {
		out = append(out, right[m-1])
	}
	return out, nil
}

// gemm follows Gemm: op(A) [M, K] times op(B) [K, N].
func gemm(c *call) error {
	a, b := c.shape(0), c.shape(1)
	if len(a) != 2 || len(b) != 2 {
		return fmt.Errorf("operands of shape %v and %v, matrices are wanted", a, b)
	}
	m, k, l, n := a[0], a[1], b[0], b[1]
	if c.attr("transA", 0) != 0 {
		m, k = k, m
	}
	if c.attr("transB", 0) != 0 {
		l, n = n, l
	}
	if k != l {
		return fmt.Errorf("inner sizes %d and %d differ", k, l)
	}
	c.set(0, []int{m, n})
	return nil
}

// einsum follows Einsum. An ellipsis stands for broadcast axes.
func einsum(c *call) error {
	equation := strings.ReplaceAll(c.node.String("equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.in) {
		return fmt.Errorf("equation %q has %d terms for %d inputs", equation, len(terms), len(c.in))
	}
	size, uses := map[rune]int{}, map[rune]int{}
	var dots [][]int
	for i, term := range terms {
		if !c.has(i) {
			return fmt.Errorf("input %d is missing", i)
		}
		rest, err := label(term, c.shape(i), size, uses)
		if err != nil {
			return fmt.Errorf("equation %q: %w", equation, err)
		}
		dots = append(dots, rest)
	}
	free, err := Broadcast(dots...)
	if err != nil {
		return err
	}
	if !explicit {
		right = implicit(uses)
	}
	var out []int
	before, after, dotted := strings.Cut(right, "...")
	for _, r := range before {
		out = append(out, size[r])
	}
	if dotted {
		out = append(out, free...)
	}
	for _, r := range after {
		out = append(out, size[r])
	}
	c.set(0, out)
	return nil
}

// implicit is the output of an equation without one: the ellipsis, then the
// letters used once, sorted.
func implicit(uses map[rune]int) string {
	var once []rune
	for r, n := range uses {
		if n == 1 {
			once = append(once, r)
		}
	}
	slices.Sort(once)
	return "..." + string(once)
}

// label matches the letters of one term with a shape and returns the sizes under its ellipsis.
func label(term string, shape []int, size, uses map[rune]int) ([]int, error) {
	before, after, dotted := strings.Cut(term, "...")
	letters := []rune(before + after)
	hidden := len(shape) - len(letters)
	if hidden < 0 || hidden > 0 && !dotted {
		return nil, fmt.Errorf("term %q for shape %v", term, shape)
	}
	lead := len([]rune(before))
	for k, r := range letters {
		d := shape[k]
		if k >= lead {
			d = shape[k+hidden]
		}
		if old, ok := size[r]; ok && old != d && old != 1 && d != 1 {
			return nil, fmt.Errorf("%q stands for %d and %d", r, old, d)
		}
		size[r] = max(size[r], d)
		uses[r]++
	}
	return shape[lead : lead+hidden], nil
}
