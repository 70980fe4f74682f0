package compress

import (
	"context"

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
// accepts it. Of the options those about targets, plans and statistics are not looked at;
// with Source, errors are those on its samples.
func InspectSpectra(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (*Inspection, error) {
	if err := onFile(m); err != nil && o.Source != nil {
		return nil, err
	}
	o.Stats, o.Offers = "", nil
	a, of, err := factored(ctx, env.afresh(), m, o)
	if err != nil {
		return nil, err
	}
	defer of.close()
	out, err := inspection(a)
	if err != nil {
		return nil, err
	}
	for i := range of.sites {
		out.Sites[i].Spectra = of.sites[i].spectra(a.methods)
	}
	return out, nil
}

// factored analyses a model and factors its sites, whatever it is to become.
func factored(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (*Analysis, *Offers, error) {
	o.Targets, o.Goals, o.FromPlan = nil, nil, nil
	o = o.WithDefaults()
	if err := o.checkNumbers(); err != nil {
		return nil, nil, err
	}
	o.RankMultiple = max(o.RankMultiple, 1) // no search has to be spared ranks
	a, err := analysed(ctx, env, m, o)
	if err != nil {
		return nil, nil, err
	}
	of, err := Factor(ctx, env, a, o)
	if err != nil {
		return a, of, err
	}
	known, err := of.everything(ctx, env, a)
	if err != nil {
		of.close()
	}
	return a, known, err
}

// analysed is Analyse as a stage, with what a run can show.
func analysed(ctx context.Context, env *Environment, m *onnxio.Model, o Options) (a *Analysis, err error) {
	err = env.stage(ctx, "analyse", func(*stage) (err error) {
		a, err = analyse(ctx, env, m, o)
		return err
	})
	return a, err
}
