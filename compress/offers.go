package compress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// Offers are what could be had at every site, and at which loss, as far as that is known: of more ranks the more often a
// choice was made among them. Asking for further ranks, or correcting losses by measurements, gives other Offers.
type Offers struct {
	// Calibration says what losses are measured on, nil where that is the weights alone.
	Calibration *Calibration
	// Corrections are measurements that losses were corrected by; nil where nothing was measured. Of each site and axis there is one at most.
	Corrections []Correction
	// AnyRank says that ranks need not fit blocks of channels any more, because no target can be met with those that do.
	AnyRank bool
	// HalfBlocks says that widths need only fill halves of blocks, because they would lose too much otherwise.
	HalfBlocks bool

	// weights are those of the outputs, by which all have the same share.
	weights map[string]float64
	sites   []offer     // in the order of Analysis.Sites
	axes    []axisOffer // in the order of Analysis.Axes
	store   *store
	// forecast says what options take in time; nil where that is not asked for.
	forecast *forecast
}

// option is one way to write a site: a method at a rank, or (method nil) as
// it is.
type option struct {
	method *decomp.Method
	rank   decomp.Rank
	macs   int64
	params int64
	// share is the error of the site's output as a share of the seen energy.
	share float64
	// loss is what the search adds up: the expected squared change of the model's
	// outputs where sensitivities were collected, else the share.
	loss float64
	// rounding is what eight bits add to it, where that is asked for and once it is known.
	rounding float64
}

// key names the method and the rank.
func (o option) key() string {
	if o.method == nil {
		return Dense
	}
	return o.method.Name + fmt.Sprint([]int(o.rank))
}

// same says whether both write a site in the same way.
func (o option) same(p option) bool {
	if o.method == nil || p.method == nil {
		return o.method == p.method
	}
	return o.method.Name == p.method.Name && slices.Equal(o.rank, p.rank)
}

// seen is a site and what calibration saw there.
type seen struct {
	site rewrite.Site
	// energy is the variance of the site's output under its metric, or, data-free,
	// the squared norm of its weight: what shares are of.
	energy float64
	// sensitive says that the metric has the sensitivity of the model's outputs,
	// which makes loss per position times positions their expected change.
	sensitive bool
	positions float64
	columns   int64 // that were seen of the inputs
	// output is the second moment of the sensitivity per group, nil without, and where it is pulled back to the inputs.
	output []*linalg.Matrix
	pulled bool
	// felt weighs the output positions; empty where they weigh the same.
	felt moments.Felt
	// mean is E[x] per group where the chain's output is to be shifted, else nil.
	mean [][]float64
	// eight is nil where nobody asks what eight bits cost.
	eight *eightAt
	note  string
	// noise is how much of the inputs' covariance is noise of so few samples; 0 without samples.
	noise float64
	// floors are what methods in closed form lose at every rank, by name; refused says why one of them has no answer at any.
	floors  map[string]decomp.Floor
	refused map[string]error
	// blind says that calibration saw nothing that can be used; note says why.
	blind bool
	// overhead is what the nodes of each method add to a file, in bytes; nil where
	// that was not asked for.
	overhead map[string]int64
}

// offer is what could be had at a site.
type offer struct {
	*seen
	// ratio corrects losses by measurements: all are multiplied with it; 1 without.
	ratio float64
	// options are those whose losses are known, the dense site last. Of open ones only a bound for the loss is: they are factored where
	// that could matter. asked has the keys of all that methods were asked about, refused or not.
	options, open []option
	asked         map[string]bool
	// dropped are notes on ranks that the numbers had no answer for.
	dropped []string
}

// notes are what there is to say of the site.
func (o *offer) notes() string {
	all := o.dropped
	if o.note != "" {
		all = append([]string{o.note}, all...)
	}
	return strings.Join(all, "; ")
}

// shiftParams are the parameters of a shift of what the site computes, 0 where chains have none.
func (s *seen) shiftParams() int64 {
	if s.mean == nil {
		return 0
	}
	return s.site.ShiftParams()
}

// dense is the option that leaves the site alone.
func dense(s *rewrite.Site) option {
	return option{macs: s.DenseMACs(), params: s.Kernel.Params()}
}

// with is the offer with what was answered, before the dense option, and without what is no longer open.
func (o offer) with(q *inquiry) offer {
	o.options = slices.Insert(slices.Clone(o.options), len(o.options)-1, q.answered...)
	o.open = slices.DeleteFunc(slices.Clone(o.open), func(c option) bool { return slices.ContainsFunc(q.open, c.same) })
	for i := range o.open {
		for _, c := range q.answered {
			o.open[i].raise(c)
		}
	}
	o.open = append(o.open, q.left...)
	if note := q.note(); note != "" {
		o.dropped = append(slices.Clone(o.dropped), note)
	}
	return o
}

// openOf are the open options of a method.
func (o *offer) openOf(m *decomp.Method) []option {
	var out []option
	for _, c := range o.open {
		if c.method == m {
			out = append(out, c)
		}
	}
	return out
}

// rescaled multiplies the losses of all options, and of those still to come.
func (o offer) rescaled(ratio float64) offer {
	o.ratio *= ratio
	o.options = slices.Clone(o.options)
	for i := range o.options {
		o.options[i].loss *= ratio
	}
	o.open = slices.Clone(o.open)
	for i := range o.open {
		o.open[i].loss *= ratio
	}
	return o
}

// with are the offers with what was answered, in the order of the questions.
func (of *Offers) with(questions []*inquiry) *Offers {
	next := *of
	next.sites = slices.Clone(of.sites)
	for _, q := range questions {
		next.sites[q.site] = next.sites[q.site].with(q)
	}
	return &next
}

// measure says what the losses are.
func (of *Offers) measure() Measure {
	if slices.ContainsFunc(of.sites, func(o offer) bool { return o.sensitive }) {
		return OutputChange
	}
	return EnergyShare
}

// close releases where moments are kept.
func (of *Offers) close() {
	if of != nil {
		_ = of.store.close() // a temporary file, which nothing is lost with
	}
}

// spectra sorts the options of a site by method.
func (o *offer) spectra(methods []decomp.Method) []SpectrumInspection {
	out := []SpectrumInspection{}
	for i := range methods {
		s := SpectrumInspection{Method: methods[i].Name}
		for _, c := range o.options {
			if c.method == &methods[i] {
				s.Ranks = append(s.Ranks, RankInspection{Rank: c.rank, Loss: c.share, MACs: c.macs, Params: c.params})
				s.BreakEven = c.rank
			}
		}
		if len(s.Ranks) > 0 {
			out = append(out, s)
		}
	}
	return out
}
