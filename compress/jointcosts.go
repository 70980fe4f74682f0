package compress

import (
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/search"
)

// shaped is how the kernel of a site follows widths: what a unit of each axis takes of the channels.
type shaped struct {
	site *rewrite.Site
	by   []shapedBy
}

type shapedBy struct{ axis, in, out, groups int }

// follows says which of the axes change the kernel of a site, and how.
func follows(s *rewrite.Site, axes []rewrite.Axis) (out []shapedBy) {
	for a := range axes {
		if axes[a].Units < 2 {
			continue
		}
		less := rewrite.Narrowing{Axis: &axes[a], Keep: make([]int, axes[a].Units-1)}
		for u := range less.Keep {
			less.Keep[u] = u
		}
		before, now := s.Kernel, rewrite.NarrowedShape(s, []rewrite.Narrowing{less})
		by := shapedBy{a, before.In - now.In, before.Out - now.Out, before.Groups - now.Groups}
		if by.in != 0 || by.out != 0 || by.groups != 0 {
			out = append(out, by)
		}
	}
	return out
}

// kernel is the site's where so many units of each axis are gone.
func (s *shaped) kernel(gone func(axis int) int) decomp.Shape {
	k := s.site.Kernel
	for _, by := range s.by {
		n := gone(by.axis)
		k.In -= n * by.in
		k.Out -= n * by.out
		k.Groups -= n * by.groups
	}
	return k
}

// cell says what a rung saves beside kernels of a shape: whether that is known, whether the rung can be had there, and what it saves of each bound.
type cell struct {
	known, may bool
	saved      []float64
}

// saves are what a rung of a ladder saves of the model that is narrower as by rungs of axes; false where it cannot be had there. A search asks for
// the same again and again: it depends on the shape of the kernel alone.
func (j *joint) saves(l, rung int, rungs []int, into []float64) bool {
	of := &j.ladders[l]
	whole := len(of.rungs) - 1
	if rung == whole {
		clear(into)
		return true
	}
	if len(j.shapes[l].by) == 0 {
		for b := range into {
			into[b] = j.stated[l].Rungs[whole].Costs[b] - j.stated[l].Rungs[rung].Costs[b]
		}
		return true
	}
	kernel := j.shapes[l].kernel(func(a int) int { return j.widths[a][len(j.widths[a])-1] - j.widths[a][rungs[a]] })
	shape := [3]int{kernel.In, kernel.Out, kernel.Groups}
	if j.cells[l] == nil {
		j.cells[l] = map[[3]int][]cell{}
	}
	row := j.cells[l][shape]
	if row == nil {
		row = make([]cell, whole)
		j.cells[l][shape] = row
	}
	c := &row[rung]
	if !c.known {
		c.known, c.saved = true, make([]float64, len(into))
		c.may = j.saved(l, rung, kernel, c.saved)
	}
	copy(into, c.saved)
	return c.may
}

// saved counts it.
func (j *joint) saved(l, rung int, kernel decomp.Shape, into []float64) bool {
	of := &j.ladders[l]
	s := *j.shapes[l].site
	if len(of.at) != 1 || kernel.Groups != 1 && kernel.Groups != s.Kernel.Groups {
		return false
	}
	s.Kernel = kernel
	o := of.rungs[rung][0]
	chain := o.method.Factors(s.Kernel, o.rank)
	if chain == nil {
		return false
	}
	o.macs, o.params = s.MACs(chain), s.NewParams(chain)+of.offers[0].shiftParams()
	beside := *of.offers[0].seen
	beside.site = s
	one := ladder{at: of.at, offers: []*offer{{seen: &beside}}, forecast: of.forecast}
	for b, t := range j.bounds {
		into[b] = float64(one.cost([]option{dense(&s)}, t.Resource) - one.cost([]option{o}, t.Resource))
	}
	return true
}

// budgets are what the limits leave to the ladders, with all axes whole.
func (j *joint) budgets() []search.Budget {
	whole := j.whole()
	out := make([]search.Budget, len(j.bounds))
	for b, t := range j.bounds {
		out[b] = search.Budget{Name: string(t.Resource), Limit: j.limits[b] - whole.costs[b]}
		for l := range j.stated {
			out[b].Limit += j.stated[l].Rungs[whole.rungs[l]].Costs[b]
		}
	}
	return out
}
