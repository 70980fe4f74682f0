package compress

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// bodies are what a model has inside of local functions and branches, lying open.
type bodies struct {
	open *graph.Opened // nil where the model has none
	// takes numbers the samples, of those that calibrate, that take the branches that lie open; of is how many there are. Both are empty where
	// no run decided anything.
	takes []int
	of    int
	// single is true where conditions depend on how many samples run at once: they run one at a time then.
	single bool
}

// opening decides for every If of a model which of its branches lie open, and for every Loop and Scan whether its last iteration does.
type opening struct {
	model  *onnxio.Model
	inputs map[string][]int
	known  map[string]graph.Branches // by the first output
	asked  []graph.Node              // those not known yet, in the model as it lies open so far
	loops  []graph.Node              // likewise, that are Loops and Scans
	fixed  map[string]bool           // whether their conditions are the same whatever the inputs
	conds  map[string]string         // conditions of those that a run decided

	ctx     context.Context
	host    feed.Host // without a library where nothing can be run
	sampled bool      // whether there are samples, with or without lib
	source  samples.Source
	indices []int
}

// opened finds what lies open of a model's bodies: the last iterations of Loops and Scans that are known to run twice at least, and the branches that most of the samples take that calibrate; those of conditions alone that do not
// depend on the inputs where there are samples and nothing runs them. Without samples it is those that shapes decide, and both where these do not.
func opened(ctx context.Context, env *Environment, m *onnxio.Model, o Options, inputs map[string][]int) (bodies, error) {
	d := &opening{
		model: m, inputs: inputs, known: map[string]graph.Branches{}, fixed: map[string]bool{}, conds: map[string]string{}, ctx: ctx,
		sampled: o.Source != nil,
	}
	if env != nil && env.library != nil && o.Source != nil {
		parts, err := o.deal()
		if err != nil {
			return bodies{}, err
		}
		if d.source, err = o.front(m); err != nil {
			return bodies{}, err
		}
		d.host, d.indices = feed.Host{Library: env.library, Memory: o.Memory}, parts.calibrate
	}
	all := len(d.indices)
	for {
		open := d.open()
		if len(d.asked)+len(d.loops) == 0 {
			b := bodies{open: open}
			if len(d.conds) > 0 {
				b.takes, b.of, b.single = d.indices, all, d.together(open.Model, o.Batch)
			}
			return b, ctx.Err()
		}
		at := m
		if open != nil {
			at = open.Model
		}
		if err := d.decide(at); err != nil {
			return bodies{}, err
		}
	}
}

// open opens the model by what is known, and notes what is not.
func (d *opening) open() *graph.Opened {
	d.asked, d.loops = nil, nil
	return graph.Open(d.model, func(n graph.Node, fixed bool) graph.Branches {
		b, ok := d.known[key(n)]
		switch {
		case !ok && n.Op() != "If":
			d.loops = append(d.loops, n)
		case !ok:
			d.asked = append(d.asked, n)
			d.fixed[key(n)] = fixed
		}
		return b
	})
}

// key names an If, in whichever state of the model.
func key(n graph.Node) string { return graph.NewNode("", "", nil, n.Outputs()).Label() }

// taken is the branch under a condition.
func (d *opening) taken(n graph.Node, holds bool) graph.Branches {
	switch fixed := d.fixed[key(n)]; {
	case fixed && holds:
		return graph.AlwaysThen
	case fixed:
		return graph.AlwaysElse
	case holds:
		return graph.Then
	}
	return graph.Else
}

// decide finds out about the branches that were asked for, in the model as it lies open so far.
func (d *opening) decide(at *onnxio.Model) error {
	concrete, _ := shapes.InputShapes(at, d.inputs)
	s := shapes.Infer(at, concrete)
	for _, n := range d.loops {
		d.known[key(n)] = graph.Closed
		if in, ok := s.Inside(n); ok && in.Trips > 1 {
			d.known[key(n)] = graph.Last
		}
	}
	if len(d.asked) == 0 {
		return nil
	}
	if d.host.Library != nil && len(d.indices) > 0 {
		done, err := d.run(at)
		if done || err != nil {
			return err
		}
	}
	for _, n := range d.asked {
		v, ok := s.Ints(n.Input(0))
		switch {
		case ok && len(v) == 1 && (d.fixed[key(n)] || !d.sampled):
			d.known[key(n)] = d.taken(n, v[0] != 0)
		case d.sampled:
			d.known[key(n)] = graph.Closed // what is to run has to be one of the two
		default:
			d.known[key(n)] = graph.Both
		}
	}
	return nil
}

// run has every sample decide, and goes on with those that most of them agree on; false where the model does not run.
func (d *opening) run(at *onnxio.Model) (bool, error) {
	var conds []string
	for _, n := range d.asked {
		conds = append(conds, n.Input(0))
	}
	took := map[string][]int{}
	c, err := newConditions(d.host, at, conds)
	if err != nil {
		return false, d.ctx.Err()
	}
	defer c.close()
	indices := d.indices
	if !slices.ContainsFunc(d.asked, func(n graph.Node) bool { return !d.fixed[key(n)] }) {
		indices = indices[:1] // the others say the same
	}
	for _, i := range indices {
		word, err := c.run(d.ctx, d.source, []int{i}, 1)
		if err != nil {
			return false, d.ctx.Err()
		}
		took[word] = append(took[word], i)
	}
	most := ""
	for _, word := range slices.Sorted(maps.Keys(took)) {
		if len(took[word]) > len(took[most]) {
			most = word
		}
	}
	if len(indices) == len(d.indices) {
		d.indices = took[most]
	}
	for i, n := range d.asked {
		d.known[key(n)] = d.taken(n, most[i] == '1')
		if !d.fixed[key(n)] {
			d.conds[n.Input(0)] = most[i : i+1]
		}
	}
	return true, nil
}

// together tells whether samples that run at once decide otherwise than alone.
func (d *opening) together(m *onnxio.Model, batch int) bool {
	conds, alone := slices.Sorted(maps.Keys(d.conds)), ""
	for _, v := range conds {
		alone += d.conds[v]
	}
	c, err := newConditions(d.host, m, conds)
	if err != nil {
		return true
	}
	defer c.close()
	word, err := c.run(d.ctx, d.source, d.indices, batch)
	return err != nil || word != alone
}

// conditions are a session that computes some values, of one truth each.
type conditions struct {
	inputs  []samples.InputSpec
	names   []string
	made    []string     // those that are no inputs
	session *ort.Session // nil where all are
}

func newConditions(host feed.Host, m *onnxio.Model, names []string) (*conditions, error) {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	c := &conditions{inputs: inputs, names: names}
	p := graph.Of(m).Parts().Plain()
	p.Outputs = nil
	for _, v := range names {
		if !graph.Of(m).IsInput(v) && !slices.Contains(c.made, v) {
			c.made = append(c.made, v)
			p.Outputs = append(p.Outputs, graph.NewValue(v, tensor.Bool, nil))
		}
	}
	if len(c.made) == 0 {
		return c, nil
	}
	p.Nodes = graph.Needed(p.Nodes, c.made)
	p.Values = slices.DeleteFunc(p.Values, func(v graph.Value) bool { return slices.Contains(c.made, v.Name()) })
	small := p.Model()
	defer small.Close() // it shares the files of m, which stays open
	if c.session, err = host.NewSession(small); err != nil {
		return nil, fmt.Errorf("computing conditions: %w", err)
	}
	return c, nil
}

func (c *conditions) close() {
	if c.session != nil {
		c.session.Close()
	}
}

// run returns the conditions for the first run of samples, 0 or 1 each.
func (c *conditions) run(ctx context.Context, src samples.Source, indices []int, batch int) (string, error) {
	r, err := feed.First(ctx, src, indices, c.inputs, batch)
	if err != nil {
		return "", err
	}
	values := maps.Clone(r.Inputs)
	if c.session != nil {
		out, err := c.session.Run(ctx, r.Inputs, c.made)
		if err != nil {
			return "", err
		}
		defer out.Close()
		for i, name := range c.made {
			values[name] = out.Get(i)
		}
	}
	word := make([]byte, len(c.names))
	for i, name := range c.names {
		v, err := values[name].Float64s()
		if err != nil || len(v) != 1 {
			return "", fmt.Errorf("condition %q has %d numbers, one is wanted", name, len(v))
		}
		word[i] = '0'
		if v[0] != 0 {
			word[i] = '1'
		}
	}
	return string(word), nil
}

// batch is how many samples run at once.
func (a *Analysis) batch(o Options) int {
	if a.bodies.single {
		return 1
	}
	return o.Batch
}

// run is what a model, that lies open or comes of it, costs without the nodes of branches that are not taken, which do not run.
func (b *bodies) run(m *onnxio.Model, c rewrite.Costs) rewrite.Costs {
	c.Unlocated = slices.DeleteFunc(c.Unlocated, func(u rewrite.Unlocated) bool { return u.Where != "" && b.idle(m, u.Index) })
	return c
}

// idle tells whether what is inside a node of a model does not run.
func (b *bodies) idle(m *onnxio.Model, index int) bool {
	nodes := graph.Of(m).Nodes()
	return b.open != nil && index < len(nodes) && b.open.Rest(nodes[index])
}

// left gives the sites their twins in branches that do not lie open and in iterations before the last, and says of the other nodes there why they
// are left alone. Sites without twins in these are left alone too.
func (b *bodies) left(m *onnxio.Model, s *shapes.Shapes, sites []rewrite.Site, skips []rewrite.Skip) ([]rewrite.Site, []rewrite.Skip) {
	if b.open == nil {
		return sites, skips
	}
	rewrite.Pair(m, sites, func(index int) bool { return b.idle(m, index) })
	sites, skips = b.repeated(m, s, sites, skips)
	twin := map[graph.Node]bool{}
	for _, s := range sites {
		for _, t := range s.Twins {
			twin[t.Node] = true
		}
	}
	skips = slices.DeleteFunc(skips, func(s rewrite.Skip) bool { return twin[s.Node] })
	for i := range skips {
		s := &skips[i]
		if s.Where == "" || !b.idle(m, s.Index) {
			continue
		}
		s.Reason = fmt.Sprintf("in the branch of If %q that no sample takes", s.Where)
		if n := b.of - len(b.takes); n > 0 {
			s.Reason = fmt.Sprintf("in the branch of If %q that is not taken by most of the samples: %d of %d go another way", s.Where, n, b.of)
		}
	}
	return sites, skips
}

// repeated gives sites in the last iterations of Loops and Scans their twins in those before, and has them count as often as they run.
func (b *bodies) repeated(m *onnxio.Model, s *shapes.Shapes, sites []rewrite.Site, skips []rewrite.Skip) ([]rewrite.Site, []rewrite.Skip) {
	var out []rewrite.Site
	nodes, listed := graph.Of(m).Nodes(), map[graph.Node]bool{} // what is listed where it lies open
	for _, n := range nodes {
		twins, _ := b.open.Twins(n)
		for _, t := range twins {
			listed[t.Node] = true
		}
	}
	// What a node of the last iteration has in bodies is listed in those before.
	skips = slices.DeleteFunc(skips, func(s rewrite.Skip) bool { return listed[s.Node] || s.Where != "" && b.repeats(nodes[s.Index]) })
	for _, site := range sites {
		twins, inside := b.open.Twins(site.Node)
		if inside && twins == nil {
			skips = append(skips, skip(site, "in the body of a Loop or Scan, where it is a part of an operator that is several in one"))
			continue
		}
		for _, t := range twins {
			site.Twins = append(site.Twins, rewrite.Twin{Node: t.Node, Index: slices.Index(nodes, t.Holder)})
			in, _ := s.Inside(t.Holder)
			site.Repeats = max(site.Repeats, 1) * (1 + in.Trips)
		}
		out = append(out, site)
	}
	return out, skips
}

// repeats tells whether a node belongs to the last iteration of a Loop or Scan.
func (b *bodies) repeats(n graph.Node) bool {
	if b.open == nil {
		return false
	}
	_, inside := b.open.Twins(n)
	return inside
}

// looped tells whether a Loop or Scan lies open.
func (b *bodies) looped() bool { return b.open != nil && b.open.Loops() }

// measured is what the model costs: its multiply-adds as it lies open, and all that it stores.
func (a *Analysis) measured() rewrite.Costs {
	c := rewrite.MeasureCosts(a.model, a.Shapes)
	if a.bodies.open != nil {
		c.Params, c.Bytes = rewrite.Stored(a.given)
	}
	return a.bodies.run(a.model, c)
}
