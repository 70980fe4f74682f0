package compress

import (
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/search"
)

// site is a ladder's site beside the widths, and whether it may have a chain there.
func (j *joint) site(l int, rungs []int) (rewrite.Site, bool) {
	s := *j.shapes[l].site
	for _, by := range j.shapes[l].by {
		gone := j.widths[by.axis][len(j.widths[by.axis])-1] - j.widths[by.axis][rungs[by.axis]]
		s.Kernel.In -= gone * by.in
		s.Kernel.Out -= gone * by.out
		s.Kernel.Groups -= gone * by.groups
	}
	return s, len(j.ladders[l].at) == 1 && (s.Kernel.Groups == 1 || s.Kernel.Groups == j.shapes[l].site.Kernel.Groups)
}

// saves are what a rung of a ladder saves of the model that is narrower as by rungs of axes; false where it cannot be had there.
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
	s, may := j.site(l, rungs)
	if !may {
		return false
	}
	o := of.rungs[rung][0]
	chain := o.method.Factors(s.Kernel, o.rank)
	if chain == nil {
		return false
	}
	o.macs, o.params = s.MACs(chain), s.NewParams(chain)+of.offers[0].shiftParams()
	beside := *of.offers[0].seen
	beside.site = s
	one := ladder{at: of.at, offers: []*offer{{seen: &beside}}}
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
