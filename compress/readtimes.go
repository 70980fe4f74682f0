package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// Profiled is a model, read from a file, and what the layers take that an engine made of it.
type Profiled struct {
	Model   *onnxio.Model
	Profile *costs.Profile
}

// ReadTimes makes a table of costs of what another engine took for models: the points are their nodes with weights, and what lies
// between follows from these. Compressed models beside the original, of several budgets, tell what ranks cost. Of o the input shapes, the
// batch and the threads are looked at.
//
// Where a layer computes several nodes with weights, its time is divided by their multiply-adds; nodes without weights that are fused
// with one count to that. A profile that names no node with a weight is an error.
func ReadTimes(ctx context.Context, list []Profiled, o CostOptions) (*costs.Table, error) {
	if len(list) == 0 {
		return nil, &UsageError{Err: errors.New("no profile to read times from")}
	}
	r := reading{sums: map[string]*taken{}}
	at := list[0].Profile.Machine
	at.Batch, at.Threads = max(o.Batch, at.Batch), max(o.Threads, at.Threads)
	o.Batch = at.Batch
	var models []costs.Model
	for _, p := range list {
		m, err := r.model(ctx, p, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Model.Path, err)
		}
		if !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	var points []costs.Point
	for _, t := range r.sums {
		points = append(points, costs.Point{Piece: t.piece, Micros: t.micros / float64(t.nodes)})
	}
	return costs.New(at, 0, models, points)
}

// reading gathers what pieces take.
type reading struct{ sums map[string]*taken }

// taken is what nodes of one piece take together.
type taken struct {
	piece  costs.Piece
	micros float64
	nodes  int
}

// model reads the layers of one model.
func (r *reading) model(ctx context.Context, p Profiled, o CostOptions) (costs.Model, error) {
	sizes := batched(p.Model, &BenchOptions{InputShapes: o.InputShapes, Batch: o.Batch})
	a, err := Analyse(ctx, p.Model, Options{InputShapes: sizes})
	if err != nil {
		return costs.Model{}, err
	}
	all, _, err := rewrite.Linear(a.model, a.Shapes)
	if err != nil {
		return costs.Model{}, err
	}
	named := map[string]*rewrite.Site{}
	for i := range all {
		named[layerName(all[i].Node)] = &all[i]
	}
	whole, found := 0.0, 0
	for _, l := range p.Profile.Layers {
		whole += l.Micros
		found += r.layer(a, l, named)
	}
	if found == 0 {
		return costs.Model{}, errors.New("the profile names no node of it that multiplies by a weight; make the engine from this file, and give its layers too, exported from an engine that was built with detailed profiling")
	}
	file, err := describe(ctx, p.Model.Path, a.Costs)
	return costs.Model{SHA256: file.SHA256, Micros: whole}, err
}

// layerName is what an engine calls a node.
func layerName(n graph.Node) string {
	if n.Name() == "" {
		return costs.Unnamed(n.Output(0))
	}
	return n.Name()
}

// layer notes the nodes with weights of a layer, and says how many these are.
func (r *reading) layer(a *Analysis, l costs.Layer, named map[string]*rewrite.Site) int {
	var pieces []costs.Piece
	work := 0.0
	for _, name := range l.Nodes {
		s := named[name]
		if s == nil {
			continue
		}
		probes, err := a.probes(s, undivided(s.Kernel))
		if err != nil {
			continue // its sizes are unknown
		}
		pieces = append(pieces, probes[0].Piece)
		work += probes[0].Piece.Work(1)
	}
	for _, p := range pieces {
		t := r.sums[p.Key()]
		if t == nil {
			t = &taken{piece: p}
			r.sums[p.Key()] = t
		}
		share := 1 / float64(len(pieces))
		if work > 0 {
			share = p.Work(1) / work
		}
		t.micros += share * l.Micros
		t.nodes++
	}
	return len(pieces)
}
