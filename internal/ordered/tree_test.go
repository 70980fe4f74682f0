package ordered

import (
	"math/rand/v2"
	"testing"
)

// Whatever parts leaves are summed in, one part's largest whole nodes after the other's, the sum has the same bits; it is that of a
// tree that is added up by recursion.
func TestTree(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	plus := func(a, b float64) (float64, error) { return a + b, nil }
	differ := false
	for range 300 {
		leaves := make([]float64, 1+r.IntN(70))
		inOrder := 0.
		for i := range leaves {
			leaves[i] = r.NormFloat64() * float64(int(1)<<r.IntN(40))
			inOrder += leaves[i]
		}
		want := recursive(leaves)
		differ = differ || want != inOrder
		for _, parts := range []int{1, 2, 3, 4, 16, len(leaves)} {
			var all Tree[float64]
			for p := range parts {
				var own Tree[float64]
				first, end := p*len(leaves)/parts, (p+1)*len(leaves)/parts
				for i := first; i < end; i++ {
					if err := own.Put(Node[float64]{Index: i, Value: leaves[i]}, plus); err != nil {
						t.Fatal(err)
					}
				}
				at := first
				for _, n := range own.Nodes() {
					if n.First() != at || n.First()+n.Leaves() > end {
						t.Fatalf("leaves %d to %d of %d: a node of %d to %d", first, end, len(leaves), n.First(), n.First()+n.Leaves())
					}
					at += n.Leaves()
					if err := all.Put(n, plus); err != nil {
						t.Fatal(err)
					}
				}
				if at != end || len(own.Nodes()) > 14 {
					t.Fatalf("leaves %d to %d: %d nodes, up to %d", first, end, len(own.Nodes()), at)
				}
			}
			if got, ok, err := all.Root(plus); !ok || err != nil || got != want {
				t.Fatalf("%d leaves in %d parts: %v, want %v", len(leaves), parts, got, want)
			}
		}
	}
	if !differ {
		t.Error("no sum tells the tree from the order of the leaves")
	}
	var none Tree[float64]
	if _, ok, err := none.Root(plus); ok || err != nil {
		t.Errorf("an empty tree has a root: %v", err)
	}
}

// recursive sums the largest power of two of the leaves that is less than all, and the rest.
func recursive(leaves []float64) float64 {
	if len(leaves) == 1 {
		return leaves[0]
	}
	half := 1
	for 2*half < len(leaves) {
		half *= 2
	}
	return recursive(leaves[:half]) + recursive(leaves[half:])
}
