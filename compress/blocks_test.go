package compress

import (
	"context"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/search"
)

// TestHalfBlocks: widths fill whole blocks of channels, halves where whole ones lose much more or too much is left of them, and nothing
// where neither is within the bounds.
func TestHalfBlocks(t *testing.T) {
	unmet := -1.0
	for name, c := range map[string]struct {
		whole, half float64 // what is lost
		multiple    int
		bound       Resource
		steps       []int // on offer at axes of 16 and of 64 units
	}{
		"about as good":  {whole: 10, half: 9, bound: MACs, steps: []int{8, 16}},
		"much worse":     {whole: 10, half: 8, bound: MACs, steps: []int{8, 8}},
		"out of reach":   {whole: unmet, half: 8, bound: MACs, steps: []int{8, 8}},
		"both":           {whole: unmet, half: unmet, bound: MACs, steps: []int{1, 1}},
		"beside a time":  {whole: 10, half: 1, bound: RunTime, steps: []int{8, 16}},
		"others wanted":  {whole: 10, half: 1, bound: MACs, multiple: 4, steps: []int{4, 4}},
		"others, no way": {whole: unmet, half: 1, bound: MACs, multiple: 4, steps: []int{4, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			of := &Offers{}
			for _, units := range []int{16, 64} {
				of.axes = append(of.axes, axisOffer{axis: &rewrite.Axis{Units: units}, order: inOrder(units)})
			}
			q := &quest{env: in(t), a: &Analysis{}, o: Options{RankMultiple: c.multiple}, bounds: []Target{{Resource: c.bound, Value: 1}}}
			choose := func(_ context.Context, _ *stage, of *Offers) (standing, error) {
				s, lost := standing{offers: of}, c.whole
				if of.HalfBlocks {
					lost = c.half
				}
				if s.plan.Loss = lost; lost == unmet && !of.AnyRank {
					s.unmet = &search.InfeasibleError{}
				}
				return s, nil
			}
			s, err := q.inBlocks(t.Context(), of, choose)
			if err != nil {
				t.Fatal(err)
			}
			var steps []int
			for i := range of.axes {
				steps = append(steps, s.offers.widths(i, q.o)[0])
			}
			if !slices.Equal(steps, c.steps) {
				t.Errorf("steps of %v, want %v", steps, c.steps)
			}
		})
	}
}

// TestCorrectAxes: an axis has the ratio that was measured of it, others the median, also when more are measured; sites are corrected once.
func TestCorrectAxes(t *testing.T) {
	of := &Offers{sites: []offer{{ratio: 1, seen: &seen{sensitive: true}, options: []option{{loss: 1}}}}}
	for _, name := range []string{"a", "b", "c"} {
		of.axes = append(of.axes, axisOffer{axis: &rewrite.Axis{Name: name, Units: 2}, losses: []float64{0, 1, 0}, ratio: 1})
	}
	measured := func(of *Offers, axis int, change float64) *Offers {
		c := of.axes[axis].predicted(1)
		if !c.measured(change) {
			t.Fatalf("a change of %g corrects nothing", change)
		}
		return of.corrected([]Correction{c})
	}
	one := measured(of, 0, 4)
	two := measured(one, 1, 9)
	for _, c := range []struct {
		of   *Offers
		want []float64
	}{{of, []float64{1, 1, 1}}, {one, []float64{4, 4, 4}}, {two, []float64{4, 9, 6}}} {
		for i, want := range c.want {
			if got := c.of.axes[i].loss(1); got != want {
				t.Errorf("after %d corrections axis %s loses %g, want %g", len(c.of.Corrections), c.of.axes[i].axis.Name, got, want)
			}
		}
	}
	if one.sites[0].ratio != 4 || two.sites[0].ratio != 4 {
		t.Errorf("ratios of the site %g and %g, want 4 twice", one.sites[0].ratio, two.sites[0].ratio)
	}
}

// TestChosenIsMeasured: where a choice whose axes were measured gives way to another one, the axes of that are measured too, each once.
func TestChosenIsMeasured(t *testing.T) {
	needRuntime(t)
	o := narrow(Options{Targets: []Target{share(MACs, 0.8)}, RankMultiple: 2}).WithDefaults()
	w := factoredIn(t, in(t), coupled(t), o)
	q := &quest{env: w.env, a: w.a, o: w.o, bounds: o.Targets}
	s, err := q.seek(t.Context(), w.of)
	if err != nil {
		t.Fatal(err)
	}
	choices := 0
	half := func(of *Offers) standing { // one axis after the other has half of its units
		s := s
		s.offers, s.widths = of, q.a.units()
		s.widths[min(choices, 1)] /= 2
		choices++
		return s
	}
	s, err = q.surer(t.Context(), half(w.of), func(_ context.Context, of *Offers) (standing, error) { return half(of), nil })
	if err != nil {
		t.Fatal(err)
	}
	var axes []string
	for _, c := range s.offers.Corrections {
		axes = append(axes, c.Axis)
		if want := (decomp.Rank{q.a.Axes[len(axes)-1].Units / 2}); !slices.Equal(c.Rank, want) {
			t.Errorf("%s was measured at %v, want %v", c.Axis, c.Rank, want)
		}
	}
	if want := []string{q.a.Axes[0].Name, q.a.Axes[1].Name}; !slices.Equal(axes, want) || choices != 3 {
		t.Errorf("in %d choices %v were measured, want %v", choices, axes, want)
	}
}
