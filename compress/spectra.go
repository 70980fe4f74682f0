package compress

import (
	"context"
	"errors"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// SpectrumInspection is what one method could do at a site.
type SpectrumInspection struct {
	Method string `json:"method"`
	// BreakEven is the last of Ranks: the largest rank, of those that a search looks at
	// first, that saves MACs or parameters.
	BreakEven decomp.Rank `json:"break_even"`
	// Ranks are those that save something and have factors, in ascending order of size.
	Ranks []RankInspection `json:"ranks"`
}

// RankInspection is one rank of a method at a site.
type RankInspection struct {
	Rank decomp.Rank `json:"rank"`
	// Loss is the mean squared error of the site's output over its variance, weighed by
	// the sensitivity of the model's outputs where there are probes; data-free, that of
	// the weight over its squared norm.
	Loss float64 `json:"loss"`
	// MACs is 0 where the size is unknown.
	MACs   int64 `json:"macs"`
	Params int64 `json:"params"`
}

// InspectSpectra lists what Inspect does, and factors every site by every method that
// accepts it. Of the options those about targets, plans and the output are not looked at;
// with Source, errors are those on its samples.
func InspectSpectra(ctx context.Context, m *onnxio.Model, o Options) (*Inspection, error) {
	o.Targets, o.Goals, o.FromPlan, o.Stats = nil, nil, nil, ""
	o = o.withDefaults()
	if err := o.checkNumbers(); err != nil {
		return nil, err
	}
	if m.Path == "" && o.Source != nil {
		return nil, errors.New("the model was made in memory; write it to a file and read it from there, so that samples can be run")
	}
	var out *Inspection
	err := factorAll(ctx, m, o, func(j *job) {
		out = inspection(m, j.analysis)
		for i, offer := range j.offers {
			out.Sites[i].Spectra = offer.spectraOf(j.methods)
		}
	})
	return out, err
}

// factorAll analyses a model and factors its sites, and lets use look at what came of that.
func factorAll(ctx context.Context, m *onnxio.Model, o Options, use func(*job)) error {
	o.RankMultiple = max(o.RankMultiple, 1) // no search has to be spared ranks
	methods, err := o.methods()
	if err != nil {
		return err
	}
	libs, err := OpenLibraries(o.Runtime)
	if err != nil {
		return err
	}
	defer libs.Close()
	j := &job{opts: o, model: m, libs: libs, methods: methods, result: &Result{}}
	defer j.close()
	if err := j.walk(ctx, j.analyse, j.factor); err != nil {
		return err
	}
	use(j)
	return nil
}

// spectraOf sorts the options by method.
func (o *offer) spectraOf(methods []decomp.Method) []SpectrumInspection {
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
