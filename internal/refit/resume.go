package refit

import (
	"errors"
	"fmt"
)

// Version is that of what a refit does with the same choices, samples and options.
const Version = 1

// Walked is what a refit has come to when it is not at its end.
type Walked struct {
	// Fit and Held are the numbers of samples that are solved on, and that judge.
	Fit, Held int
	// Sites is what came of the first sites, in topological order. Where a refit was not kept, the chain is the choice's, and may be left out.
	Sites []Outcome
}

// taken puts the outcomes of the refit that this one goes on from in their places.
func (w *walk) taken() error {
	from := w.o.From.Sites
	if len(from) > len(w.order) {
		return fmt.Errorf("outcomes of %d sites, where there are %d", len(from), len(w.order))
	}
	w.result.Fit, w.result.Held = w.o.From.Fit, w.o.From.Held
	for k, o := range from {
		c := &w.choices[w.order[k]]
		switch {
		case o.Site != c.Site.Name:
			return fmt.Errorf("outcome %d is of node %q, where node %q is refitted", k+1, o.Site, c.Site.Name)
		case !o.Kept:
			o.Chain = c.Chain
		default:
			if err := o.fits(c); err != nil {
				return fmt.Errorf("node %q: %w", o.Site, err)
			}
		}
		w.result.Sites[w.order[k]] = o
	}
	return nil
}

// fits refuses a chain that cannot take the site's place.
func (o *Outcome) fits(c *Choice) error {
	k, channels := c.Site.Kernel, c.Site.Kernel.In
	if len(o.Chain) == 0 {
		return errors.New("a chain without factors")
	}
	for i, f := range o.Chain {
		switch s := f.Kernel.Shape; {
		case f.Kernel.Check() != nil:
			return fmt.Errorf("factor %d: %w", i+1, f.Kernel.Check())
		case s.In != channels || len(s.Window) != len(k.Window) || len(f.Axes) != len(k.Window):
			return fmt.Errorf("factor %d is %v, and does not fit the kernel %v", i+1, s, k)
		case f.Shift != nil && (i < len(o.Chain)-1 || len(f.Shift) != k.Out):
			return fmt.Errorf("factor %d has a shift of %d channels", i+1, len(f.Shift))
		}
		channels = f.Kernel.Out
	}
	if channels != k.Out {
		return fmt.Errorf("the chain computes %d channels, want %d", channels, k.Out)
	}
	return nil
}

// finished tells whether nothing is left to be done; it leaves sites that were given up as they were chosen.
func (w *walk) finished() bool {
	for k := range w.order {
		if w.hopeless(k) {
			w.giveUp(k)
			return true
		}
		if k >= len(w.o.From.Sites) {
			return false
		}
	}
	return true
}

// keep has what was done up to stop k kept.
func (w *walk) keep(k int) error {
	if w.o.Keep == nil {
		return nil
	}
	done := Walked{Fit: w.result.Fit, Held: w.result.Held}
	for _, i := range w.order[:k+1] {
		done.Sites = append(done.Sites, w.result.Sites[i])
	}
	return w.o.Keep(done)
}
