package calib

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// heading says what was summed, of sites that are calibrated together.
type heading struct {
	Cut      cut
	Part     Part
	None     string // why no gradients were used where they could have been, empty in the common case
	Readings []reading
	Sites    []siteForm
}

// siteForm says what belongs to a site.
type siteForm struct {
	Name    string
	Reading int      // what it reads
	Shape   []int    // of its output for the first sample, without the batch axis; nil where there was none
	Feeling *feeling // nil without probes
}

// account is what of the sums decides about others, and what was found out beside them.
type account struct {
	Signs []signs
	// Scales are of the sites that no gradient tells of, by what perturbing their outputs showed.
	Scales map[int]scale
	// Refused says why these cannot be had, empty where they can.
	Refused string
	// Blame names the node that makes the first number that is not finite, empty where it was not found or not looked for.
	Blame string
}

// scale is G = g·I or, where that is pulled back to the inputs, g·WᵀW.
type scale struct {
	G      float64
	pulled *linalg.Matrix
}

// lacks tells whether no gradient tells of a site.
func (a *account) lacks(i int) bool { return a.Signs[i].Positions == 0 || !a.Signs[i].Finite }

// left are the sites that no gradient tells of.
func (a *account) left() (out []int) {
	for i := range a.Signs {
		if a.lacks(i) {
			out = append(out, i)
		}
	}
	return out
}

// insensitive says why there are no sensitivities at all, empty where there are: losses of sites with them and without could not be
// added up. Where all are zero, as behind a sigmoid that is saturated on every sample, they tell no site from another, and whatever is
// cut would seem to lose nothing.
func (a *account) insensitive() string {
	if a.Refused != "" && len(a.left()) > 0 {
		return a.Refused
	}
	for i := range a.Signs {
		if a.lacks(i) && a.Scales[i].G != 0 || !a.lacks(i) && a.Signs[i].Moved {
			return ""
		}
	}
	return "no output moves on any sample, whatever the sites give"
}

// of is the account of some of the sites.
func (a *account) of(sites []int) account {
	out := account{Refused: a.Refused, Blame: a.Blame}
	for k, i := range sites {
		if len(a.Signs) > 0 {
			out.Signs = append(out.Signs, a.Signs[i])
		}
		if one, ok := a.Scales[i]; ok {
			if out.Scales == nil {
				out.Scales = map[int]scale{}
			}
			out.Scales[k] = one
		}
	}
	return out
}

// take looks at what a sweep has summed, and finds out what only running the model tells: whom to blame for numbers that are not finite,
// and sensitivities that gradients did not give, on the given runs.
func (a *account) take(ctx context.Context, c *collector, blame func() string, runs func() (*feed.Feed, error), workers int) error {
	if slices.ContainsFunc(c.stations, func(st *station) bool { return !st.finite() }) {
		a.Blame = blame()
	}
	for _, s := range c.sensors {
		all := signs{Finite: true}
		for _, n := range s.seen.tree.Nodes() {
			all = all.and(n.Value.signs())
		}
		a.Signs = append(a.Signs, all)
	}
	left := a.left()
	if len(left) == 0 {
		return nil
	}
	feed, err := runs()
	if err != nil {
		return err
	}
	var sites []*rewrite.Site
	for _, i := range left {
		sites = append(sites, c.sensors[i].site)
	}
	scales, err := c.gradients.perturb(ctx, sites, feed, workers, c.o.Seed)
	if errors.Is(err, errNoOutput) || errors.Is(err, errSizes) || errors.Is(err, errNoKernel) {
		a.Refused = err.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("measuring sensitivities: %w", err)
	}
	a.Scales = map[int]scale{}
	for k, i := range left {
		one := scale{G: scales[k]}
		if through := c.sensors[i].through; through != nil {
			if one.pulled, err = through.scaled(c.o.Backend, one.G); err != nil {
				return err
			}
		}
		a.Scales[i] = one
	}
	return nil
}

// finite tells whether all that a station has summed are finite numbers.
func (st *station) finite() bool {
	for _, n := range st.seen.tree.Nodes() {
		for _, r := range n.Value.kept {
			for _, v := range r.columns {
				if v-v != 0 {
					return false
				}
			}
		}
		for _, row := range n.Value.numbers() {
			for _, v := range row {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return false
				}
			}
		}
	}
	return true
}

// roots have what all samples showed.
type roots interface {
	// read returns what sites that read the same saw, as statistics of none of them yet.
	read(reading int) (Stats, error)
	// felt returns the second moments of what the outputs felt of a site, nil where there are none.
	felt(site int) ([]*linalg.Matrix, error)
}

// finish turns sums into statistics, site by site.
func finish(h heading, a account, from roots, give func(Stats) error) error {
	none := "there are no samples"
	if len(a.Signs) > 0 {
		none = a.insensitive()
	}
	for i, site := range h.Sites {
		out, err := from.read(site.Reading)
		if err != nil {
			return err
		}
		if out.Site = site.Name; out.Unusable == "" {
			out.OutputShape = site.Shape
		} else if out.Positions > 0 && a.Blame != "" {
			out.Unusable += ": " + a.Blame
		}
		switch {
		case site.Feeling == nil:
		case none != "":
			out.Note = "no sensitivities: " + none
		default:
			if err := a.feel(&out, i, *site.Feeling, from); err != nil {
				return err
			}
		}
		if err := give(out); err != nil {
			return err
		}
	}
	return nil
}

// feel gives statistics their sensitivities.
func (a *account) feel(s *Stats, i int, f feeling, from roots) error {
	var g []*linalg.Matrix
	if a.lacks(i) {
		why := a.Signs[i].Why
		if a.Signs[i].Positions > 0 {
			why = "the gradients are not finite"
		}
		s.Note = "sensitivity measured by perturbing the output: " + why
		g = a.Scales[i].matrices(f)
	} else {
		var err error
		if g, err = from.felt(i); err == nil && g == nil {
			err = fmt.Errorf("there are no sums of the sensitivities of site %q", s.Site)
		}
		if err != nil {
			return err
		}
	}
	if f.Pulled {
		s.Pullback = g
	} else {
		s.G = g
	}
	return nil
}

// matrices are those of each group.
func (s scale) matrices(f feeling) []*linalg.Matrix {
	if s.pulled != nil {
		return []*linalg.Matrix{s.pulled}
	}
	out := make([]*linalg.Matrix, f.Groups)
	for i := range out {
		out[i] = linalg.Identity(f.Order)
		for k := range f.Order {
			out[i].Set(k, k, s.G)
		}
	}
	return out
}
