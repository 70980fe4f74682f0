package compress

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

func TestRanksFitBlocks(t *testing.T) {
	conv := func(out, in, groups int) decomp.Shape {
		return decomp.Shape{Out: out, In: in, Window: []int{3, 3}, Groups: groups}
	}
	for _, c := range []struct {
		asked int
		shape decomp.Shape
		want  int
	}{
		{0, conv(16, 16, 1), 16},
		{0, conv(64, 3, 1), 16},
		{0, conv(64, 15, 1), 16},
		{0, conv(15, 64, 1), 1},
		{0, conv(64, 64, 4), 16},
		{0, conv(64, 64, 8), 1},
		{0, conv(64, 64, 64), 16},
		{0, conv(1, 64, 1), 1},
		{0, decomp.Shape{Out: 64, In: 64, Groups: 1}, 1},
		{1, conv(16, 16, 1), 1},
		{8, conv(3, 3, 1), 8},
	} {
		if got := (Options{RankMultiple: c.asked}).multiple(c.shape); got != c.want {
			t.Errorf("multiple %d asked for at %v: %d, want %d", c.asked, c.shape, got, c.want)
		}
	}
}

func TestRankMultiple(t *testing.T) {
	m := zoo(t, "cnn")
	for _, multiple := range []int{2, 4, 1000} {
		j := offered(t, m, Options{Targets: []Target{half(MACs)}, RankMultiple: multiple, Methods: schemes()})
		offers := 0
		for _, f := range j.of.sites {
			for _, o := range f.options[:len(f.options)-1] {
				offers++
				if o.rank[0]%multiple != 0 {
					t.Errorf("multiple %d: node %s is offered rank %v", multiple, f.site.Name, o.rank)
				}
			}
			if last := f.options[len(f.options)-1]; last.method != nil || last.loss != 0 {
				t.Errorf("the last option of node %s is not to leave it alone", f.site.Name)
			}
		}
		if (offers == 0) != (multiple == 1000) {
			t.Errorf("multiple %d: %d options", multiple, offers)
		}
	}
}

// TestRanksWiden: a target that ranks in blocks cannot meet is met with others, and one that they can
// meet is met with them.
func TestRanksWiden(t *testing.T) {
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 24, 8, 8)
	for range 2 {
		x = b.Node("Relu", []string{b.Conv(x, 24, 24, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	}
	b.Output(b.Rename("y"), tensor.Float32, "N", 24, 8, 8)
	m := built(t, b)
	for _, c := range []struct {
		share   float64
		blocked bool
	}{{0.9, true}, {0.3, false}} {
		r, _ := run(t, m, Options{Targets: []Target{share(MACs, c.share)}, Methods: []string{"svd"}})
		blocked := true
		for _, s := range r.Sites {
			blocked = blocked && (s.Method == Dense || s.Rank[0]%block == 0)
		}
		if blocked != c.blocked {
			t.Errorf("at %g of the MACs ranks fit blocks: %v, want %v: %+v", c.share, blocked, c.blocked, r.Sites)
		}
	}
}
