package compress

import (
	"cmp"
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// ladder is a set of sites that are chosen for together, because they share one weight:
// it may only be dropped when all of them stop using it.
type ladder struct {
	at     []int // numbers of the sites
	offers []*offer
	// rungs holds, per rung, the option of every offer. Of open rungs, the loss of at least one of these is not known yet.
	rungs, open [][]option
	forecast    *forecast // nil where no time is asked for
}

// ladders groups the offers by weight, in the order of their first site.
func (of *Offers) ladders() []ladder {
	var out []ladder
	at := map[string]int{}
	for k := range of.sites {
		o := &of.sites[k]
		i, known := at[o.site.Weight]
		if !known {
			i = len(out)
			at[o.site.Weight] = i
			out = append(out, ladder{forecast: of.forecast})
		}
		out[i].at, out[i].offers = append(out[i].at, k), append(out[i].offers, o)
	}
	for i := range out {
		l := &out[i]
		l.rungs = paired(l.offers, func(o *offer) []option { return o.options })
		if n := len(l.offers); n > 1 && n <= mostUnlike {
			l.rungs = slices.Insert(l.rungs, len(l.rungs)-1, l.unlike()...)
		}
		if slices.ContainsFunc(l.offers, func(o *offer) bool { return len(o.open) > 0 }) {
			l.open = paired(l.offers, func(o *offer) []option { return slices.Concat(o.open, o.options) })
			l.open = slices.DeleteFunc(l.open, func(rung []option) bool { return l.answered(rung) })
		}
	}
	return out
}

// answered tells whether the losses of all options of a rung are known.
func (l *ladder) answered(rung []option) bool {
	for k, o := range l.offers {
		if slices.ContainsFunc(o.open, rung[k].same) {
			return false
		}
	}
	return true
}

// paired pairs the options of sites that share a weight: the same method at the
// same rank in all of them.
func paired(offers []*offer, options func(*offer) []option) [][]option {
	first := options(offers[0])
	out := make([][]option, len(first))
	at := map[string]int{}
	for i, c := range first {
		out[i], at[c.key()] = []option{c}, i
	}
	for n, o := range offers[1:] {
		for _, c := range options(o) {
			if i, both := at[c.key()]; both && len(out[i]) == n+1 {
				out[i] = append(out[i], c)
			}
		}
	}
	return slices.DeleteFunc(out, func(rung []option) bool { return len(rung) < len(offers) })
}

// How many sites that share a weight may be unlike each other, and in how many ways, of which the rest lie between these.
const mostUnlike, mostWays = 3, 64

// unlike are the ways of sites that share a weight to differ in method or rank, or in that some stay as they are, for which the weight stays too:
// those than which no other loses no more and needs no more.
func (l *ladder) unlike() [][]option {
	ways := [][]option{nil}
	for _, o := range l.offers {
		var next [][]option
		for _, way := range ways {
			for _, c := range o.options {
				next = append(next, append(slices.Clip(way), c))
			}
		}
		ways = spread(undominated(next))
	}
	return slices.DeleteFunc(ways, func(way []option) bool {
		return !slices.ContainsFunc(way, func(c option) bool { return !c.same(way[0]) })
	})
}

// undominated are the ways than which no other is at least as good, by rising need of parameters.
func undominated(ways [][]option) [][]option {
	type sum struct {
		way          []option
		params, macs int64
		loss         float64
		kept         bool
	}
	sums := make([]sum, len(ways))
	for i, way := range ways {
		s := &sums[i]
		s.way = way
		for _, c := range way {
			s.macs, s.loss = s.macs+c.macs, s.loss+c.loss+c.rounding
			if s.kept = s.kept || c.method == nil; c.method != nil {
				s.params += c.params
			}
		}
	}
	slices.SortStableFunc(sums, func(a, b sum) int {
		return cmp.Or(cmp.Compare(a.params, b.params), cmp.Compare(a.macs, b.macs), cmp.Compare(a.loss, b.loss))
	})
	var best []sum
	var out [][]option
	for _, s := range sums {
		if !slices.ContainsFunc(best, func(b sum) bool { return b.macs <= s.macs && b.loss <= s.loss && (!b.kept || s.kept) }) {
			best, out = append(best, s), append(out, s.way)
		}
	}
	return out
}

// spread are so many ways at most, evenly out of all.
func spread(ways [][]option) [][]option {
	if len(ways) <= mostWays {
		return ways
	}
	out := make([][]option, mostWays)
	for i := range out {
		out[i] = ways[i*(len(ways)-1)/(mostWays-1)]
	}
	return out
}

// searchLadders states the choice as arithmetic: costs per target and losses.
func searchLadders(ls []ladder, targets []Target) []search.Ladder {
	out := make([]search.Ladder, len(ls))
	for i, l := range ls {
		out[i].Name = l.offers[0].site.Name
		for _, rung := range l.rungs {
			out[i].Rungs = append(out[i].Rungs, l.stated(rung, targets))
		}
	}
	return out
}

// stated is a rung as arithmetic.
func (l *ladder) stated(rung []option, targets []Target) search.Rung {
	r := search.Rung{Costs: make([]float64, len(targets))}
	for k, t := range targets {
		r.Costs[k] = float64(l.cost(rung, t.Resource))
	}
	for _, o := range rung {
		r.Loss += o.loss + o.rounding
	}
	return r
}

// cost is what a rung needs of a resource. The shared weight counts once, and
// stays where something else needs it.
func (l *ladder) cost(rung []option, r Resource) int64 {
	var sum int64
	switch r {
	case Bytes:
		return l.bytes(rung)
	case RunTime:
		for k, o := range rung {
			sum += l.forecast.nanos(&l.offers[k].site, o)
		}
		return sum
	}
	if r == MACs {
		for _, o := range rung {
			sum += o.macs
		}
		return sum
	}
	keep := l.offers[0].site.WeightStays
	for _, o := range rung {
		if o.method == nil {
			keep = true
		} else {
			sum += o.params
		}
	}
	if keep {
		sum += l.offers[0].site.Kernel.Params()
	}
	return sum
}

// bytes is what a rung takes of the file.
func (l *ladder) bytes(rung []option) int64 {
	numbers := l.cost(rung, Params)
	sum := int64(l.offers[0].site.Dtype.Bytes(int(numbers)))
	for k, o := range rung {
		if o.method != nil {
			sum += l.offers[k].overhead[o.method.Name]
		}
	}
	return sum
}

// fixed is what the model needs of a resource outside the ladders.
func (a *Analysis) fixed(ls []ladder, r Resource) float64 {
	rest := a.need(r)
	for i := range ls {
		rest -= ls[i].cost(ls[i].rungs[len(ls[i].rungs)-1], r)
	}
	return float64(rest)
}
