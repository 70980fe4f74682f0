package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/gate"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/verify"
)

// gateFlags turn a comparison into a gate: what must hold, and who is told.
type gateFlags struct {
	words           []string
	junit, markdown string
	required        []verify.Bound
}

func (g *gateFlags) declare(f *flagSet) {
	f.StringArrayVar(&g.words, "require", nil, "`NAME=BOUND` fail unless it holds; may be repeated\n"+
		"  agree       least share with the same top class\n"+
		"  drop        largest loss of top-1 accuracy\n"+
		"  class-drop  largest loss of accuracy of any class\n"+
		"  kl          largest KL divergence of the token\n"+
		"  ppl         largest increase of perplexity (+5%)\n"+
		"  boxes       least share of boxes that match\n"+
		"  snr         least signal to noise ratio, in dB\n"+
		"  cosine      least cosine\n"+
		"  recall      least share of nearest neighbours kept\n"+
		"  mean-error, max-error\n"+
		"              largest relative error\n"+
		"with several outputs the worst one decides")
	f.StringVar(&g.junit, "junit", "", "`FILE` the checks as JUnit XML")
	f.StringVar(&g.markdown, "markdown", "", "`FILE` the checks and numbers as Markdown")
	f.completeWith("require", kinds(each(verify.Measures(), func(m verify.Measure) string { return cobra.CompletionWithDesc(string(m)+"=", m.Title()) })...))
}

// read turns the words into bounds.
func (g *gateFlags) read() error {
	for _, word := range g.words {
		b, err := verify.ParseBound(word)
		if err != nil {
			return usagef("--require %w", err)
		}
		g.required = append(g.required, b)
	}
	return nil
}

// judged is a comparison with what was required of it.
type judged struct {
	*compress.Verification
	Checks []gate.Check `json:"checks,omitempty"`
}

// failures says which bounds do not hold.
func failures(checks []gate.Check) string {
	var out []string
	for _, c := range checks {
		s := fmt.Sprintf("%s: required %s, found %s", quote.Name(c.Name), c.Required, quote.Name(c.Found))
		if c.Where != "" {
			s += " at " + quote.Name(c.Where)
		}
		if len(c.Samples) > 0 {
			s += "; look at " + strings.Join(each(c.Samples, quote.Name), "; ")
		}
		out = append(out, s)
	}
	return strings.Join(out, "\nonnx-compress: ")
}

// judge tells everybody the outcome, and is an error where a bound does not hold.
func (g *gateFlags) judge(v *compress.Verification, s streams, out *outputFlags) error {
	var checks []gate.Check
	if len(g.required) > 0 || g.junit != "" || g.markdown != "" {
		checks = gate.Judge(v.Report, g.required)
	}
	if err := errors.Join(
		writeNamed("junit", g.junit, func(w io.Writer) error { return gate.JUnit(w, v.Report, checks) }),
		writeNamed("markdown", g.markdown, func(w io.Writer) error { return gate.Markdown(w, v.Report, checks) }),
	); err != nil {
		return err
	}
	err := out.write(s.out, judged{v, checks}, func(w io.Writer) error { return report.Verification(w, v) })
	if failed := gate.Failed(checks); err == nil && len(failed) > 0 {
		return &verdict{exitBound, failures(failed)}
	}
	return err
}
