package refit

import (
	"strings"
	"testing"
)

// TestGiveUp: a walk that gained nothing at the first third of its sites leaves the others as they are.
func TestGiveUp(t *testing.T) {
	for _, c := range []struct {
		name        string
		sites, done int
		kept, why   int // the position of a site that was kept, and of the first one that was not tried
		want        bool
	}{
		{"nothing gained", 30, 10, -1, 30, true},
		{"not a third yet", 30, 9, -1, 30, false},
		{"one gained", 30, 20, 3, 30, false},
		{"too few to tell", 12, 7, -1, 30, false},
		{"too few tried", 30, 20, -1, 5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &walk{choices: make([]Choice, c.sites), result: &Result{Sites: make([]Outcome, c.sites)}}
			for i := range c.sites {
				w.order = append(w.order, c.sites-1-i)
				if i < c.done && i >= c.why {
					w.result.Sites[c.sites-1-i].Why = "nothing to do"
				}
			}
			if c.kept >= 0 {
				w.result.Sites[w.order[c.kept]].Kept = true
			}
			if got := w.hopeless(c.done); got != c.want {
				t.Fatalf("hopeless: %t, want %t", got, c.want)
			}
			w.giveUp(c.done)
			for i, at := range w.order {
				if o := w.result.Sites[at]; strings.Contains(o.Why, "given up") != (i >= c.done) {
					t.Errorf("stop %d: %+v", i, o)
				}
			}
		})
	}
}
