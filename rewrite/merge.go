package rewrite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// MergeOptions says what Merge may touch.
type MergeOptions struct {
	// Inputs are the concrete shapes of the graph's inputs that savings are counted for, as shapes.Infer takes them.
	Inputs map[string][]int
	// Patches are those that made the model: at least one of two nodes that merge is among their new ones.
	Patches []Patch
	// Sites are the nodes of the original model that may merge with one of these.
	Sites []Site
	// Backend multiplies the weights; linalg.Gonum where nil.
	Backend linalg.Backend
}

// Merged is two nodes that became one.
type Merged struct {
	First, Second string // the nodes' names as Site.Name has them, in the order of the data
	Name          string // the node in their place
	Params        int64  // elements of constants saved
	MACs          int64  // multiply-adds saved in one run, 0 where the sizes are not known
}

// Merge puts one node in the place of two that follow each other with nothing between, where that saves both weights
// and multiply-adds: the last factor of one chain and the first of the next, or a factor and a dense node beside it. The
// two must be linear, one of them acting on single positions alone: with kernels F and S their product is S F, and with
// biases f and s its bias S f + s. Merged nodes merge again as long as any can.
//
// Pairs of products stay apart where their biases are no constants per channel, where a padding would come to lie behind
// the bias of a pointwise convolution, where their weights have other uses, or half the precision of float32 (a product
// of rounded numbers is rounded once more), and a Gemm before opset 11, which needs its C.
//
// Nothing in m changes; the new model shares with it all that stays, and equals it as a message where nothing merges.
func Merge(m *onnxio.Model, o MergeOptions) (*onnxio.Model, []Merged, error) {
	g := &merger{o: o, made: map[graph.Node]bool{}, open: map[graph.Node]bool{}}
	if g.o.Backend == nil {
		g.o.Backend = linalg.Gonum()
	}
	for _, p := range o.Patches {
		for _, n := range p.New {
			g.made[n], g.open[n] = true, true
		}
	}
	for i := range o.Sites {
		g.open[o.Sites[i].Node] = true
	}
	var all []Merged
	small := graph.Of(m).Parts().Model()
	for {
		patches, merged, err := g.round(small)
		if err == nil && len(patches) == 0 {
			return small, all, nil
		}
		var next *onnxio.Model
		if err == nil {
			next, err = Apply(small, patches, ApplyOptions{})
		}
		if err = errors.Join(err, small.Close()); err != nil {
			return nil, nil, fmt.Errorf("merging neighbours: %w", err)
		}
		small, all = next, append(all, merged...)
	}
}

// merger finds pairs of nodes.
type merger struct {
	o          MergeOptions
	made, open map[graph.Node]bool // nodes that patches made, and those with the sites beside them
}

// round returns the patches of all pairs that merge side by side.
func (g *merger) round(m *onnxio.Model) ([]Patch, []Merged, error) {
	sites, _, err := Linear(m, shapes.Infer(m, g.o.Inputs))
	if err != nil {
		return nil, nil, err
	}
	at := map[graph.Node]*Site{}
	for i := range sites {
		at[sites[i].Node] = &sites[i]
	}
	var patches []Patch
	var list []Merged
	names, busy := graph.NewNameSet(m), map[graph.Node]bool{}
	for i := range sites {
		first := &sites[i]
		use, ok := graph.Of(m).Reader(first.Output)
		if !ok {
			continue
		}
		second := at[use.Node]
		if second == nil || second.Input != first.Output || busy[first.Node] || busy[second.Node] || !g.may(first, second) {
			continue
		}
		patch, merged, ok, err := g.merge(first, second, names)
		if errors.As(err, new(*NotFiniteError)) {
			continue // which two nodes compute as well as one
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%q with %q: %w", first.Name, second.Name, err)
		}
		if ok {
			busy[first.Node], busy[second.Node] = true, true
			patches, list = append(patches, patch), append(list, merged)
			g.made[patch.New[0]], g.open[patch.New[0]] = true, true
		}
	}
	return patches, list, nil
}

// may tells whether two nodes are open to be merged, by where they come from and what they hold.
func (g *merger) may(first, second *Site) bool {
	precise := first.Cast == tensor.Undefined && second.Cast == tensor.Undefined && (first.Dtype == tensor.Float32 || first.Dtype == tensor.Float64)
	return g.takes(first) && g.takes(second) && (g.made[first.Node] || g.made[second.Node]) &&
		precise && first.Dtype == second.Dtype && len(first.Node.Outputs()) == 1 && !binds(first.model, first.Output)
}

// takes tells whether a node was made by a patch, or is an open site whose weight nobody can miss.
func (g *merger) takes(s *Site) bool {
	return g.made[s.Node] || g.open[s.Node] && s.Note == ""
}

// binds tells whether the quantization annotations say something of a value.
func binds(m *onnxio.Model, value string) bool {
	return slices.ContainsFunc(graph.Of(m).Annotations(), func(a graph.Annotation) bool {
		return a.Tensor() == value || slices.Contains(a.Parameters(), value)
	})
}

// merge builds the patch of a pair; false where the two stay apart.
func (g *merger) merge(first, second *Site, names *graph.NameSet) (Patch, Merged, bool, error) {
	j := &junction{first: first, second: second, names: names, backend: g.o.Backend}
	if !j.fits() || !j.biases() {
		return Patch{}, Merged{}, false, nil
	}
	saved, ok := j.saves()
	if !ok {
		return Patch{}, Merged{}, false, nil
	}
	patch, err := j.patch()
	saved.First, saved.Second = first.Name, second.Name
	if err == nil {
		saved.Name = patch.New[0].Name()
	}
	return patch, saved, err == nil, err
}
