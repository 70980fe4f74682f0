package shapes

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// like gives the first output the shape of the first input.
func like(c *call) error {
	c.set(0, c.shape(0))
	return nil
}

// unary follows the operators with one operand whose numbers may lead to a shape.
func unary(c *call) error {
	c.put(0, &value{shape: c.shape(0), data: c.data(0).apply(c.node.Op())})
	return nil
}

// apply evaluates a unary operator elementwise, nil where it is not followed.
func (n *numbers) apply(op string) *numbers {
	if n == nil || op == "Identity" {
		return n
	}
	out := &numbers{typ: n.typ}
	ints, reals := unaryInts()[op], unaryReals()[op]
	for _, x := range n.i {
		if ints == nil {
			return nil
		}
		out.i = append(out.i, ints(x))
	}
	for _, x := range n.f {
		if reals == nil {
			return nil
		}
		out.f = append(out.f, round(n.typ, reals(x)))
	}
	return out
}

func unaryInts() map[string]func(int64) int64 {
	return map[string]func(int64) int64{
		"Abs":  func(x int64) int64 { return max(x, -x) },
		"Neg":  func(x int64) int64 { return -x },
		"Not":  func(x int64) int64 { return truth(x == 0) },
		"Sign": func(x int64) int64 { return truth(x > 0) - truth(x < 0) },
	}
}

func unaryReals() map[string]func(float64) float64 {
	return map[string]func(float64) float64{
		"Abs":        math.Abs,
		"Ceil":       math.Ceil,
		"Floor":      math.Floor,
		"Neg":        func(x float64) float64 { return -x },
		"Reciprocal": func(x float64) float64 { return 1 / x },
		"Round":      math.RoundToEven,
		"Sqrt":       math.Sqrt,
	}
}

// binary follows the operators that broadcast their operands. Before opset 7 the
// arithmetic ones take the shape of the first (attribute broadcast).
func binary(c *call) error {
	var list [][]int
	for i := range c.in {
		if c.has(i) {
			list = append(list, c.shape(i))
		}
	}
	op := c.node.Op()
	if c.opset < 7 && op != "Sum" && op != "Max" && op != "Min" && op != "Mean" {
		list = list[:1]
	}
	shape, err := Broadcast(list...)
	if err != nil {
		return err
	}
	c.put(0, &value{shape: shape, data: c.combine(shape)})
	return nil
}

// combine evaluates a two-operand node, nil where its numbers are not known.
func (c *call) combine(shape []int) *numbers {
	if len(c.in) != 2 || !c.has(0) || !c.has(1) || !small(shape) {
		return nil
	}
	a, b := c.data(0), c.data(1)
	if a == nil || b == nil || a.typ != b.typ || len(c.shape(1)) > len(shape) {
		return nil
	}
	if c.opset < 7 && b.len() != 1 && tensor.Product(shape) != b.len() {
		return nil
	}
	ia := spread(c.shape(0), shape)
	ib := make([]int, len(ia))
	if b.len() != 1 {
		ib = spread(c.shape(1), shape)
	}
	op := c.node.Op()
	if op == "Mod" && c.attr("fmod", 0) != 0 {
		op = "Fmod"
	}
	out := &numbers{typ: a.typ}
	if compares(op) {
		out.typ = tensor.Bool
	}
	for k := range ia {
		if !out.push(op, a, b, ia[k], ib[k]) {
			return nil
		}
	}
	return out
}

func compares(op string) bool {
	switch op {
	case "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual":
		return true
	}
	return false
}

// push appends a[i] op b[j]; false where the operator is not followed.
func (n *numbers) push(op string, a, b *numbers, i, j int) bool {
	if compares(op) {
		n.i = append(n.i, truth(holds(op, a.real(i), b.real(j))))
		return true
	}
	if isInteger(a.typ) {
		v, ok := binaryInt(op, a.i[i], b.i[j])
		n.i = append(n.i, v)
		return ok
	}
	v, ok := binaryReal(op, a.f[i], b.f[j])
	n.f = append(n.f, round(n.typ, v))
	return ok
}

func holds(op string, x, y float64) bool {
	switch op {
	case "Greater":
		return x > y
	case "GreaterOrEqual":
		return x >= y
	case "Less":
		return x < y
	case "LessOrEqual":
		return x <= y
	}
	return x == y
}

func binaryInt(op string, x, y int64) (int64, bool) {
	switch op {
	case "Div", "Mod", "Fmod":
		switch {
		case y == 0:
			return 0, false
		case op == "Div":
			return x / y, true
		case op == "Mod": // the sign follows the divisor, as in Python, unless attribute fmod is set
			return ((x % y) + y) % y, true
		}
		return x % y, true // the sign follows the dividend, as in C
	case "And":
		return x & y, true
	case "Or":
		return x | y, true
	case "Xor":
		return x ^ y, true
	case "Pow":
		return int64(math.Pow(float64(x), float64(y))), y >= 0
	}
	return arithmetic(op, x, y)
}

func binaryReal(op string, x, y float64) (float64, bool) {
	switch op {
	case "Div":
		return x / y, true
	case "Pow":
		return math.Pow(x, y), true
	}
	return arithmetic(op, x, y)
}

// arithmetic evaluates what integers and floating-point numbers have in common.
func arithmetic[T int64 | float64](op string, x, y T) (T, bool) {
	switch op {
	case "Add":
		return x + y, true
	case "Sub":
		return x - y, true
	case "Mul":
		return x * y, true
	case "Max":
		return max(x, y), true
	case "Min":
		return min(x, y), true
	}
	return 0, false
}

// castTo follows Cast; attribute to holds the element type (before opset 6 its name).
func castTo(c *call) error {
	to := tensor.Type(c.attr("to", 0))
	c.put(0, &value{shape: c.shape(0), data: c.data(0).cast(to)})
	return nil
}

func castLike(c *call) error {
	v := &value{shape: c.shape(0)}
	if d := c.data(1); d != nil {
		v.data = c.data(0).cast(d.typ)
	}
	c.put(0, v)
	return nil
}

// where follows Where: condition, then X where it holds, Y where not.
func where(c *call) error {
	shape, err := Broadcast(c.shape(0), c.shape(1), c.shape(2))
	if err != nil {
		return err
	}
	v := &value{shape: shape}
	cond, x, y := c.data(0), c.data(1), c.data(2)
	if cond != nil && isInteger(cond.typ) && x != nil && y != nil && x.typ == y.typ && small(shape) {
		all := join([]*numbers{x, y})
		ic, ix, iy := spread(c.shape(0), shape), spread(c.shape(1), shape), spread(c.shape(2), shape)
		at := make([]int, len(ic))
		for k := range at {
			at[k] = ix[k]
			if cond.i[ic[k]] == 0 {
				at[k] = x.len() + iy[k]
			}
		}
		v.data = all.pick(at)
	}
	c.put(0, v)
	return nil
}

// reduce follows the Reduce family: axes are an attribute, or input 1 since opset
// 13 (ReduceSum) or 18; none means all, unless noop_with_empty_axes is set.
func reduce(c *call) error {
	list, err := c.list("axes", 1)
	if err != nil {
		return err
	}
	in := c.shape(0)
	if len(list) == 0 && c.attr("noop_with_empty_axes", 0) != 0 {
		c.set(0, in)
		return nil
	}
	if len(list) == 0 {
		list = upTo(len(in))
	}
	gone, err := graph.Axes(list, len(in))
	if err != nil {
		return err
	}
	v := &value{shape: drop(in, gone, c.attr("keepdims", 1) != 0)}
	if small(v.shape) && tensor.Product(v.shape) == 1 {
		v.data = c.data(0).fold(c.node.Op())
	}
	c.put(0, v)
	return nil
}

// drop removes axes, or sets them to 1.
func drop(in, axes []int, keep bool) []int {
	var out []int
	for i, d := range in {
		switch {
		case !slices.Contains(axes, i):
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}

// fold reduces all numbers to one, nil where the operator is not followed.
func (n *numbers) fold(op string) *numbers {
	step := map[string]string{"ReduceSum": "Add", "ReduceProd": "Mul", "ReduceMax": "Max", "ReduceMin": "Min"}[op]
	if n == nil || step == "" || n.len() == 0 {
		return nil
	}
	acc := n.pick([]int{0})
	for k := 1; k < n.len(); k++ {
		next := &numbers{typ: n.typ}
		if !next.push(step, acc, n, 0, k) {
			return nil
		}
		acc = next
	}
	return acc
}

// argReduce follows ArgMax and ArgMin.
func argReduce(c *call) error {
	k, err := graph.Axis(c.attr("axis", 0), len(c.shape(0)))
	if err != nil {
		return err
	}
	c.set(0, drop(c.shape(0), []int{k}, c.attr("keepdims", 1) != 0))
	return nil
}

// constant follows Constant in all its forms.
func constant(c *call) error {
	if t, ok := c.node.Value(c.model); ok {
		c.put(0, c.constant(t))
		return nil
	}
	for _, a := range c.node.Attrs() {
		switch a.Name() {
		case "sparse_value":
			c.set(0, a.Sparse().Shape())
		case "value_string":
			c.set(0, []int{})
		case "value_strings":
			c.set(0, []int{len(a.Strings())})
		}
	}
	if c.out[0] == nil {
		return fmt.Errorf("no attribute holds a value")
	}
	return nil
}

// constantOfShape follows ConstantOfShape; the default fill is a float32 zero.
func constantOfShape(c *call) error {
	dims, err := c.ints(0)
	if err != nil {
		return err
	}
	v := &value{shape: dims}
	fill := &numbers{typ: tensor.Float32, f: []float64{0}}
	if t, ok := c.node.Tensor(c.model, "value"); ok {
		fill = c.constant(t).data
	}
	if fill != nil && fill.len() == 1 && valid(v.shape) && small(v.shape) {
		v.data = fill.pick(make([]int, tensor.Product(v.shape)))
	}
	c.put(0, v)
	return nil
}

func valid(shape []int) bool {
	return !slices.ContainsFunc(shape, func(d int) bool { return d < 0 || d > maxSize })
}

func randomShape(c *call) error {
	c.set(0, c.node.Ints("shape"))
	return nil
}

// ranged follows Range: start, limit (excluded), delta.
func ranged(c *call) error {
	start, limit, delta := c.data(0), c.data(1), c.data(2)
	if start == nil || limit == nil || delta == nil || start.len() != 1 || limit.len() != 1 || delta.len() != 1 {
		return fmt.Errorf("start, limit or delta are not known in advance")
	}
	s, l, d := start.real(0), limit.real(0), delta.real(0)
	if d == 0 || start.typ != limit.typ || start.typ != delta.typ {
		return fmt.Errorf("range from %v to %v in steps of %v", s, l, d)
	}
	n := math.Max(0, math.Ceil((l-s)/d))
	if !(n <= maxSize) {
		return fmt.Errorf("range has %v elements", n)
	}
	v := &value{shape: []int{int(n)}}
	if isInteger(start.typ) && small(v.shape) {
		v.data = &numbers{typ: start.typ, i: make([]int64, int(n))}
		for k := range v.data.i {
			v.data.i[k] = start.i[0] + int64(k)*delta.i[0]
		}
	}
	c.put(0, v)
	return nil
}
