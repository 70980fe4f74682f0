package compress

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/search"
)

// margin is what the other ladders leave to one: of each budget what is left when all others have their cheapest rung, and of the loss of
// the choice at hand what is left when all others lose the least they can.
type margin struct {
	limits []float64
	costs  [][]float64 // least of each ladder, by budget
	total  []float64   // of all ladders
	losses []float64   // least of each ladder
	lost   float64     // of all ladders
	loss   float64     // of the choice
}

// margin is that of a choice; nil where widths are chosen too, which leave other margins.
func (q *quest) margin(s *standing) *margin {
	if q.both() {
		return nil
	}
	out := &margin{total: make([]float64, len(q.bounds)), loss: s.plan.Loss}
	for _, b := range q.budgets(s.ladders) {
		out.limits = append(out.limits, b.Limit)
	}
	for i := range s.ladders {
		costs, loss := slices.Repeat([]float64{math.Inf(1)}, len(q.bounds)), math.Inf(1)
		note := func(r search.Rung) {
			loss = min(loss, r.Loss)
			for k, c := range r.Costs {
				costs[k] = min(costs[k], c)
			}
		}
		for _, r := range s.stated[i].Rungs {
			note(r)
		}
		for _, rung := range s.ladders[i].open {
			note(s.ladders[i].stated(rung, q.bounds))
		}
		out.costs, out.losses = append(out.costs, costs), append(out.losses, loss)
		out.lost += loss
		for k, c := range costs {
			out.total[k] += c
		}
	}
	return out
}

// overRounding is by how much sums may be beside each other for rounding alone, as a share.
const overRounding = 1e-9

// fits tells whether there may be a choice within the budgets that has a rung at ladder i; so may any where there is no margin.
func (m *margin) fits(i int, rung search.Rung) bool {
	if m == nil {
		return true
	}
	for k, c := range rung.Costs {
		if m.total[k]-m.costs[i][k]+c > m.limits[k]+overRounding*m.total[k] {
			return false
		}
	}
	return true
}

// helps tells whether a choice that has a rung at ladder i may lose less than the one at hand.
func (m *margin) helps(i int, rung search.Rung) bool {
	return m == nil || m.lost-m.losses[i]+rung.Loss <= m.loss*(1+overRounding)
}
