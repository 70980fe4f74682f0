package compress

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// pursuit finds what a method loses at a site, rank by rank: what is known already is not found again, and where all is, nothing is factored.
type pursuit struct {
	of     *Offers
	o      *offer
	method *decomp.Method

	made decomp.Spectrum // nil before it is needed
}

// unansweredBefore is a NumericalError that was met before.
type unansweredBefore struct{ said string }

func (e *unansweredBefore) Error() string { return e.said }

// Unwrap says that it is one.
func (e *unansweredBefore) Unwrap() error { return &linalg.NumericalError{Err: linalg.ErrNotFinite} }

// known is what was found of a rank before; nil for nothing, and where more than its loss is wanted.
func (p *pursuit) known(c *option) *rankFinding {
	if p.o.eight != nil {
		return nil
	}
	return p.of.store.known(p.o.seen).rank(c)
}

// answered tells whether all options are known.
func (p *pursuit) answered(options []option) bool {
	return !slices.ContainsFunc(options, func(c option) bool { return p.known(&c) == nil })
}

func (p *pursuit) spectrum() (decomp.Spectrum, error) {
	var err error
	if p.made == nil {
		p.made, err = p.of.store.spectrum(p.o.seen, p.method)
	}
	return p.made, err
}

// find finds what an option loses. Its errors are those of a Spectrum, and of numbers that are none.
func (p *pursuit) find(c *option) error {
	if r := p.known(c); r != nil {
		switch {
		case r.Refused:
			return &decomp.RefusedError{Method: r.Method, Rank: r.Rank}
		case r.Numerical != "":
			return &unansweredBefore{r.Numerical}
		}
		return c.judge(float64(r.Loss), p.o)
	}
	made, err := p.spectrum()
	if err != nil {
		return err
	}
	loss, err := made.Loss(c.rank)
	if noted := p.of.store.found.noteRank(p.o.seen, c, loss, err); noted != nil {
		return noted
	}
	if err == nil {
		err = c.judge(loss, p.o)
	}
	if err == nil && p.o.eight != nil {
		err = p.of.round(c, p.o, made)
	}
	return err
}
