package compress

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// ladder is a set of sites that move together, because they share one weight:
// it may only be dropped when all of them stop using it.
type ladder struct {
	at     []int // numbers of the sites
	offers []*offer
	// rungs holds, per rung, the option of every offer.
	rungs [][]option
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
			out = append(out, ladder{})
		}
		out[i].at, out[i].offers = append(out[i].at, k), append(out[i].offers, o)
	}
	for i := range out {
		out[i].rungs = rungs(out[i].offers)
	}
	return out
}

// rungs pairs the options of sites that share a weight: the same method at the
// same rank in all of them.
func rungs(offers []*offer) [][]option {
	paired := make([][]option, len(offers[0].options))
	at := map[string]int{}
	for i, c := range offers[0].options {
		paired[i], at[c.key()] = []option{c}, i
	}
	for n, o := range offers[1:] {
		for _, c := range o.options {
			if i, both := at[c.key()]; both && len(paired[i]) == n+1 {
				paired[i] = append(paired[i], c)
			}
		}
	}
	return slices.DeleteFunc(paired, func(rung []option) bool { return len(rung) < len(offers) })
}

// searchLadders states the choice as arithmetic: costs per target and losses.
func searchLadders(ls []ladder, targets []Target) []search.Ladder {
	out := make([]search.Ladder, len(ls))
	for i, l := range ls {
		out[i].Name = l.offers[0].site.Name
		for _, rung := range l.rungs {
			r := search.Rung{Costs: make([]float64, len(targets))}
			for k, t := range targets {
				r.Costs[k] = float64(l.cost(rung, t.Resource))
			}
			for _, o := range rung {
				r.Loss += o.loss
			}
			out[i].Rungs = append(out[i].Rungs, r)
		}
	}
	return out
}

// cost is what a rung needs of a resource. The shared weight counts once, and
// stays where something else needs it.
func (l *ladder) cost(rung []option, r Resource) int64 {
	var sum int64
	if r == Bytes {
		return l.bytes(rung)
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
