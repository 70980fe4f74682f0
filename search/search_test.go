package search_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/search"
)

// site returns a ladder like that of a layer: ranks from 1 up in equal steps, a spectrum that falls at its own pace, and
// as last rung the layer left alone. The second cost is another multiple of the rank, as parameters are to MACs.
func site(r *rand.Rand, name string, rungs, budgets int) search.Ladder {
	l := search.Ladder{Name: name}
	unit, decay := float64(1+r.IntN(4000)), math.Exp(-6*r.Float64()/float64(rungs))
	other, energy := float64(1+r.IntN(50)), math.Pow(10, 4*r.Float64()-2)
	tail := make([]float64, rungs)
	for i, sigma := rungs-2, 1.0; i >= 0; i-- {
		tail[i] = tail[i+1] + energy*math.Pow(decay, float64(i))*(0.5+r.Float64())*sigma
	}
	for i := range rungs {
		costs := []float64{unit * float64(i+1), other * float64(i+1), math.Ceil(20 * math.Pow(float64(i+1), 0.6))}[:budgets]
		l.Rungs = append(l.Rungs, search.Rung{Costs: costs, Loss: tail[i]})
	}
	return l
}

func sites(seed uint64, count, rungs, budgets int) []search.Ladder {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]search.Ladder, count)
	for k := range out {
		out[k] = site(r, fmt.Sprintf("site%d", k), rungs, budgets)
	}
	return out
}

// scattered returns a ladder without any order: dominated rungs, repeated ones, far off any hull.
func scattered(r *rand.Rand, name string, rungs, budgets int) search.Ladder {
	l := search.Ladder{Name: name}
	for range rungs {
		costs := make([]float64, budgets)
		for b := range costs {
			costs[b] = float64(r.IntN(12))
		}
		l.Rungs = append(l.Rungs, search.Rung{Costs: costs, Loss: float64(r.IntN(20)) / 4})
	}
	return l
}

// full returns the cost of leaving every site alone.
func full(ladders []search.Ladder, b int) float64 {
	sum := 0.0
	for _, l := range ladders {
		sum += l.Rungs[len(l.Rungs)-1].Costs[b]
	}
	return sum
}

// check holds a plan to what its fields say of it.
func check(t *testing.T, ladders []search.Ladder, budgets []search.Budget, p search.Plan) {
	t.Helper()
	if len(p.Rungs) != len(ladders) || len(p.Costs) != len(budgets) || len(p.Multipliers) != len(budgets) {
		t.Fatalf("plan of %d rungs, %d costs, %d multipliers for %d ladders and %d budgets", len(p.Rungs), len(p.Costs), len(p.Multipliers), len(ladders), len(budgets))
	}
	loss, costs := 0.0, make([]float64, len(budgets))
	for k, l := range ladders {
		loss += l.Rungs[p.Rungs[k]].Loss
		for b, c := range l.Rungs[p.Rungs[k]].Costs {
			costs[b] += c
		}
	}
	for b, budget := range budgets {
		if costs[b] > budget.Limit {
			t.Errorf("costs %g, above the limit %g", costs[b], budget.Limit)
		}
		if m := p.Multipliers[b]; m < 0 || math.IsNaN(m) || math.IsInf(m, 0) {
			t.Errorf("multiplier %g", m)
		}
	}
	if loss != p.Loss || !reflect.DeepEqual(costs, p.Costs) && len(costs) > 0 {
		t.Errorf("plan says loss %g and costs %v, its rungs have %g and %v", p.Loss, p.Costs, loss, costs)
	}
	gap := 0.0
	if loss > 0 {
		gap = (loss - p.Bound) / loss
	}
	if p.Bound > loss || math.Abs(gap-p.Gap) > 1e-15 || math.IsNaN(p.Bound) {
		t.Errorf("loss %g, bound %g, gap %g", loss, p.Bound, p.Gap)
	}
	// The bound must hold for the multipliers that it is said to come from, or be the proved optimum.
	dual := 0.0
	for _, l := range ladders {
		least := math.Inf(1)
		for _, r := range l.Rungs {
			v := r.Loss
			for b, c := range r.Costs {
				v += p.Multipliers[b] * c
			}
			least = min(least, v)
		}
		dual += least
	}
	for b, budget := range budgets {
		dual -= p.Multipliers[b] * budget.Limit
	}
	if p.Bound != p.Loss && math.Abs(dual-p.Bound) > 1e-9*loss {
		t.Errorf("bound %g, but the multipliers give %g", p.Bound, dual)
	}
	if dual > loss*(1+1e-9)+1e-12 {
		t.Errorf("the multipliers give a bound %g above the loss %g", dual, loss)
	}
}

// bruteForce returns the least loss of all plans, and false where none is within the budgets.
func bruteForce(ladders []search.Ladder, budgets []search.Budget) (float64, bool) {
	best := math.Inf(1)
	costs := make([]float64, len(budgets))
	var visit func(k int, loss float64)
	visit = func(k int, loss float64) {
		if k == len(ladders) {
			for b := range budgets {
				if costs[b] > budgets[b].Limit {
					return
				}
			}
			best = min(best, loss)
			return
		}
		for _, r := range ladders[k].Rungs {
			for b, c := range r.Costs {
				costs[b] += c
			}
			visit(k+1, loss+r.Loss)
			for b, c := range r.Costs {
				costs[b] -= c
			}
		}
	}
	visit(0, 0)
	return best, !math.IsInf(best, 1)
}

// problem draws ladders and budgets that are small enough to try every plan.
func problem(r *rand.Rand) ([]search.Ladder, []search.Budget) {
	budgetCount, count := 1+r.IntN(3), 1+r.IntN(5)
	var ladders []search.Ladder
	for k := range count {
		ladders = append(ladders, scattered(r, fmt.Sprint(k), 1+r.IntN(6), budgetCount))
	}
	var budgets []search.Budget
	for b := range budgetCount {
		budgets = append(budgets, search.Budget{Name: fmt.Sprint(b), Limit: float64(r.IntN(8*count + 1))})
	}
	return ladders, budgets
}

func TestBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 3000 {
		ladders, budgets := problem(r)
		want, possible := bruteForce(ladders, budgets)
		p, err := search.Choose(ladders, budgets, search.Options{})
		var infeasible *search.InfeasibleError
		switch {
		case errors.As(err, &infeasible):
			if possible {
				t.Errorf("case %d with %d budgets: %v, but there is a plan of loss %g", n, len(budgets), err, want)
			}
			if infeasible.Reachable <= infeasible.Limit {
				t.Errorf("case %d: %v: reachable", n, err)
			}
		case err != nil:
			t.Fatalf("case %d: %v", n, err)
		case !possible:
			t.Fatalf("case %d: a plan where there is none", n)
		default:
			check(t, ladders, budgets, p)
			if p.Loss > want || p.Loss < want {
				t.Errorf("case %d: loss %g, the least is %g (bound %g)", n, p.Loss, want, p.Bound)
			}
		}
	}
}

// leastLoss solves the problem with one budget and integer costs exactly, by dynamic programming over the cost.
func leastLoss(ladders []search.Ladder, limit int) float64 {
	best := make([]float64, limit+1)
	for _, l := range ladders {
		next := make([]float64, limit+1)
		for c := range next {
			next[c] = math.Inf(1)
			for _, r := range l.Rungs {
				if before := c - int(r.Costs[0]); before >= 0 {
					next[c] = min(next[c], best[before]+r.Loss)
				}
			}
		}
		best = next
	}
	return best[limit]
}

// TestDynamicProgramming compares with the exact optimum where the sites are too many to try all plans. The plan may
// miss it by 1e-4 of its loss at most.
func TestDynamicProgramming(t *testing.T) {
	exact := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		count, rungs := 5+r.IntN(16), 2+r.IntN(30)
		ladders := sites(seed, count, rungs, 1)
		unit := full(ladders, 0) / 3000 // costs in about 3,000 steps
		least := 0.0
		for _, l := range ladders {
			for i := range l.Rungs {
				l.Rungs[i].Costs[0] = math.Ceil(l.Rungs[i].Costs[0] / unit)
			}
			least += l.Rungs[0].Costs[0]
		}
		for _, fraction := range []float64{0.2, 0.5, 0.8} {
			limit := int(least + fraction*(full(ladders, 0)-least))
			budgets := []search.Budget{{Name: "macs", Limit: float64(limit)}}
			p, err := search.Choose(ladders, budgets, search.Options{})
			if err != nil {
				t.Fatal(err)
			}
			check(t, ladders, budgets, p)
			want := leastLoss(ladders, limit)
			if p.Bound > want*(1+1e-12) {
				t.Errorf("seed %d at %g: bound %g above the least loss %g", seed, fraction, p.Bound, want)
			}
			if p.Loss > want*(1+1e-4) {
				t.Errorf("seed %d at %g: loss %g, the least is %g (gap %g)", seed, fraction, p.Loss, want, p.Gap)
			}
			if p.Loss <= want*(1+1e-12) {
				exact++
			}
			staged, err := search.Choose(ladders, budgets, search.Options{Method: "composite"})
			if err != nil {
				t.Fatal(err)
			}
			check(t, ladders, budgets, staged)
			if staged.Bound > want*(1+1e-12) || staged.Loss > want*(1+1e-3) {
				t.Errorf("seed %d at %g: composite has loss %g and bound %g, the least is %g", seed, fraction, staged.Loss, staged.Bound, want)
			}
		}
	}
	t.Logf("%d of 180 plans are the optimum", exact)
	if exact < 160 {
		t.Errorf("only %d of 180 plans are the optimum", exact)
	}
}

// TestBudgetIsUsed wants the plan of a small residual network, all ranks open, within 1 % below its budget.
func TestBudgetIsUsed(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	var ladders []search.Ladder
	total := 0.0
	add := func(out, in, positions int) { // svd ranks of an out × in·9 kernel up to break-even, then the kernel itself
		l, k, dense := search.Ladder{Name: fmt.Sprintf("conv%d", len(ladders))}, in*9, float64(out*in*9*positions)
		loss := 1.0
		for rank := 1; rank*(out+k) < out*k; rank++ {
			loss *= 0.75 + 0.2*r.Float64()
			l.Rungs = append(l.Rungs, search.Rung{Costs: []float64{float64(rank * (out + k) * positions)}, Loss: loss})
		}
		l.Rungs = append(l.Rungs, search.Rung{Costs: []float64{dense}})
		ladders, total = append(ladders, l), total+dense
	}
	add(16, 3, 1024)
	for range 6 {
		add(16, 16, 1024)
	}
	add(32, 16, 256)
	for range 5 {
		add(32, 32, 256)
	}
	add(64, 32, 64)
	for range 5 {
		add(64, 64, 64)
	}
	for _, fraction := range []float64{0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95} {
		budgets := []search.Budget{{Name: "macs", Limit: fraction * total}}
		p, err := search.Choose(ladders, budgets, search.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, ladders, budgets, p)
		if p.Costs[0] < 0.99*fraction*total {
			t.Errorf("at %g: cost %g is more than 1 %% below the limit", fraction, p.Costs[0]/total)
		}
		if p.Gap > 1e-3 {
			t.Errorf("at %g: gap %g", fraction, p.Gap)
		}
	}
}

// TestSeveralBudgets wants all budgets kept, a bound near the plan, and no plan worse than with more to spend.
func TestSeveralBudgets(t *testing.T) {
	for seed := range uint64(8) {
		ladders := sites(seed, 20, 60, 3)
		for _, f := range [][2]float64{{0.5, 0.5}, {0.5, 0.9}, {0.9, 0.4}, {0.3, 0.35}, {0.5, 1}, {1, 0.5}} {
			budgets := []search.Budget{
				{Name: "macs", Limit: f[0] * full(ladders, 0)},
				{Name: "params", Limit: f[1] * full(ladders, 1)},
				{Name: "loose", Limit: 0.999 * full(ladders, 2)},
			}
			var plans []search.Plan
			for n := range 3 {
				p, err := search.Choose(first(ladders, n+1), budgets[:n+1], search.Options{})
				if err != nil {
					t.Fatal(err)
				}
				check(t, first(ladders, n+1), budgets[:n+1], p)
				if p.Gap > 5e-3 {
					t.Errorf("seed %d at %v, %d budgets: gap %g", seed, f, n+1, p.Gap)
				}
				plans = append(plans, p)
			}
			one, two, three := plans[0], plans[1], plans[2]
			if two.Loss < one.Bound*(1-1e-9) {
				t.Errorf("seed %d at %v: loss %g with both budgets, at least %g with one", seed, f, two.Loss, one.Bound)
			}
			if f[1] == 1 && two.Loss > one.Loss*(1+1e-3) || three.Loss > two.Loss*(1+1e-3) {
				t.Errorf("seed %d at %v: losses %g, %g, %g: a budget that does not bind made the plan worse", seed, f, one.Loss, two.Loss, three.Loss)
			}
		}
	}
}

// TestPolished wants no single rung and no pair of rungs left to exchange, where the plans are too many for a proof.
func TestPolished(t *testing.T) {
	unproved := 0
	for _, seed := range []uint64{0, 6, 7} {
		ladders := sites(seed, 200, 60, 2)
		budgets := []search.Budget{{Name: "macs", Limit: 0.45 * full(ladders, 0)}, {Name: "params", Limit: 0.42 * full(ladders, 1)}}
		p, err := search.Choose(ladders, budgets, search.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, ladders, budgets, p)
		if p.Gap > 1e-3 {
			t.Errorf("seed %d: gap %g", seed, p.Gap)
		}
		if p.Gap > 0 {
			unproved++
		}
		for a, l := range ladders {
			for b, m := range ladders[:a+1] {
				if gain := bestExchange(l, m, a == b, p, a, b, budgets); gain > 1e-11*p.Loss {
					t.Errorf("seed %d: exchanging the rungs of ladders %d and %d gains %g of %g", seed, a, b, gain, p.Loss)
				}
			}
		}
	}
	if unproved == 0 {
		t.Error("all plans were proved: the test is too easy to show anything")
	}
}

// bestExchange returns the most that changing the rungs of two ladders (of one, when they are the same) takes off
// the loss within the budgets.
func bestExchange(l, m search.Ladder, same bool, p search.Plan, a, b int, budgets []search.Budget) float64 {
	best := 0.0
	nowL, nowM := l.Rungs[p.Rungs[a]], m.Rungs[p.Rungs[b]]
	for _, x := range l.Rungs {
		for _, y := range m.Rungs {
			gain := nowL.Loss - x.Loss
			if !same {
				gain += nowM.Loss - y.Loss
			}
			fits := gain > best
			for i := 0; fits && i < len(budgets); i++ {
				cost := p.Costs[i] + x.Costs[i] - nowL.Costs[i]
				if !same {
					cost += y.Costs[i] - nowM.Costs[i]
				}
				fits = cost <= budgets[i].Limit
			}
			if fits {
				best = gain
			}
		}
	}
	return best
}

// first returns the ladders with only the first n of their costs.
func first(ladders []search.Ladder, n int) []search.Ladder {
	out := make([]search.Ladder, len(ladders))
	for k, l := range ladders {
		out[k].Name = l.Name
		for _, r := range l.Rungs {
			out[k].Rungs = append(out[k].Rungs, search.Rung{Costs: r.Costs[:n], Loss: r.Loss})
		}
	}
	return out
}

func rungs(pairs ...float64) []search.Rung {
	var out []search.Rung
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, search.Rung{Costs: []float64{pairs[i]}, Loss: pairs[i+1]})
	}
	return out
}

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		ladders []search.Ladder
		limit   float64
		want    []int
	}{
		"no ladders":                      {nil, 0, []int{}},
		"all fits":                        {[]search.Ladder{{Rungs: rungs(1, 5, 9, 0)}, {Rungs: rungs(2, 3, 7, 0)}}, 16, []int{1, 1}},
		"nothing for free":                {[]search.Ladder{{Rungs: rungs(1, 5, 9, 0)}}, 8.999, []int{0}},
		"leaves alone what gains nothing": {[]search.Ladder{{Rungs: rungs(9, 0, 9, 0, 9, 0)}}, 9, []int{2}},
		"takes what costs nothing":        {[]search.Ladder{{Rungs: rungs(4, 0, 9, 0)}}, 9, []int{0}},
		"skips the dominated":             {[]search.Ladder{{Rungs: rungs(1, 5, 4, 7, 3, 4, 9, 0)}}, 5, []int{2}},
		"off the hull":                    {[]search.Ladder{{Rungs: rungs(0, 10, 5, 6, 10, 0)}}, 6, []int{1}},
		"exchange of a pair":              {[]search.Ladder{{Rungs: rungs(0, 6, 6, 0)}, {Rungs: rungs(0, 5, 5, 0)}, {Rungs: rungs(0, 5, 5, 0)}}, 10, []int{0, 1, 1}},
		"free of cost":                    {[]search.Ladder{{Rungs: rungs(0, 1, 0, 0.5)}}, 0, []int{1}},
		"costs are fractions":             {[]search.Ladder{{Rungs: rungs(0.1, 1, 0.7, 0)}, {Rungs: rungs(0.2, 1, 0.7, 0)}}, 0.1 + 0.7, []int{0, 1}},
	} {
		budgets := []search.Budget{{Name: "macs", Limit: c.limit}}
		p, err := search.Choose(c.ladders, budgets, search.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		check(t, c.ladders, budgets, p)
		if !reflect.DeepEqual(p.Rungs, c.want) {
			t.Errorf("%s: rungs %v, wanted %v", name, p.Rungs, c.want)
		}
	}
	if p, err := search.Choose([]search.Ladder{{Rungs: []search.Rung{{Loss: 3}, {Loss: 2}, {Loss: 4}}}}, nil, search.Options{}); err != nil || p.Rungs[0] != 1 {
		t.Errorf("no budgets: %v, %v", p.Rungs, err)
	}
}

func TestInfeasible(t *testing.T) {
	ladders := []search.Ladder{{Rungs: rungs(3, 5, 9, 0)}, {Rungs: rungs(2, 3, 7, 0)}}
	_, err := search.Choose(ladders, []search.Budget{{Name: "macs", Limit: 4}}, search.Options{})
	var infeasible *search.InfeasibleError
	if !errors.As(err, &infeasible) || *infeasible != (search.InfeasibleError{Budget: "macs", Limit: 4, Reachable: 5}) {
		t.Errorf("got %v", err)
	}
	// Either budget alone can be met, both cannot.
	torn := []search.Ladder{{Rungs: []search.Rung{{Costs: []float64{0, 5}}, {Costs: []float64{5, 0}}}}}
	_, err = search.Choose(torn, []search.Budget{{Name: "macs", Limit: 1}, {Name: "params", Limit: 2}}, search.Options{})
	if !errors.As(err, &infeasible) || infeasible.Reachable <= infeasible.Limit {
		t.Errorf("got %v", err)
	}
}

func TestRefuses(t *testing.T) {
	one := func(cost, loss float64) []search.Ladder {
		return []search.Ladder{{Name: "conv1", Rungs: []search.Rung{{Costs: []float64{1}, Loss: 1}, {Costs: []float64{cost}, Loss: loss}}}}
	}
	macs := []search.Budget{{Name: "macs", Limit: 9}}
	for name, c := range map[string]struct {
		ladders []search.Ladder
		budgets []search.Budget
		want    string
	}{
		"loss NaN":      {one(1, math.NaN()), macs, "rung 1 of ladder conv1 has the loss NaN"},
		"loss infinite": {one(1, math.Inf(1)), macs, "rung 1 of ladder conv1 has the loss +Inf"},
		"loss huge":     {one(1, 1e301), macs, "rung 1 of ladder conv1 has the loss 1e+301"},
		"loss negative": {one(1, -1e-9), macs, "rung 1 of ladder conv1 has the loss -1e-09"},
		"cost NaN":      {one(math.NaN(), 1), macs, "rung 1 of ladder conv1 has the cost NaN"},
		"cost infinite": {one(math.Inf(1), 1), macs, "rung 1 of ladder conv1 has the cost +Inf"},
		"cost negative": {one(-1, 1), macs, "rung 1 of ladder conv1 has the cost -1"},
		"no rungs":      {[]search.Ladder{{Name: "conv1"}}, macs, "ladder conv1 has no rungs"},
		"costs missing": {one(1, 1), append(macs, search.Budget{Name: "params"}), "1 costs for 2 budgets"},
		"limit NaN":     {one(1, 1), []search.Budget{{Name: "macs", Limit: math.NaN()}}, "budget macs has the limit NaN"},
		"costs add up":  {append(one(1e308, 0), one(1e308, 0)...), macs, "more than a float64 holds"},
	} {
		if _, err := search.Choose(c.ladders, c.budgets, search.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, wanted %q", name, err, c.want)
		}
	}
}

func TestDeterministic(t *testing.T) {
	ladders := sites(3, 30, 100, 2)
	budgets := []search.Budget{{Name: "macs", Limit: 0.5 * full(ladders, 0)}, {Name: "params", Limit: 0.55 * full(ladders, 1)}}
	first, err := search.Choose(ladders, budgets, search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, err := search.Choose(ladders, budgets, search.Options{}); err != nil || !reflect.DeepEqual(again, first) {
			t.Fatalf("another plan from the same input: %v", err)
		}
	}
}
