package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// productRules are the rules of matrix products.
func productRules() []Rule {
	return []Rule{
		{
			Op: "Gemm", Formula: "y = α·A·B + β·C: dA = α·g·Bᵀ, dB = α·Aᵀ·g, dC = β·g, transposed as A and B are",
			inputs: first | second | third, need: 2, vjp: gemmRule,
		},
		{Op: "MatMul", Formula: "da = g·bᵀ, db = aᵀ·g", inputs: first | second, need: 2, vjp: matMulRule},
		{
			Op: "Einsum", Formula: "the equation with the operand and the output exchanged; indices of the operand alone are broadcast",
			inputs: every, need: 1, vjp: einsumRule,
		},
	}
}

func gemmRule(c *call) error {
	if len(c.shape(0)) != 2 || len(c.shape(1)) != 2 {
		return errShape
	}
	g, a, b := c.g(), c.x(0), c.x(1)
	transA, transB := c.node.Int("transA", 0) != 0, c.node.Int("transB", 0) != 0
	alpha, beta := c.float("alpha", 1), c.float("beta", 1)
	c.want(0, func() string {
		if transA {
			return c.gemm(b, g, transB, true, alpha)
		}
		return c.gemm(g, b, false, !transB, alpha)
	})
	c.want(1, func() string {
		if transB {
			return c.gemm(g, a, true, transA, alpha)
		}
		return c.gemm(a, g, !transA, false, alpha)
	})
	c.want(2, func() string { return c.scale(c.reduceTo(g, c.shapeOut(0), c.shape(2)), beta) })
	return nil
}

// matMulRule is MatMul with numpy's rules: vectors, and batches that are broadcast.
func matMulRule(c *call) error {
	a, b := c.shape(0), c.shape(1)
	if len(a) == 0 || len(b) == 0 {
		return errShape
	}
	// Vectors count as matrices with one row (left) or column (right).
	full := slices.Clone(c.shapeOut(0))
	left, right := a, b
	if len(b) == 1 {
		right = []int{b[0], 1}
		full = append(full, 1)
	}
	if len(a) == 1 {
		left = []int{1, a[0]}
		full = slices.Insert(full, max(len(full)-1, 0), 1)
	}
	rows, cols := left[len(left)-2], right[len(right)-1]
	inner := left[len(left)-1]
	if len(full) < 2 || full[len(full)-2] != rows || full[len(full)-1] != cols || right[len(right)-2] != inner {
		return errShape
	}
	batch := full[:len(full)-2]
	g := c.reshape(c.g(), c.shapeOut(0), full)
	if len(right) == 2 {
		c.matMulByMatrix(g, full, left, right)
		return nil
	}
	if c.wanted(0) {
		da := c.matmul(g, c.swap(c.x(1), len(right)))
		c.give(0, c.reshape(c.reduceTo(da, slices.Concat(batch, []int{rows, inner}), left), left, a))
	}
	if c.wanted(1) {
		db := c.matmul(c.swap(c.reshape(c.x(0), a, left), len(left)), g)
		c.give(1, c.reduceTo(db, slices.Concat(batch, []int{inner, cols}), right))
	}
	return nil
}

// matMulByMatrix is the common case of one matrix for all of a: the batch counts as
// rows, and one product sums over it.
func (c *call) matMulByMatrix(g string, full, left, right []int) {
	inner, cols := right[0], right[1]
	rows := tensor.Product(full[:len(full)-1])
	flat := c.reshape(g, full, []int{rows, cols})
	b := c.reshape(c.x(1), c.shape(1), right)
	c.want(0, func() string { return c.reshape(c.gemm(flat, b, false, true, 1), []int{rows, inner}, c.shape(0)) })
	if c.wanted(1) {
		a := c.reshape(c.x(0), c.shape(0), []int{rows, inner})
		c.give(1, c.reshape(c.gemm(a, flat, true, false, 1), right, c.shape(1)))
	}
}
