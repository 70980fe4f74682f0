package compress

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// Analysis is what a model offers: the sites that may change, the nodes left
// alone, and what everything costs now.
type Analysis struct {
	Shapes *shapes.Shapes
	// Unknown are input dimensions that no shape was given for.
	Unknown []shapes.Unknown
	Sites   []rewrite.Site
	Skips   []rewrite.Skip
	Costs   rewrite.Costs
}

// Analyse finds a model's sites without reading its weights. inputs gives the
// shapes of graph inputs, by name, where the model leaves them open.
func Analyse(m *onnxio.Model, inputs map[string][]int, sel Selection) (*Analysis, error) {
	concrete, unknown := shapes.InputShapes(m, inputs)
	a := &Analysis{Shapes: shapes.Infer(m, concrete), Unknown: unknown}
	sites, skips, err := rewrite.Sites(m, a.Shapes)
	if err != nil {
		return nil, err
	}
	taken, left, err := sel.split(sites)
	if err != nil {
		return nil, err
	}
	rewrite.Settle(m, taken)
	a.Sites, a.Skips = taken, append(skips, left...)
	slices.SortStableFunc(a.Skips, func(x, y rewrite.Skip) int { return x.Index - y.Index })
	a.Costs = rewrite.MeasureCosts(m, a.Shapes)
	return a, nil
}

// place leaves alone the sites whose MACs are unknown, when MACs are a target:
// they cannot be weighed against the others.
func (a *Analysis) place(m *onnxio.Model, targets []Target) error {
	if !slices.ContainsFunc(targets, func(t Target) bool { return t.Resource == MACs }) {
		return nil
	}
	var located []rewrite.Site
	for _, s := range a.Sites {
		if s.Located {
			located = append(located, s)
			continue
		}
		a.Skips = append(a.Skips, skip(s, "its MACs are unknown: "+s.Why))
	}
	if len(located) == 0 && len(a.Sites) > 0 {
		return &UsageError{fmt.Errorf("a macs target needs the sizes that the nodes run at, and they are unknown for all %d sites (%s); give the input's shape, for example --input-shape %s, or bound params instead",
			len(a.Sites), a.Sites[0].Why, exampleShape(a.Unknown))}
	}
	rewrite.Settle(m, located)
	a.Sites = located
	return nil
}

// leave takes a site out and returns it as a node left alone for that reason.
func (a *Analysis) leave(m *onnxio.Model, at int, reason string) Skipped {
	s := skip(a.Sites[at], reason)
	a.Skips = append(a.Skips, s)
	a.Sites = slices.Delete(slices.Clone(a.Sites), at, at+1)
	rewrite.Settle(m, a.Sites)
	return Skipped{s.Name, s.Op, s.Reason}
}

// exampleShape writes a shape flag for the input that needs one.
func exampleShape(unknown []shapes.Unknown) string {
	if len(unknown) == 0 {
		return "input=1x3x224x224"
	}
	return unknown[0].Input + "=1x3x224x224"
}
