package tune

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// plan is what a step is computed with for inputs of certain shapes: a graph of gradients holds for its shapes only.
type plan struct {
	objective *objective
	terms     []term // of these shapes
	graph     *grad.Graph
	session   *ort.Session
	labels    []int // the shape of the labels, nil without
}

// mostPlans is how many are kept. Each has the weights that are not tuned.
const mostPlans = 16

func (p *plan) close() {
	if p.session != nil {
		p.session.Close()
	}
	if p.objective != nil {
		_ = p.objective.model.Close() // it only shares the maps of the compressed model
	}
}

// plan returns the plan for a run, and a function that gives it back.
func (t *trainer) plan(ctx context.Context, r *feed.Run) (*plan, func(), error) {
	return t.plans.Get(r, func(p *plan) error {
		values, err := t.prepare(ctx, p, r)
		if err != nil {
			return err
		}
		return t.differentiate(p, values)
	})
}

// prepare makes the objective for the shapes of a run, and chooses the parameters where that is not done yet.
func (t *trainer) prepare(ctx context.Context, p *plan, r *feed.Run) (grad.Values, error) {
	answers, err := t.teacher.ask(ctx, r, false)
	if err != nil {
		return nil, err
	}
	terms, labels := slices.Clone(t.terms), t.labels
	types := t.teacher.types()
	for i := range terms {
		terms[i].shape, terms[i].typ, terms[i].axis = answers[i].Shape, types[terms[i].value], t.teacher.axis(r, terms[i].value)
		if len(terms[i].shape) != 3 {
			terms[i].words = 0
		}
		if labels != nil && labels.value == terms[i].value {
			one := *labels
			one.shape, one.typ, one.axis, labels = terms[i].shape, terms[i].typ, terms[i].axis, &one
			p.labels = flat(one.shape)
		}
	}
	p.terms = terms
	if p.objective, err = newObjective(t.compressed, terms, t.ends, labels, t.o.Temperature); err != nil {
		return nil, err
	}
	example := map[string]tensor.Dense{}
	for _, in := range graph.Of(p.objective.model).Inputs() {
		name := in.Name()
		if d, ok := r.Inputs[name]; ok {
			example[name] = d
			continue
		}
		var shape []int
		for _, d := range in.Dims() {
			shape = append(shape, max(d.Size, 0))
		}
		example[name] = tensor.New(tensor.Float32, shape...)
	}
	values, err := grad.Observe(ctx, t.host.Library, p.objective.model, example)
	if err != nil || t.params != nil {
		return values, err
	}
	return values, t.choose(p.objective, values)
}

// differentiate builds the graph of a step.
func (t *trainer) differentiate(p *plan, values grad.Values) (err error) {
	if p.graph, err = p.objective.differentiate(values, t.params.names(), t.block); err != nil {
		return err
	}
	defer p.graph.Model.Close()
	if p.session, err = t.host.NewSession(p.graph.Model); err != nil {
		return fmt.Errorf("ONNX Runtime does not take the graph of a step: %w", err)
	}
	return nil
}

// open lays the stages, chooses the parameters by the objective of the first run, and has as much run at once as the memory holds.
func (t *trainer) open(ctx context.Context) (err error) {
	if t.block, err = grad.ChannelBlock(ctx, t.host.Library); err != nil {
		return err
	}
	r, err := t.first(ctx)
	if err != nil {
		return err
	}
	t.lay()
	p := &plan{}
	defer p.close()
	values, err := t.prepare(ctx, p, r)
	if err != nil {
		return err
	}
	return t.house(ctx, values.Computed(p.objective.model), len(r.Samples))
}
