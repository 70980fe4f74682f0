package compress

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// TestRaise: what was found bounds what may not lose less: smaller ranks of the same method, and those of methods whose basis it is.
func TestRaise(t *testing.T) {
	all := decomp.Methods()
	named := func(name string) *decomp.Method {
		return &all[slices.IndexFunc(all, func(m decomp.Method) bool { return m.Name == name })]
	}
	for _, c := range []struct {
		open      string
		rank      decomp.Rank
		found     string
		foundRank decomp.Rank
		want      bool
	}{
		{"svd-in", decomp.Rank{8}, "svd-in", decomp.Rank{8}, true},
		{"svd-in", decomp.Rank{9}, "svd-in", decomp.Rank{8}, false},
		{"tucker2", decomp.Rank{8, 16}, "tucker2", decomp.Rank{8, 15}, false},
		{"tucker2", decomp.Rank{8, 16}, "svd-in", decomp.Rank{8}, true},
		{"tucker2", decomp.Rank{8, 4}, "svd-in", decomp.Rank{7}, false},
		{"tt", decomp.Rank{8, 16, 9}, "svd-in", decomp.Rank{12}, true},
		{"tt", decomp.Rank{8, 16, 9}, "tucker2", decomp.Rank{12, 16}, false},
		{"cp", decomp.Rank{8}, "cp-window", decomp.Rank{8}, true},
		{"cp-window", decomp.Rank{8}, "cp", decomp.Rank{8}, false},
		{"spatial", decomp.Rank{8}, "svd-in", decomp.Rank{9}, false},
	} {
		o := option{method: named(c.open), rank: c.rank, loss: 1, share: 0.1}
		o.raise(option{method: named(c.found), rank: c.foundRank, loss: 2, share: 0.2})
		if raised := o.loss == 2 && o.share == 0.2; raised != c.want {
			t.Errorf("%s %v by %s %v: loss %g", c.open, c.rank, c.found, c.foundRank, o.loss)
		}
		o.raise(option{}) // a dense site
	}
}

// TestInTurn: every method once, none before its basis.
func TestInTurn(t *testing.T) {
	a := &Analysis{methods: decomp.Methods()}
	var names []string
	for _, m := range a.inTurn() {
		if m.Basis != "" && !slices.Contains(names, m.Basis) {
			t.Errorf("%s is asked before %s", m.Name, m.Basis)
		}
		names = append(names, m.Name)
	}
	if len(names) != len(a.methods) || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("asked in turn: %v", names)
	}
	a.methods = slices.DeleteFunc(a.methods, func(m decomp.Method) bool { return m.Name == "cp-window" })
	if got := a.inTurn(); len(got) != len(names)-1 {
		t.Errorf("without cp-window, %d methods are asked, want %d", len(got), len(names)-1)
	}
}

// TestAfford: heavy sites look at no scheme that is near the best and no better.
func TestAfford(t *testing.T) {
	for channels, want := range map[int]float64{64: 0.5, 512: 0} {
		k := decomp.Shape{Out: channels, In: channels, Window: []int{3, 3}, Groups: 1}
		l := &ladder{offers: []*offer{{seen: &seen{site: rewrite.Site{Kernel: k}}}}}
		if got := l.afford(0.5); got != want {
			t.Errorf("%v: slack %g, want %g", k, got, want)
		}
	}
}
