package compress

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
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
	// Skips are in graph order.
	Skips []rewrite.Skip
	Costs rewrite.Costs

	model *onnxio.Model
}

// Analyse finds a model's sites without reading its weights. inputs gives the
// shapes of graph inputs, by name, where the model leaves them open. A
// *UsageError names a shape that the model contradicts, or a pattern of sel that
// matches nothing.
func Analyse(m *onnxio.Model, inputs map[string][]int, sel Selection) (*Analysis, error) {
	if err := checkShapes(m, inputs); err != nil {
		return nil, &UsageError{fmt.Errorf("%s: %w", m.Path, err)}
	}
	concrete, unknown := shapes.InputShapes(m, inputs)
	a := &Analysis{Shapes: shapes.Infer(m, concrete), Unknown: unknown, model: m}
	sites, skips, err := rewrite.Sites(m, a.Shapes)
	if err != nil {
		return nil, err
	}
	taken, left, err := sel.split(sites, skips)
	if err != nil {
		return nil, err
	}
	a.settle(taken, append(skips, left...))
	a.Costs = rewrite.MeasureCosts(m, a.Shapes)
	return a, nil
}

// settle makes taken the sites and skips the nodes left alone.
func (a *Analysis) settle(taken []rewrite.Site, skips []rewrite.Skip) {
	rewrite.Settle(a.model, taken)
	slices.SortStableFunc(skips, func(x, y rewrite.Skip) int { return x.Index - y.Index })
	a.Sites, a.Skips = taken, skips
}

// leave takes out of the sites those for which why gives a reason.
func (a *Analysis) leave(why func(*rewrite.Site) string) {
	var taken []rewrite.Site
	skips := slices.Clone(a.Skips)
	for i := range a.Sites {
		if reason := why(&a.Sites[i]); reason != "" {
			skips = append(skips, skip(a.Sites[i], reason))
		} else {
			taken = append(taken, a.Sites[i])
		}
	}
	a.settle(taken, skips)
}

// place leaves alone the sites whose MACs are unknown, when MACs are a target:
// they cannot be weighed against the others.
func (a *Analysis) place(targets []Target) error {
	if !slices.ContainsFunc(targets, func(t Target) bool { return t.Resource == MACs }) {
		return nil
	}
	all := a.Sites
	a.leave(func(s *rewrite.Site) string {
		if s.Located {
			return ""
		}
		return "its MACs are unknown: " + s.Why
	})
	if len(a.Sites) == 0 && len(all) > 0 {
		return &UsageError{fmt.Errorf("a macs target needs the sizes that the nodes run at, and they are unknown for all %d sites (%s); give the input's shape, for example --input-shape %s, or bound params instead",
			len(all), all[0].Why, a.exampleShape())}
	}
	return nil
}

// exampleShape writes a shape flag for an input that needs one.
func (a *Analysis) exampleShape() string {
	if len(a.Unknown) == 0 {
		return "input=1x3x224x224"
	}
	name := a.Unknown[0].Input
	for _, in := range graph.Of(a.model).Feeds() {
		dims := in.Dims()
		if in.Name() != name || len(dims) == 0 {
			continue
		}
		sizes := make([]string, len(dims))
		for i, d := range dims {
			switch {
			case d.Size > 0:
				sizes[i] = strconv.Itoa(d.Size)
			case i == 0:
				sizes[i] = "1"
			case len(dims) == 4: // as images have it
				sizes[i] = "224"
			default:
				sizes[i] = "16"
			}
		}
		return name + "=" + strings.Join(sizes, "x")
	}
	return name + "=1x3x224x224"
}

// checkShapes refuses shapes of inputs that the model does not have, or declares
// otherwise.
func checkShapes(m *onnxio.Model, inputs map[string][]int) error {
	var known []string
	for _, in := range graph.Of(m).Feeds() {
		known = append(known, in.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("a shape is given for the input %q, which the model does not have%s; its inputs are %s",
				name, suggest.Phrase(name, known), strings.Join(known, ", "))
		}
	}
	_, unknown := shapes.InputShapes(m, inputs)
	for _, u := range unknown {
		if _, given := inputs[u.Input]; given && u.Given != "" {
			return fmt.Errorf("%s", u)
		}
	}
	return nil
}
