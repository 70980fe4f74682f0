package compress

import (
	"slices"
	"testing"
)

// TestRivals: of a choice and its rivals that is taken whose model changes the outputs least on the samples held out, wherever it
// stands among them, and none is refitted to find out.
func TestRivals(t *testing.T) {
	needRuntime(t)
	o := narrow(Options{Targets: []Target{share(MACs, 0.8)}, RankMultiple: 1, Search: "lagrange"})
	o.Methods = []string{"svd", Width}
	made := factoredIn(t, in(t).afresh(), thin(t), o)
	mild, err := made.choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made.o.Targets = []Target{share(MACs, 0.3)}
	harsh, err := made.choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mild.rivals, harsh.rivals = nil, nil
	w := &work{env: made.env, o: made.o, a: made.a}
	w.o.Targets = nil // which not both of them meet
	take := func(c *Choice, rivals ...*Choice) *Choice {
		first := *c
		first.rivals = rivals
		taken, err := w.best(t.Context(), &first)
		if err != nil {
			t.Fatal(err)
		}
		if taken == &first {
			return c
		}
		return taken
	}
	if take(harsh, harsh, mild) != mild || take(mild, harsh) != mild {
		t.Error("the choice that changes less is not taken")
	}
	names := []string{}
	for _, s := range *w.env.journal {
		names = append(names, s.Name)
	}
	if slices.Contains(names, "refit") || !slices.Contains(names, "compare") {
		t.Errorf("stages %q", names)
	}
	w.a.Verify = nil
	if take(harsh, mild) != harsh {
		t.Error("without samples held out a rival is taken")
	}
}
