package moments

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Thinning says of how many output positions of a convolution one is summed, along each axis; nil where all are.
//
// The moments of K inputs are told well enough by some columns for each of them. Positions of one sample resemble each
// other, the more so the nearer they are, and samples do not: so of plenty, positions are left out and no sample. Which ones
// are summed follows from shapes and counts, and moves from run to run, so that the borders have their share.
type Thinning []int

const (
	// plenty is how many columns for each input tell as much as more would.
	plenty = 200
	// fewestThinned is the number of samples below which all that they show counts.
	fewestThinned = 512
	// leastPositions are summed of each sample.
	leastPositions = 8
	// leastSaved is by how much fewer windows of several taps are cheaper, which otherwise are summed by lags.
	leastSaved = 4
)

// Thin returns which positions of so many samples are summed.
func (p Patches) Thin(samples int) Thinning {
	positions := tensor.Product(p.Out)
	spare := int(min(p.Positions(samples)/(plenty*int64(max(p.Length(), 1))), int64(positions/leastPositions)))
	least := 2
	if tensor.Product(p.Window) > 1 && p.unitStride() {
		least = leastSaved
	}
	if samples < fewestThinned || spare < least {
		return nil
	}
	t := make(Thinning, len(p.Out))
	for i, n := range p.Out { // by about the same step along each axis
		step := 1
		for step < n && power(step+1, len(p.Out)-i) <= spare {
			step++
		}
		t[i], spare = step, spare/step
	}
	return t
}

func power(base, exponent int) int {
	out := 1
	for range exponent {
		out *= base
	}
	return out
}

// Share is of how many positions one is summed.
func (t Thinning) Share() int { return tensor.Product(t) }

// first is the first position along an axis of so many that is summed in a run: multiples of roots of primes are spread evenly, over
// several axes together and where every eighth is looked at (Richtmyer, The evaluation of definite integrals, and a quasi-Monte-Carlo
// method based on the properties of algebraic numbers, 1951).
func (t Thinning) first(axis, of, run int) int {
	primes := [...]float64{2, 3, 5}
	_, at := math.Modf(float64(run) * math.Sqrt(primes[axis%len(primes)]))
	return max(min(int(at*float64(t[axis])), of-1), 0)
}

// Starts are the first positions that are summed in a run, along all axes: runs of the same sum the same.
func (t Thinning) Starts(out []int, run int) []int {
	starts := make([]int, len(t))
	for i := range t {
		starts[i] = t.first(i, out[i], run)
	}
	return starts
}

// Thinned returns the windows that are summed in a run.
func (p Patches) Thinned(t Thinning, run int) Patches {
	if t == nil {
		return p
	}
	p.Strides, p.PadBegin, p.Out = slices.Clone(p.Strides), slices.Clone(p.PadBegin), slices.Clone(p.Out)
	for i, step := range t {
		from := t.first(i, p.Out[i], run)
		p.PadBegin[i] -= from * p.Strides[i]
		p.Strides[i] *= step
		p.Out[i] = ceilDiv(p.Out[i]-from, step)
	}
	return p
}

// Left is the shape [samples, channels, out...] of what Outputs leaves of an output.
func (t Thinning) Left(shape []int, run int) []int {
	left := slices.Clone(shape)
	for i, step := range t {
		left[2+i] = ceilDiv(shape[2+i]-t.first(i, shape[2+i], run), step)
	}
	return left
}

// Outputs returns the numbers of an output [samples, channels, out...] at the positions that are summed in a run, in buf.
func (t Thinning) Outputs(values []float32, shape []int, run int, buf *[]float32) []float32 {
	if t == nil {
		return values
	}
	last, left := len(t)-1, t.Left(shape, run)
	var rows []int // where those of the last axis begin in a channel
	for _, at := range coordinates(left[2 : 2+last]) {
		row := 0
		for i, o := range at {
			row = row*shape[2+i] + t.first(i, shape[2+i], run) + o*t[i]
		}
		rows = append(rows, row*shape[2+last]+t.first(last, shape[2+last], run))
	}
	out := grow(buf, tensor.Product(left))
	plane, length, at := tensor.Product(shape[2:]), left[2+last], 0
	for c := range shape[0] * shape[1] {
		channel := values[c*plane:][:plane]
		for _, row := range rows {
			for i := range out[at:][:length] {
				out[at+i] = channel[row+i*t[last]]
			}
			at += length
		}
	}
	return out
}
