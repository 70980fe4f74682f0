package moments

import "github.com/onnx-compress/onnx-compress/tensor"

// Columns adds to sums, [Groups·K], the sums of the columns x that Run multiplies.
//
// Which positions a tap visits factors over the axes, so one axis is summed up after
// the other, the last first: each turns into one entry per tap.
func (p Patches) Columns(x []float32, samples int, sums []float64) {
	last := len(p.In) - 1
	plane, taps := tensor.Product(p.In), tensor.Product(p.Window)
	rows := tensor.Product(p.In[:last])
	prefix := make([]float64, p.In[last]+1)
	folded := make([]float64, rows*p.Window[last])
	for n := range samples {
		for c := range p.Channels {
			channel := x[(n*p.Channels+c)*plane:][:plane]
			for r := range rows {
				p.foldRow(channel[r*p.In[last]:][:p.In[last]], prefix, folded[r*p.Window[last]:][:p.Window[last]])
			}
			rest := folded
			for axis := last - 1; axis >= 0; axis-- {
				rest = p.foldAxis(axis, rest)
			}
			for t, v := range rest {
				sums[c*taps+t] += v
			}
		}
	}
}

// foldRow sums a row of the last axis for each tap along it.
func (p Patches) foldRow(row []float32, prefix, out []float64) {
	last := len(p.In) - 1
	stride := p.Strides[last]
	if stride == 1 {
		for i, v := range row {
			prefix[i+1] = prefix[i] + float64(v)
		}
	}
	for t := range out {
		first := t*p.Dilations[last] - p.PadBegin[last]
		if stride == 1 {
			from := min(max(first, 0), len(row))
			out[t] = prefix[max(from, min(first+p.Out[last], len(row)))] - prefix[from]
			continue
		}
		sum := 0.
		for o := range p.Out[last] {
			if u := first + o*stride; u >= 0 && u < len(row) {
				sum += float64(row[u])
			}
		}
		out[t] = sum
	}
}

// foldAxis sums in, [sizes of the axes up to axis, taps behind it], along axis for each tap.
func (p Patches) foldAxis(axis int, in []float64) []float64 {
	size, inner := p.In[axis], tensor.Product(p.Window[axis+1:])
	outer := tensor.Product(p.In[:axis])
	out := make([]float64, outer*p.Window[axis]*inner)
	for a := range outer {
		for t := range p.Window[axis] {
			to := out[(a*p.Window[axis]+t)*inner:][:inner]
			for o := range p.Out[axis] {
				u := o*p.Strides[axis] + t*p.Dilations[axis] - p.PadBegin[axis]
				if u < 0 || u >= size {
					continue
				}
				for i, v := range in[(a*size+u)*inner:][:inner] {
					to[i] += v
				}
			}
		}
	}
	return out
}

// Columns adds the sums of the rows.
func (p *rows) Columns(x []float32, samples int, sums []float64) {
	for r := range samples * p.groups * p.perGroup {
		to := sums[r/p.perGroup%p.groups*p.k:][:p.k]
		for i, v := range x[r*p.k:][:p.k] {
			to[i] += float64(v)
		}
	}
}
