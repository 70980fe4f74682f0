package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// effort bounds a descent.
type effort struct {
	evaluations int     // of the function, the first included
	gain        float64 // stop when a step lowers the value by less than this fraction of it
}

// history is the number of steps from which descend estimates the curvature.
const history = 8

// descend lowers a function from x by limited-memory BFGS with backtracking (Nocedal, Mathematics of Computation 35,
// 1980) and returns the lowest point seen with its value. eval returns the value and the gradient; coordinates in which
// the second derivative is about the identity make it converge fast. A point whose numbers have no answer (see unanswered),
// or no finite value, counts as too far; any other error of eval ends the descent. x is not changed.
func descend(x []float64, limit effort, eval func([]float64) (float64, []float64, error)) ([]float64, float64, error) {
	value, grad, err := eval(x)
	if err != nil {
		return x, math.Inf(1), err
	}
	var past []step
	evaluations := 1
	for evaluations < limit.evaluations {
		direction := newton(past, grad)
		slope := dot(direction, grad)
		if !(slope < 0) {
			if len(past) == 0 {
				break
			}
			past = nil
			continue
		}
		next, before, moved := []float64(nil), value, false
		for length := 1.0; evaluations < limit.evaluations && length > 1e-4; {
			next = plus(x, length, direction)
			v, g, err := eval(next)
			evaluations++
			if err != nil && !unanswered(err) {
				return x, value, err
			}
			if err == nil && v <= value+1e-4*length*slope {
				past = remember(past, x, next, grad, g)
				x, value, grad, moved = next, v, g, true
				break
			}
			length *= shorter(length, slope, v-value)
		}
		if !moved || before-value <= limit.gain*math.Abs(before) {
			break
		}
	}
	return x, value, nil
}

// shorter returns the factor for a step that was too long: the minimum of the parabola through what is known.
func shorter(length, slope, rise float64) float64 {
	factor := -slope * length / (2 * (rise - slope*length))
	if !(factor > 0.1) {
		return 0.1
	}
	return min(factor, 0.5)
}

// step is how x and the gradient moved in one step.
type step struct {
	x, grad   []float64
	curvature float64 // x·grad, positive
}

func remember(past []step, x, next, grad, nextGrad []float64) []step {
	s := step{x: plus(next, -1, x), grad: plus(nextGrad, -1, grad)}
	s.curvature = dot(s.x, s.grad)
	if !(s.curvature > 1e-12*math.Sqrt(dot(s.x, s.x)*dot(s.grad, s.grad))) {
		return past
	}
	if len(past) == history {
		past = past[1:]
	}
	return append(past, s)
}

// newton returns −H·grad, H the inverse of the second derivative as the past steps suggest it.
func newton(past []step, grad []float64) []float64 {
	d := plus(make([]float64, len(grad)), -1, grad)
	weights := make([]float64, len(past))
	for i := len(past) - 1; i >= 0; i-- {
		weights[i] = dot(past[i].x, d) / past[i].curvature
		axpy(d, -weights[i], past[i].grad)
	}
	if n := len(past); n > 0 {
		last := past[n-1]
		scale := last.curvature / dot(last.grad, last.grad)
		for i := range d {
			d[i] *= scale
		}
	}
	for i, s := range past {
		axpy(d, weights[i]-dot(s.grad, d)/s.curvature, s.x)
	}
	return d
}

// flat returns the numbers of matrices as one list.
func flat(matrices []*linalg.Matrix) []float64 {
	var out []float64
	for _, m := range matrices {
		out = append(out, m.Data...)
	}
	return out
}

// unflat is the reverse of flat: matrices of the sizes of those given, which share the list's numbers.
func unflat(like []*linalg.Matrix, numbers []float64) []*linalg.Matrix {
	out := make([]*linalg.Matrix, len(like))
	for i, m := range like {
		out[i] = &linalg.Matrix{Rows: m.Rows, Cols: m.Cols, Data: numbers[:len(m.Data)]}
		numbers = numbers[len(m.Data):]
	}
	return out
}
