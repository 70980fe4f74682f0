package compress

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Width is the name, among Options.Methods, of what narrows axes instead of factoring sites: units of an axis are left out,
// the readers make up for them, and no node is added.
const Width = "width"

// WholeAxis is an axis, or some channels of a site that are on none, which stays as it is.
type WholeAxis struct {
	// Name is that of the axis, or of the site.
	Name   string `json:"name"`
	Units  int    `json:"units"`
	Reason string `json:"reason"`
}

// widths tells whether axes are to be narrowed.
func (o Options) widths() bool {
	return slices.Contains(o.Methods, Width) || o.FromPlan != nil && len(o.FromPlan.Axes) > 0
}

// mayNarrow tells whether some axes are to be narrowed though nobody named methods: where samples tell what they would lose, and no time
// is asked for, of which a table need not have what narrower layers take.
func (o Options) mayNarrow() bool {
	return len(o.Methods) == 0 && o.Source != nil && o.FromPlan == nil && o.Costs == nil && o.latency() == nil
}

// depthwise tells whether a node is a convolution of single channels, as inverted residuals have, of which decompositions leave nearly all
// and narrower layers take their share.
func (a *Analysis) depthwise(n graph.Node) bool {
	in, known := a.Shapes.Of(n.Input(0))
	return known && n.Op() == "Conv" && len(in) > 1 && in[1] > 1 && n.Int("group", 1) == in[1]
}

// atPositions tells whether a site is a product of matrices at many positions of a sample, as those of transformers are. A layer that sees one
// column of each sample is none: what its units lose is known too badly.
func atPositions(s *rewrite.Site) bool {
	switch s.View.Kind {
	case rewrite.LastAxis, rewrite.FirstAxis, rewrite.SecondLastAxis:
		return s.Located && s.Batch*tensor.Product(s.Geometry.In) > 1
	}
	return false
}

// promising tells whether an axis is narrowed without being asked for: one with depthwise convolutions on its way, and hidden units and heads of
// transformers, of which widths leave more than chains do at the same size.
func (a *Analysis) promising(axis *rewrite.Axis) bool {
	other := func(p rewrite.Port) bool { return !atPositions(p.Site) }
	return slices.ContainsFunc(axis.Between, a.depthwise) ||
		!slices.ContainsFunc(axis.Producers, other) && !slices.ContainsFunc(axis.Readers, other)
}

// mayPromise tells whether there may be such axes, before they are looked for.
func (a *Analysis) mayPromise(sites []rewrite.Site) bool {
	return slices.ContainsFunc(sites, func(s rewrite.Site) bool { return atPositions(&s) }) || slices.ContainsFunc(graph.Of(a.model).Nodes(), a.depthwise)
}

// findAxes is the analysis with the axes of the model, all that there are or where nobody asks for them those that promise something, and with
// those of their readers among the sites that only a narrower axis makes smaller; of the sites and the nodes left alone it returns what these
// are then.
func (a *Analysis) findAxes(o Options, sites []rewrite.Site, skips []rewrite.Skip) ([]rewrite.Site, []rewrite.Skip, error) {
	if !o.widths() && !(o.mayNarrow() && a.mayPromise(sites)) {
		return sites, skips, nil
	}
	list, fixed, err := rewrite.Axes(a.model, a.Shapes)
	if err != nil {
		return nil, nil, err
	}
	if !o.widths() {
		list = slices.DeleteFunc(list, func(axis rewrite.Axis) bool { return !a.promising(&axis) })
		if fixed = nil; len(list) == 0 {
			return sites, skips, nil
		}
	}
	a.Axes = list
	for _, f := range fixed {
		a.Whole = append(a.Whole, WholeAxis{Name: f.Site.Name, Units: f.Channels, Reason: f.Reason})
	}
	sites = slices.Clone(sites)
	wanted := map[graph.Node]bool{}
	for i := range sites {
		wanted[sites[i].Node] = true
	}
	for i := range list {
		for _, p := range list[i].Readers {
			if !wanted[p.Site.Node] {
				sites = append(sites, *p.Site)
			}
			wanted[p.Site.Node] = true
		}
	}
	slices.SortStableFunc(sites, func(s, t rewrite.Site) int { return s.Index - t.Index })
	return sites, slices.DeleteFunc(skips, func(s rewrite.Skip) bool { return wanted[s.Node] }), nil
}

// narrowable leaves those axes as they are that cannot be narrowed: for what they are, for what is not to change, or for want of
// memory. It can be asked again when sites are left alone.
func (a *Analysis) narrowable(o Options, list []rewrite.Axis) *Analysis {
	next := *a
	next.Axes, next.Whole = nil, slices.Clone(a.Whole)
	for _, axis := range list {
		if reason := a.whole(o, &axis); reason != "" {
			next.Whole = append(next.Whole, WholeAxis{axis.Name, axis.Units, reason})
		} else {
			next.Axes = append(next.Axes, axis)
		}
	}
	return &next
}

// told leaves those axes as they are of which nothing tells what they would lose: without samples, weights have to. Where nothing is to
// be chosen, as where times are measured for choices elsewhere, that does not matter.
func (a *Analysis) told(o Options) *Analysis {
	if o.Source != nil || len(o.Targets) == 0 && o.FromPlan == nil {
		return a
	}
	next := *a
	next.Axes, next.hidden, next.Whole = nil, nil, slices.Clone(a.Whole)
	for _, axis := range a.Axes {
		if h, why := axis.Hidden(); why != "" {
			next.Whole = append(next.Whole, WholeAxis{axis.Name, axis.Units, "without samples " + why})
		} else {
			next.Axes, next.hidden = append(next.Axes, axis), append(next.hidden, h)
		}
	}
	return &next
}

// whole says why an axis stays as it is, "" where it need not.
func (a *Analysis) whole(o Options, axis *rewrite.Axis) string {
	if axis.Residual {
		return "values that several nodes compute are added on it, as in a residual stream: all of them would give up the same units"
	}
	if len(axis.Copied) > 0 {
		return fmt.Sprintf("the constant %q is needed whole by other nodes, so that a copy would have to be made", axis.Copied[0])
	}
	if len(axis.Products) > 0 {
		if reason := a.unpaired(axis); reason != "" {
			return reason
		}
	}
	for _, p := range slices.Concat(axis.Producers, axis.Readers) {
		if a.bodies.repeats(p.Site.Node) {
			return fmt.Sprintf("%s is in the body of a Loop or Scan", p.Site.Name)
		}
	}
	for _, p := range axis.Producers {
		if reason := a.excluded[p.Site.Node]; reason != "" {
			return fmt.Sprintf("%s, which computes it, is %s", p.Site.Name, reason)
		}
	}
	var need int64
	for _, p := range axis.Readers {
		if a.numbered(p.Site) < 0 {
			return fmt.Sprintf("%s, which reads it, is left alone: %s", p.Site.Name, a.skipped(p.Site))
		}
		if a.shares(p.Site) {
			return fmt.Sprintf("%s, which reads it, shares its weight %q with another node", p.Site.Name, p.Site.Weight)
		}
		need += eliminationBytes(p.Site)
	}
	if limit := max(o.Memory, leastMemory); need > limit {
		return fmt.Sprintf("to choose its units takes %d MiB, more than the memory limit of %d MiB", need>>20, limit>>20)
	}
	return ""
}

// skipped says why a site is left alone.
func (a *Analysis) skipped(s *rewrite.Site) string {
	i := slices.IndexFunc(a.Skips, func(k rewrite.Skip) bool { return k.Node == s.Node })
	if i < 0 {
		return "it is no site"
	}
	return a.Skips[i].Reason
}

// numbered is the number of a site, as an axis has it, among those that may change; -1 for none.
func (a *Analysis) numbered(s *rewrite.Site) int {
	return slices.IndexFunc(a.Sites, func(k rewrite.Site) bool { return k.Node == s.Node })
}

// shares tells whether something else needs the weight of a site, which then cannot be dropped for a fold.
func (a *Analysis) shares(s *rewrite.Site) bool {
	alone := []rewrite.Site{*s}
	rewrite.Settle(a.model, alone)
	return alone[0].WeightStays
}

// nothingNarrower says why no axis may be narrowed.
func (a *Analysis) nothingNarrower() string {
	if len(a.Whole) == 0 {
		return "the model has no axis that could become narrower: no layer reads what another computes"
	}
	w := a.Whole[len(a.Whole)-1] // axes, which come last, are nearer to it than channels on none
	return fmt.Sprintf("nothing of the model may become narrower; of %s, because %s (`onnx-compress inspect` lists all)", w.Name, w.Reason)
}

// tallied is the analysis that can count what narrower axes leave.
func (a *Analysis) tallied() (*Analysis, error) {
	next := *a
	var err error
	if next.tally, err = rewrite.NewTally(a.model, a.Shapes, a.Axes, takesShift); err == nil {
		next.uncut, next.twice = need(next.tally.At(a.units())), need(next.tally.Shared())
	}
	return &next, err
}

// units are the widths of the axes as they are.
func (a *Analysis) units() []int {
	out := make([]int, len(a.Axes))
	for i := range a.Axes {
		out[i] = a.Axes[i].Units
	}
	return out
}

// saved is what widths take off a resource.
func (a *Analysis) saved(widths []int, r Resource) int64 {
	if r == RunTime {
		return a.forecast.saved(widths)
	}
	return a.uncut.of(r) - need(a.tally.At(widths)).of(r)
}

// need is what a tally counts.
type need rewrite.Need

func (n need) of(r Resource) int64 {
	switch r {
	case MACs:
		return n.MACs
	case Params:
		return n.Params
	case Bytes:
		return n.Bytes
	}
	return 0 // a tally counts no time
}

// eliminationBytes is about what it takes to find the order in which units leave, at one reader: five matrices of its inputs, and
// four copies of its kernel.
func eliminationBytes(s *rewrite.Site) int64 {
	side := int64(s.Kernel.Cols())
	return 8 * (5*side*side + 4*s.Kernel.Params())
}
