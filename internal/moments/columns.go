package moments

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// visit is where something is summed along an axis: at output positions from to (excluded) to, of which o meets the
// input at first + o·stride.
type visit struct{ first, from, to int }

// visits lists where the input is met along an axis, for each tap.
func (p Patches) visits(axis int) []visit {
	out := make([]visit, p.Window[axis])
	stride := p.Strides[axis]
	for t := range out {
		v := visit{first: t*p.Dilations[axis] - p.PadBegin[axis]}
		v.from = min(max(0, ceilDiv(-v.first, stride)), p.Out[axis])
		v.to = max(v.from, min(p.Out[axis], ceilDiv(p.In[axis]-v.first, stride)))
		out[t] = v
	}
	return out
}

// pairVisits lists where the first of two taps meets the input and the second does too, for each two taps.
func (p Patches) pairVisits(axis int) []visit {
	var out []visit
	for _, a := range p.visits(axis) {
		for _, b := range p.visits(axis) {
			from := max(a.from, b.from)
			out = append(out, visit{a.first, from, max(from, min(a.to, b.to))})
		}
	}
	return out
}

// ceilDiv is ⌈a/b⌉ for a positive b.
func ceilDiv(a, b int) int {
	if a > 0 {
		return (a + b - 1) / b
	}
	return a / b
}

// Columns adds to sums, [Groups·K], the sums of the columns x that Run multiplies.
func (p Patches) Columns(x []float32, samples int, sums []float64) {
	taps := tensor.Product(p.Window)
	p.fold(x, samples, p.visits, func(channel int, folded []float64) { addTo(sums[channel*taps:], folded) })
}

// pairs adds to sums, [Channels, taps, taps], for each two taps what the first meets at the positions at which the
// second lies inside the input too.
func (p Patches) pairs(x []float32, samples int, sums []float64) {
	taps := tensor.Product(p.Window)
	at := []int{0} // where the pair of taps goes whose coordinates are (a₁, b₁), (a₂, b₂), …
	behind := taps
	for _, n := range p.Window {
		behind /= n
		next := make([]int, 0, len(at)*n*n)
		for _, base := range at {
			for a := range n {
				for b := range n {
					next = append(next, base+(a*taps+b)*behind)
				}
			}
		}
		at = next
	}
	p.fold(x, samples, p.pairVisits, func(channel int, folded []float64) {
		for i, v := range folded {
			sums[channel*taps*taps+at[i]] += v
		}
	})
}

// together returns, [taps, taps], at how many positions of a sample two taps both lie inside the input: what pairs
// sums of a channel of ones.
func (p Patches) together() []float64 {
	p.Channels, p.Groups = 1, 1
	ones := slices.Repeat([]float32{1}, tensor.Product(p.In))
	out := make([]float64, tensor.Product(p.Window)*tensor.Product(p.Window))
	p.pairs(ones, 1, out)
	return out
}

// fold sums every channel of every sample over the visits of each axis, and gives the sums for all combinations of
// visits. Visits factor over the axes, so one axis is summed up after the other, the last first: each turns into one
// entry per visit.
func (p Patches) fold(x []float32, samples int, visits func(axis int) []visit, add func(channel int, folded []float64)) {
	last := len(p.In) - 1
	plane, rows := tensor.Product(p.In), tensor.Product(p.In[:last])
	all := make([][]visit, len(p.In))
	for axis := range all {
		all[axis] = visits(axis)
	}
	width, met := len(all[last]), p.met(all[:last])
	folded := make([]float64, rows*width)
	for n := range samples {
		for c := range p.Channels {
			channel := x[(n*p.Channels+c)*plane:][:plane]
			for _, r := range met {
				foldRow(channel[r*p.In[last]:][:p.In[last]], p.Strides[last], all[last], folded[r*width:][:width])
			}
			rest, inner := folded, width
			for axis := last - 1; axis >= 0; axis-- {
				rest = foldAxis(rest, tensor.Product(p.In[:axis]), p.In[axis], inner, p.Strides[axis], all[axis])
				inner *= len(all[axis])
			}
			add(c, rest)
		}
	}
}

// met lists the rows of the last axis that are visited along all others.
func (p Patches) met(visits [][]visit) []int {
	rows := []int{0}
	for axis, list := range visits {
		seen := make([]bool, p.In[axis])
		for _, v := range list {
			for o := v.from; o < v.to; o++ {
				seen[v.first+o*p.Strides[axis]] = true
			}
		}
		var next []int
		for _, r := range rows {
			for i, ok := range seen {
				if ok {
					next = append(next, r*p.In[axis]+i)
				}
			}
		}
		rows = next
	}
	return rows
}

// foldRow sums a row of the last axis over each visit. Where windows start at every position, most visits have most of the row:
// their sums are that of all less what lies before and behind.
func foldRow(row []float32, stride int, visits []visit, out []float64) {
	all, summed := 0., false
	for i, v := range visits {
		switch from, to := v.first+v.from, v.first+v.to; {
		case v.from == v.to:
			out[i] = 0
		case stride == 1 && 2*(to-from) > len(row):
			if !summed {
				all, summed = sumOf(row), true
			}
			out[i] = all
			if from > 0 {
				out[i] -= sumOf(row[:from])
			}
			if to < len(row) {
				out[i] -= sumOf(row[to:])
			}
		case stride == 1:
			out[i] = sumOf(row[from:to])
		default:
			sum := 0.
			for o := v.from; o < v.to; o++ {
				sum += float64(row[v.first+o*stride])
			}
			out[i] = sum
		}
	}
}

// sumOf adds four numbers at a time, since each addition waits for the one before.
func sumOf(x []float32) float64 {
	var a, b, c, d float64
	for len(x) >= 4 {
		a, b, c, d = a+float64(x[0]), b+float64(x[1]), c+float64(x[2]), d+float64(x[3])
		x = x[4:]
	}
	for _, v := range x {
		a += float64(v)
	}
	return a + b + (c + d)
}

// foldAxis sums in, [outer, size, inner], along the middle axis over each visit.
func foldAxis(in []float64, outer, size, inner, stride int, visits []visit) []float64 {
	out := make([]float64, outer*len(visits)*inner)
	for a := range outer {
		for i, v := range visits {
			to := out[(a*len(visits)+i)*inner:][:inner]
			for o := v.from; o < v.to; o++ {
				addTo(to, in[(a*size+v.first+o*stride)*inner:][:inner])
			}
		}
	}
	return out
}

// Columns adds the sums of the rows.
func (p *rows) Columns(x []float32, samples int, sums []float64) {
	for r := range samples * p.groups * p.perGroup {
		addTo(sums[r/p.perGroup%p.groups*p.k:], x[r*p.k:][:p.k])
	}
}

// pairs are Columns: a row is one tap, and always inside.
func (p *rows) pairs(x []float32, samples int, sums []float64) { p.Columns(x, samples, sums) }

func (p *rows) together() []float64 { return []float64{float64(p.perGroup)} }
