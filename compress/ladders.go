package compress

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/search"
)

// option is one way to write a site: a method at a rank, or (method nil) as
// it is.
type option struct {
	method *decomp.Method
	rank   decomp.Rank
	macs   int64
	params int64
	// share is the error of the site's output as a share of the offer's energy.
	share float64
	// loss is what the search adds up: the expected squared change of the model's
	// outputs where sensitivities were collected, else the share.
	loss float64
}

// offer is a site with its factorizations, and the options that come of them.
type offer struct {
	site    rewrite.Site
	spectra map[string]decomp.Spectrum
	// energy is the variance of the site's output under its metric, or, data-free,
	// the squared norm of its weight: what shares are of.
	energy float64
	// sensitive says that the metric has the sensitivity of the model's outputs,
	// which makes loss per position times positions their expected change.
	sensitive bool
	positions float64
	// output is the second moment of the sensitivity per group, nil without.
	output []*linalg.Matrix
	// mean is E[x] per group where the chain's output is to be shifted, else nil.
	mean    [][]float64
	note    string
	options []option
	// overhead is what the nodes of each method add to a file, in bytes; nil where
	// that was not asked for.
	overhead map[string]int64
}

// dense is the option that leaves the site alone.
func dense(s *rewrite.Site) option {
	return option{macs: s.DenseMACs(), params: s.Kernel.Params()}
}

// options lists what is open at a site, every rank of every method that saves
// something, the dense site last. multiple restricts the ranks.
func options(f *offer, methods []decomp.Method, multiple int) ([]option, error) {
	s := &f.site
	whole := dense(s)
	var shift int64
	if f.mean != nil {
		shift = s.ShiftParams()
	}
	var out []option
	for i := range methods {
		m := &methods[i]
		spectrum, ok := f.spectra[m.Name]
		if !ok {
			continue
		}
		for _, r := range m.Ranks(s.Kernel, multiple) {
			chain := m.Factors(s.Kernel, r)
			o := option{method: m, rank: r, macs: s.MACs(chain), params: s.NewParams(chain) + shift}
			if o.macs >= whole.macs && o.params >= whole.params {
				continue
			}
			loss, err := spectrum.Loss(r)
			if refused := (*decomp.RefusedError)(nil); errors.As(err, &refused) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("node %q (weight %q): %w", s.Name, s.Weight, err)
			}
			if f.energy > 0 {
				o.share = loss / f.energy
			}
			if o.loss = o.share; f.sensitive {
				o.loss = loss * f.positions
			}
			if !(o.loss >= 0) || math.IsInf(o.loss, 0) {
				return nil, fmt.Errorf("node %q (weight %q): %s at rank %v has the loss %g; want a finite number of at least 0: the weight or its input has numbers out of all proportion; leave the node alone with --keep", s.Name, s.Weight, m.Name, r, o.loss)
			}
			out = append(out, o)
		}
	}
	return append(out, whole), nil
}

// ladder is a set of sites that move together, because they share one weight:
// it may only be dropped when all of them stop using it.
type ladder struct {
	offers []*offer
	// rungs holds, per rung, the option of every offer.
	rungs [][]option
}

// ladders groups the offers by weight, in the order of their first site.
func ladders(offers []*offer) []ladder {
	var out []ladder
	at := map[string]int{}
	for _, o := range offers {
		i, seen := at[o.site.Weight]
		if !seen {
			i = len(out)
			at[o.site.Weight] = i
			out = append(out, ladder{})
		}
		out[i].offers = append(out[i].offers, o)
	}
	for i := range out {
		out[i].rungs = rungs(out[i].offers)
	}
	return out
}

// rungs pairs the options of sites that share a weight: the same method at the
// same rank in all of them.
func rungs(offers []*offer) [][]option {
	var out [][]option
	for _, first := range offers[0].options {
		rung := []option{first}
		for _, o := range offers[1:] {
			if i := slices.IndexFunc(o.options, first.same); i >= 0 {
				rung = append(rung, o.options[i])
			}
		}
		if len(rung) == len(offers) {
			out = append(out, rung)
		}
	}
	return out
}

// same says whether both write a site in the same way.
func (o option) same(p option) bool {
	if o.method == nil || p.method == nil {
		return o.method == p.method
	}
	return o.method.Name == p.method.Name && slices.Equal(o.rank, p.rank)
}

// searchLadders states the choice as arithmetic: costs per target and losses.
func searchLadders(ls []ladder, targets []Target) []search.Ladder {
	out := make([]search.Ladder, len(ls))
	for i, l := range ls {
		out[i].Name = l.offers[0].site.Name
		for _, rung := range l.rungs {
			r := search.Rung{Costs: make([]float64, len(targets))}
			for k, t := range targets {
				r.Costs[k] = float64(l.cost(rung, t.Resource))
			}
			for _, o := range rung {
				r.Loss += o.loss
			}
			out[i].Rungs = append(out[i].Rungs, r)
		}
	}
	return out
}

// cost is what a rung needs of a resource. The shared weight counts once, and
// stays where something else needs it.
func (l *ladder) cost(rung []option, r Resource) int64 {
	var sum int64
	if r == Bytes {
		return l.bytes(rung)
	}
	if r == MACs {
		for _, o := range rung {
			sum += o.macs
		}
		return sum
	}
	keep := l.offers[0].site.WeightStays
	for _, o := range rung {
		if o.method == nil {
			keep = true
		} else {
			sum += o.params
		}
	}
	if keep {
		sum += l.offers[0].site.Kernel.Params()
	}
	return sum
}
