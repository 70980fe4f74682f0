package compress

import (
	"fmt"
	"os"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// fileBytes is the size of a model file and its external weights.
func fileBytes(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	external, err := onnxio.ExternalBytes(path)
	return info.Size() + external, err
}

// bytesTarget returns the position of the target that bounds the file, -1 for none.
func bytesTarget(targets []Target) int {
	return slices.IndexFunc(targets, func(t Target) bool { return t.Resource == Bytes })
}

// weigh finds what the nodes of each method add to the numbers in a file.
func (of *Offers) weigh(a *Analysis) error {
	external, err := onnxio.ExternalBytes(a.model.Path)
	if err != nil {
		return err
	}
	for k := range of.sites {
		o := &of.sites[k]
		o.overhead = map[string]int64{}
		for _, c := range slices.Concat(o.options, o.open) {
			if c.method == nil {
				continue
			}
			if _, known := o.overhead[c.method.Name]; known {
				continue
			}
			if o.overhead[c.method.Name], err = o.nodeBytes(a.model, c, external > 0); err != nil {
				return fmt.Errorf("%s: %w", a.model.Path, err)
			}
		}
	}
	return nil
}

// What a message costs beside its contents, at most: the tag and the length of an
// entry, the lengths and sizes inside a tensor that grow with the rank, and for a
// tensor in another file its place there, and what is left free before it.
const (
	entryBytes    = 6
	growthBytes   = 16
	externalBytes = 4096 + 160
)

// nodeBytes is what an option's nodes and the names of its weights take in the
// file: an estimate from the patch at one rank, on the safe side.
func (o *seen) nodeBytes(m *onnxio.Model, c option, external bool) (int64, error) {
	chain := c.method.Factors(o.site.Kernel, c.rank)
	for i := range chain {
		chain[i].Kernel.Weights = make([]float64, chain[i].Kernel.Params())
	}
	if o.mean != nil {
		chain[len(chain)-1].Shift = make([]float64, o.site.Kernel.Out)
	}
	p, err := rewrite.Replace(m, &o.site, chain, graph.NewNameSet(m))
	if err != nil {
		return 0, err
	}
	size := -p.Old.Size()
	for _, n := range slices.Concat(p.Casts, p.New) {
		size += n.Size() + entryBytes
	}
	for _, t := range p.Weights {
		size += t.Overhead() + entryBytes + growthBytes
		if external {
			size += externalBytes
		}
	}
	for _, v := range p.Values {
		size += v.Size() + entryBytes + growthBytes
	}
	return int64(max(size, 0)), nil
}

// heavyError says by how much a written file exceeds its target.
type heavyError struct {
	target Target
	limit  float64
	size   int64
}

func (e *heavyError) Error() string {
	return fmt.Sprintf("the written file has %d bytes, the target %s allows %.0f", e.size, e.target, e.limit)
}

// weighed are the targets with the size of the written file; where it exceeds its target, the error is a *heavyError.
func weighed(targets []Reached, path string) ([]Reached, error) {
	k := slices.IndexFunc(targets, func(r Reached) bool { return r.Resource == Bytes })
	if k < 0 {
		return targets, nil
	}
	size, err := fileBytes(path)
	if err != nil {
		return nil, err
	}
	targets = slices.Clone(targets)
	if targets[k].Reached = size; float64(size) > targets[k].Limit {
		return nil, &heavyError{targets[k].Target, targets[k].Limit, size}
	}
	return targets, nil
}
