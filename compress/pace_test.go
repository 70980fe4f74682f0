package compress

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
)

// paced is a model that was timed, with a choice of its own.
func pacedAt(width int, l *Latency) found {
	return found{model: &Assembled{Choice: &Choice{widths: []int{width}}, Latency: l}, last: &Choice{}}
}

// TestLate: a time is missed where three quarters of the turns say so, and where it was measured on the machine of the table; and it is
// needlessly short by the median. Slower than the original is late whatever was asked for.
func TestLate(t *testing.T) {
	share, absolute := Target{RunTime, 0.5, true}, Target{Resource: RunTime, Value: 2e6}
	here, there := &Foretold{Before: 4, After: 2}, &Foretold{Before: 4, After: 2, Elsewhere: "there"}
	for _, c := range []struct {
		name        string
		target      Target
		l           *Latency
		late, early bool
	}{
		{"met", share, &Latency{Low: 2, Speed: 2.05, High: 2.2, Before: 4, Foretold: here}, false, false},
		{"in doubt", share, &Latency{Low: 1.7, Speed: 1.8, High: 2, Before: 4, Foretold: here}, false, false},
		{"missed", share, &Latency{Low: 1.5, Speed: 1.6, High: 1.7, Before: 4, Foretold: here}, true, false},
		{"given away", share, &Latency{Low: 2.2, Speed: 2.3, High: 2.4, Before: 4, Foretold: here}, false, true},
		{"held down by another target", share, &Latency{Low: 2.2, Speed: 2.3, High: 2.4, Before: 4, Foretold: &Foretold{Before: 4, After: 1.7}}, false, false},
		{"nearly met", share, &Latency{Low: 1.9, Speed: 2.05, High: 2.4, Before: 4, Foretold: here}, false, false},
		{"met in milliseconds", absolute, &Latency{Low: 1.9, Speed: 2, High: 2.1, Before: 4, Foretold: here}, false, false},
		{"missed in milliseconds", absolute, &Latency{Low: 1.9, Speed: 2, High: 2.1, Before: 6, Foretold: here}, true, false},
		{"slower than the original", absolute, &Latency{Low: 0.8, Speed: 0.85, High: 0.9, Before: 1, Foretold: here}, true, false},
		{"elsewhere", share, &Latency{Low: 1, Speed: 1, High: 1, Before: 4, Foretold: there}, false, false},
		{"not timed", share, &Latency{Skipped: "no"}, false, false},
	} {
		p := pace{target: c.target}
		p.add(pacedAt(1, c.l), 1)
		if got := &p.tries[0]; got.late() != c.late || got.early() != c.early {
			t.Errorf("%s: late %v, early %v", c.name, got.late(), got.early())
		}
		_, err := p.end()
		if late := (*LateError)(nil); errors.As(err, &late) != c.late || late != nil && late.Limit > 1 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPace: whatever a model takes of what was foretold, the bound is corrected both ways; after at most three corrections the slowest
// of the models within the target is the one, and where there is none, the error has the fastest.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes func(bound float64) float64
		want  float64 // 0 where there is none
		tries int
	}{
		{"as foretold", func(b float64) float64 { return b }, 0.5, 1},
		{"a tenth more", func(b float64) float64 { return 1.1 * b }, 0.5, 2},
		{"a third less", func(b float64) float64 { return b / 1.5 }, 0.5, 2},
		{"a constant more", func(b float64) float64 { return 0.2 + b*0.8 }, 0.5, 4},
		{"a step", func(b float64) float64 {
			if b < 0.6 {
				return 0.4
			}
			return 0.7
		}, 0.4, 4},
		{"never", func(float64) float64 { return 0.8 }, 0, 4},
	} {
		p := pace{target: Target{RunTime, 0.5, true}}
		for share, more := 1.0, true; more; share, more = p.next() {
			took := c.takes(0.5 * share)
			l := &Latency{Low: 0.99 / took, Speed: 1 / took, High: 1.01 / took, Before: 2, After: 2 * took, Foretold: &Foretold{Before: 2, After: share}}
			p.add(pacedAt(len(p.tries), l), share)
		}
		best, err := p.end()
		if len(p.tries) > c.tries || (err != nil) != (c.want == 0) {
			t.Errorf("%s: %d tries, %v", c.name, len(p.tries), err)
		}
		if late := (*LateError)(nil); errors.As(err, &late) && (math.Abs(late.Measured-0.8) > 1e-9 || late.Corrections != 3) {
			t.Errorf("%s: %+v", c.name, late)
		}
		if err != nil {
			continue
		}
		l := best.model.Latency
		if got := 1 / l.Speed; math.Abs(got-c.want) > hasty*c.want {
			t.Errorf("%s: it takes %g, want %g", c.name, got, c.want)
		}
		if len(l.Attempts) != len(p.tries) || l.Attempts[0].Bound != 0.5 || math.Abs(l.Attempts[0].Foretold-0.5) > 1e-9 {
			t.Errorf("%s: %+v", c.name, l.Attempts)
		}
	}
}

// TestSameAgain: where another bound gives the same model, there is no further search.
func TestSameAgain(t *testing.T) {
	p := pace{target: Target{RunTime, 0.5, true}}
	for range 2 {
		p.add(pacedAt(7, &Latency{Low: 3, Speed: 3, High: 3, Before: 2, Foretold: &Foretold{Before: 2, After: 1}}), 1)
	}
	if share, more := p.next(); more {
		t.Error(share)
	}
}

// TestCorrected: a table that foretells too little of what ranks save gives a model that is faster than it need be; the search is made
// again, and what is written is one of the models that were timed.
func TestCorrected(t *testing.T) {
	env := withRuntime(t)
	m, table := trained(t, env, CostOptions{Methods: []string{"svd", "spatial"}})
	points := slices.Clone(table.Points)
	for i := range points {
		points[i].Micros /= 3
	}
	timid, err := costs.New(table.Machine, table.PerNode, table.Models, points)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Methods: []string{"svd", "spatial"}, Costs: timid, Targets: []Target{{RunTime, 0.9, true}}, AcceptDamage: true}
	result, err := Run(context.Background(), env, m, to(t, o))
	if errors.As(err, new(*LateError)) {
		t.Skip(err) // others have the machine
	}
	if err != nil {
		t.Fatal(err)
	}
	l := result.Latency
	if len(l.Attempts) == 0 || len(l.Attempts) > 1+corrections {
		t.Fatalf("%+v", l)
	}
	for i, a := range l.Attempts {
		t.Logf("%+v", a)
		if i > 0 && l.Attempts[0].Measured < 0.9*(1-2*hasty) && a.Bound <= l.Attempts[0].Bound {
			t.Errorf("%+v after %+v", a, l.Attempts[0])
		}
	}
	if !slices.ContainsFunc(l.Attempts, func(a Attempt) bool { return a.Measured == 1/l.Speed }) {
		t.Errorf("%+v", l)
	}
	if reached := result.Targets[0]; float64(reached.Reached) != math.Round(1e6*l.After) || reached.Original != int64(math.Round(1e6*l.Before)) {
		t.Errorf("%+v of %+v", reached, l)
	}
}
