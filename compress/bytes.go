package compress

import (
	"context"
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

// weigh finds what the search needs to know where bytes are a target: the size
// of the file, and what the nodes of each method add to the numbers.
func (j *job) weigh(ctx context.Context) error {
	if bytesTarget(j.opts.Targets) < 0 || j.size > 0 {
		return nil
	}
	if err := j.reserve(ctx); err != nil {
		return err
	}
	external, err := onnxio.ExternalBytes(j.model.Path)
	if err != nil {
		return err
	}
	if j.size, err = fileBytes(j.model.Path); err != nil {
		return err
	}
	for _, o := range j.offers {
		o.overhead = map[string]int64{}
		for _, c := range o.options {
			if c.method == nil {
				continue
			}
			if _, known := o.overhead[c.method.Name]; known {
				continue
			}
			if o.overhead[c.method.Name], err = o.nodeBytes(j.model, c, external > 0); err != nil {
				return fmt.Errorf("%s: %w", j.model.Path, err)
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
func (o *offer) nodeBytes(m *onnxio.Model, c option, external bool) (int64, error) {
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
	for _, n := range p.New {
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

// bytes is what a rung takes of the file.
func (l *ladder) bytes(rung []option) int64 {
	numbers := l.cost(rung, Params)
	sum := int64(l.offers[0].site.Dtype.Bytes(int(numbers)))
	for k, o := range rung {
		if o.method != nil {
			sum += l.offers[k].overhead[o.method.Name]
		}
	}
	return sum
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

// holdBytes holds the written file against the target.
func (j *job) holdBytes(path string) error {
	k := bytesTarget(j.opts.Targets)
	if k < 0 {
		return nil
	}
	size, err := fileBytes(path)
	if err != nil {
		return err
	}
	r := &j.result.Targets[k]
	if r.Reached = size; float64(size) > r.Limit {
		return &heavyError{r.Target, r.Limit, size}
	}
	return nil
}

// lighten takes back a plan whose file was too large, and asks for less: what
// a file takes is known before it is written only up to some names and sizes.
func (j *job) lighten(e *heavyError) error {
	if j.opts.FromPlan != nil {
		return &PlanError{Target: e.target, Limit: e.limit, Needed: float64(e.size)}
	}
	j.tight += 1.25*(float64(e.size)-e.limit) + 1
	j.forget()
	return nil
}
