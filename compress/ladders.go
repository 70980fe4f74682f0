package compress

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
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

// key names the method and the rank.
func (o option) key() string {
	if o.method == nil {
		return Dense
	}
	return o.method.Name + fmt.Sprint([]int(o.rank))
}

// offer is a site and the options open at it.
type offer struct {
	site rewrite.Site
	// metric and spectra, by method, are what the site is factored from and its
	// factorizations so far; both are nil where memory does not allow to hold them.
	metric  *decomp.Metric
	spectra map[string]decomp.Spectrum
	// energy is the variance of the site's output under its metric, or, data-free,
	// the squared norm of its weight: what shares are of.
	energy float64
	// sensitive says that the metric has the sensitivity of the model's outputs,
	// which makes loss per position times positions their expected change.
	sensitive bool
	positions float64
	// ratio corrects that by measurements: all losses are multiplied with it; 1 without.
	ratio float64
	// output is the second moment of the sensitivity per group, nil without.
	output []*linalg.Matrix
	// felt weighs the output positions; empty where they weigh the same.
	felt moments.Felt
	// mean is E[x] per group where the chain's output is to be shifted, else nil.
	mean [][]float64
	note string
	// options are what is open, the dense site last; asked has the keys of all that
	// methods were asked about, refused or not.
	options []option
	asked   map[string]bool
	// overhead is what the nodes of each method add to a file, in bytes; nil where
	// that was not asked for.
	overhead map[string]int64
}

// dense is the option that leaves the site alone.
func dense(s *rewrite.Site) option {
	return option{macs: s.DenseMACs(), params: s.Kernel.Params()}
}

// add adds options before the dense one.
func (o *offer) add(more []option) {
	last := len(o.options) - 1
	o.options = slices.Insert(o.options, last, more...)
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
	paired := make([][]option, len(offers[0].options))
	at := map[string]int{}
	for i, c := range offers[0].options {
		paired[i], at[c.key()] = []option{c}, i
	}
	for n, o := range offers[1:] {
		for _, c := range o.options {
			if i, both := at[c.key()]; both && len(paired[i]) == n+1 {
				paired[i] = append(paired[i], c)
			}
		}
	}
	return slices.DeleteFunc(paired, func(rung []option) bool { return len(rung) < len(offers) })
}

// same says whether both write a site in the same way.
func (o option) same(p option) bool { return o.key() == p.key() }

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
