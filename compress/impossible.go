package compress

import (
	"math"

	"github.com/onnx-compress/onnx-compress/decomp"
)

// impossible refuses bounds that no choice of ranks can meet, by the sites' shapes alone: at each site, the least that any method
// needs at the smallest ranks. It knows nothing of what methods refuse, so that a search may still find a bound out of reach. Of the
// file spare bytes are to be left free.
func (a *Analysis) impossible(o Options, bounds []Target, spare float64) error {
	if o.FromPlan != nil {
		return nil
	}
	of := &Offers{sites: make([]offer, len(a.Sites)), forecast: a.forecast}
	for i := range a.Sites {
		s := &a.Sites[i]
		of.sites[i] = offer{seen: &seen{site: *s}, options: append(a.smallest(i, o), dense(s))}
	}
	if bytesTarget(bounds) >= 0 {
		if err := of.weigh(a); err != nil {
			return err
		}
	}
	q := &quest{a: a, o: o, bounds: bounds, spare: spare}
	ls := of.ladders()
	for k, b := range q.budgets(ls) {
		if len(a.Axes) > 0 && bounds[k].Resource == RunTime {
			continue // the narrowest layers need not be the fastest
		}
		least := 0.
		for i := range ls {
			part := int64(math.MaxInt64)
			for _, rung := range ls[i].rungs {
				part = min(part, ls[i].cost(rung, bounds[k].Resource))
			}
			least += float64(part)
		}
		if len(a.Axes) > 0 {
			least -= float64(a.saved(a.leastWidths(o), bounds[k].Resource))
		}
		if least > b.Limit {
			return q.missed(k, b.Limit, least, ls)
		}
	}
	return nil
}

// leastWidths are the smallest that the axes may have.
func (a *Analysis) leastWidths(o Options) []int {
	out := a.units()
	for i := range out {
		out[i] = min(out[i], max(o.RankMultiple, 1))
	}
	return out
}

// smallest are the options of every method at the smallest of its ranks.
func (a *Analysis) smallest(site int, o Options) []option {
	var out []option
	s := &a.Sites[site]
	for i := range a.methods {
		m := &a.methods[i]
		if m.Accepts(s.Kernel) != nil {
			continue
		}
		ranks := m.Ranks(s.Kernel, max(o.RankMultiple, 1))
		if o.RankMultiple <= 1 && len(ranks) > 0 {
			one := make(decomp.Rank, len(ranks[0]))
			for k := range one {
				one[k] = 1
			}
			ranks = append(ranks, one)
		}
		for _, r := range ranks {
			if chain := m.Factors(s.Kernel, r); chain != nil {
				out = append(out, option{method: m, rank: r, macs: s.MACs(chain), params: s.NewParams(chain)})
			}
		}
	}
	return out
}
