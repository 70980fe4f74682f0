package rewrite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Axis is a set of units of a model, any of which may be dropped: what computes a unit's channels, what treats them on
// their way, and what reads them become narrower, and no node is added. A unit is one channel, or several that can only go
// together, such as the two halves of a gated product or the channels of a group.
//
// All units of an axis are alike: they lie at the same places, as often each. So any choice of them leaves something of
// every value, and costs of a choice depend on its size alone.
type Axis struct {
	Name      string // of the first producer; with the range of its channels where others are on another axis or on none
	Units     int    // how many there are
	Producers []Port // sites that compute the units' channels, in graph order: their output channels are cut
	Readers   []Port // sites that read the channels: the columns of their kernels are cut, and may be given anew
	// Products are nodes that multiply two activations and sum over the units, as attention does with queries and keys. Beside them
	// there may be no readers.
	Products []graph.Node
	// Between are further nodes whose constants or attributes change: biases that are added, normalizations, depthwise
	// convolutions, shapes. They are in graph order.
	Between []graph.Node
	// Copied names constants that are cut and that other nodes need whole: these get a copy, so that a model may grow.
	Copied []string
	// Residual tells that values of different producers are added on this axis, as in a residual stream, so that all of
	// them give up the same units.
	Residual bool

	model     *onnxio.Model
	values    map[string]lie    // activations
	constants map[operand][]int // units of the entries along an axis of a constant operand
	numbers   map[number]span   // integers that count units
	shapes    *shapes.Shapes
}

// Port is a site whose channels lie along an axis.
type Port struct {
	Site *Site
	// Units has, for every output channel of a producer's kernel or input channel of a reader's, the unit that it belongs
	// to, -1 for none. Behind a Flatten all positions of a channel are input channels of the reader, and of one unit.
	Units []int
}

// Channels returns for each unit of an axis the site's channels that belong to it, ascending.
func (p Port) Channels(units int) [][]int {
	out := make([][]int, units)
	for channel, unit := range p.Units {
		if unit >= 0 {
			out[unit] = append(out[unit], channel)
		}
	}
	return out
}

// Fixed is a reason for which output channels of a site are on no axis.
type Fixed struct {
	Site     *Site
	Channels int // how many of its output channels
	Reason   string
}

// Axes returns the axes of a model, in the order of their first producers, and for every site whose output channels are
// not, or not all, on an axis the reasons.
//
// From each site's output channels the search goes forwards and backwards through all nodes that treat channels one by
// one, as the rules say (axisRules), until it meets the sites that read them. Channels that meet in one entry of a value
// (an addition, a gate, a convolution in groups) become one unit. A channel is fixed, with all that hang together with it,
// where it is an output or an input of the graph, where it meets a node that no rule knows or whose rule says no, and
// where a size or an index that depends on it cannot be followed. Constants that are graph inputs too are cut as their
// default, and stop being inputs, as for sites.
func Axes(m *onnxio.Model, s *shapes.Shapes) ([]Axis, []Fixed, error) {
	if m == nil || m.Proto.GetGraph() == nil {
		return nil, nil, errors.New("the model has no graph")
	}
	sites, skips, err := Linear(m, s)
	if err != nil {
		return nil, nil, err
	}
	c := &chart{finder: newFinder(m, s), rules: axisRules(), sites: map[graph.Node]*Site{}, skips: map[graph.Node]string{}, done: map[*Site][]bool{}}
	for _, skip := range skips {
		c.skips[skip.Node] = skip.Reason
	}
	for _, s := range sites {
		if s.Cast != tensor.Undefined {
			c.skips[s.Node] = fmt.Sprintf("weight %q is stored as %v, behind a Cast", s.Weight, s.Dtype)
		}
	}
	sites = slices.DeleteFunc(sites, func(s Site) bool { return s.Cast != tensor.Undefined })
	for i := range sites {
		c.sites[sites[i].Node] = &sites[i]
	}
	for i := range sites {
		c.from(&sites[i])
	}
	return c.axes, c.fixed, nil
}

// chart is what is known of a model's axes so far.
type chart struct {
	*finder
	rules map[string]axisRule
	sites map[graph.Node]*Site
	skips map[graph.Node]string // why other nodes are no sites
	done  map[*Site][]bool      // output channels that are on an axis
	axes  []Axis
	fixed []Fixed
}

// from finds the axes of those output channels of a site that are on none yet.
func (c *chart) from(s *Site) {
	if s.Kernel.Groups > 1 || s.View.Kind == TableRows {
		return // channels of groups belong to what the site reads, those of a table to what is done with its rows
	}
	origin := make([]int, s.Kernel.Out)
	found := false
	for i := range origin {
		origin[i] = i
		if done := c.done[s]; done != nil && done[i] {
			origin[i] = -1
		}
		found = found || origin[i] >= 0
	}
	if !found {
		return
	}
	p := newSpread(c, origin)
	switch shape, ok := c.shapes.Of(s.Output); {
	case s.Kernel.Out == 1:
		p.pin(origin, "it has a single channel")
	case !ok:
		p.pin(origin, c.shapes.Why(s.Output))
	default:
		p.set(s.Output, s.ChannelAxis(len(shape)), origin)
		p.run()
	}
	for _, axis := range p.found() {
		if len(axis.Readers)+len(axis.Products) > 0 {
			axis.Name = c.called(&axis)
			c.axes = append(c.axes, axis)
		}
		for _, port := range axis.Producers {
			c.mark(port)
		}
		for i, unit := range axis.Producers[0].Units {
			if unit >= 0 && axis.Producers[0].Site == s && len(axis.Readers)+len(axis.Products) == 0 {
				p.pin(origin[i:i+1], "no site reads what it computes")
			}
		}
	}
	for _, reason := range p.reasons(origin, c.done[s]) {
		c.fixed = append(c.fixed, Fixed{Site: s, Channels: reason.channels, Reason: reason.text})
	}
}

// mark notes the channels of a producer that are on an axis.
func (c *chart) mark(p Port) {
	if c.done[p.Site] == nil {
		c.done[p.Site] = make([]bool, len(p.Units))
	}
	for i, unit := range p.Units {
		c.done[p.Site][i] = c.done[p.Site][i] || unit >= 0
	}
}

// called names an axis by its first producer.
func (c *chart) called(a *Axis) string {
	first := a.Producers[0]
	if !slices.Contains(first.Units, -1) {
		return first.Site.Name
	}
	low, high := slices.IndexFunc(first.Units, on), len(first.Units)
	for first.Units[high-1] < 0 {
		high--
	}
	return fmt.Sprintf("%s[%d:%d]", first.Site.Name, low, high)
}
