package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

// checkSchema names the shape of a check as JSON.
const checkSchema = "onnx-compress/check/1"

// checked is what `onnx-compress check` found.
type checked struct {
	Schema    string              `json:"schema"`
	Files     []provenance.Status `json:"files"`
	Estimates []estimated         `json:"estimates"`
}

// estimated is an estimate and its verdict.
type estimated struct {
	compress.Estimate
	Shrink float64 `json:"shrink"`
	TooBig bool    `json:"too_big"`
}

type checkCommand struct {
	streams
	want                    wantFlags
	out                     outputFlags
	pattern, most, tolerant string
}

func newCheck(s streams) *cobra.Command {
	c := &checkCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "check FILE... [flags]",
		Short: "fail where a model could shrink, or its compressed one is stale",
		Long: `Fails where a compressed model is stale, as status does, or where a model that
has none could shrink by more than a stated share of its parameters. The
estimate factors every node by svd (or --methods) at the least rank that loses
no more than the tolerance; nothing is written. A source whose compressed model
is there stands for that one, so that a commit of either is checked; a file of
weights (.data) for the model beside it, and onnx-compress.yaml for all models
in its folder and below.`,
		Example: `
  onnx-compress check models/*.onnx
  onnx-compress check net.onnx --max-shrink 20% --tolerance 2% --calib images/`,
		Annotations: map[string]string{notesOf: `
Exit codes: 0 nothing to do, 4 a compressed model is stale, 5 a model could
shrink by too much, 1 something could not be read or found.`},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, c.declare, configFlags)
}

func (c *checkCommand) declare(f *flagSet) {
	f.StringVar(&c.most, "max-shrink", "30%", "`X` the share of parameters that may be too many (30%)")
	f.StringVar(&c.tolerant, "tolerance", "1%", "`X` the share that each node may lose: of its weight, or with --calib of the variance of its output (1%)")
	f.StringVar(&c.pattern, "compressed", string(defaultPattern), "`PATTERN` where the compressed model of a source is, % being its name without .onnx (%.small.onnx, in the same folder)")
	f.row("as for status", c.want.files)
	c.want.options(f, "that decides on the result: what is wanted of compressed models; without --target their options are not compared")
	f.describe("calib", "samples to estimate on, and the calibration data that a compressed model is held against")
	c.out.declare(f, "as JSON", "no text", "")
}

func (c *checkCommand) run(cmd *cobra.Command, files []string) error {
	if len(files) == 0 {
		return usagef("which models? for example: onnx-compress check models/*.onnx")
	}
	files, err := standing(files, c.err)
	if err != nil {
		return err
	}
	if err := namePattern(c.pattern).check("--compressed", files); err != nil {
		return err
	}
	limit, err := parseShare("max-shrink", c.most)
	if err != nil {
		return err
	}
	tolerance, err := parseShare("tolerance", c.tolerant)
	if err != nil {
		return err
	}
	if err := writable(cmd.Flags(), files, "json"); err != nil {
		return err
	}
	want := provenance.Want{Source: c.want.source, Data: c.want.compress.calib, AnyData: c.want.anyData}
	if c.want.targeted() {
		if want, err = c.want.wanted(cmd.Context(), want); err != nil {
			return err
		}
	}
	results, sources, err := sortOut(files, namePattern(c.pattern))
	if err != nil {
		return err
	}
	found := checked{Schema: checkSchema, Files: []provenance.Status{}, Estimates: []estimated{}}
	if found.Files, err = provenance.Check(cmd.Context(), results, func(string) provenance.Want { return want }); err != nil {
		return err
	}
	for _, path := range sources {
		e, err := c.want.estimate(cmd.Context(), path, tolerance)
		if err != nil {
			return err
		}
		found.Estimates = append(found.Estimates, estimated{*e, e.Shrink(), e.Shrink() > limit})
	}
	if err := c.out.write(c.streams.out, found, found.text); err != nil {
		return err
	}
	return found.judge(limit)
}

// sortOut tells compressed models from those that have none. A source whose compressed
// model is there stands for that.
func sortOut(files []string, pattern namePattern) (results, sources []string, err error) {
	for _, path := range files {
		result := path
		done, err := compressed(path)
		if err == nil && !done {
			result = pattern.of(path)
			if done, err = exists(result); err == nil && done {
				done, err = compressed(result)
			}
		}
		if err != nil {
			return nil, nil, err
		}
		switch {
		case !done:
			sources = append(sources, path)
		case !slices.Contains(results, result):
			results = append(results, result)
		}
	}
	return results, sources, nil
}

// estimate finds by how much a model could shrink.
func (w *wantFlags) estimate(ctx context.Context, path string, tolerance float64) (*compress.Estimate, error) {
	m, behind, source, err := openedThrough(path, w.compress.through, w.compress.calib, &w.compress.samples)
	if err != nil {
		return nil, err
	}
	defer closeAll(m, behind)
	o := w.compress.opts.Options
	o.Source, o.Through = source, behind
	if o.Memory, err = memoryLimit(w.compress.memory); err != nil {
		return nil, err
	}
	if o.InputShapes, err = inputShapes(w.compress.shapes); err != nil {
		return nil, err
	}
	env, err := compress.Open(w.compress.env)
	if err != nil {
		return nil, err
	}
	defer env.Close()
	return compress.EstimateShrink(ctx, env, m, o, tolerance)
}

// text writes the check for people.
func (c *checked) text(out io.Writer) error {
	w := bufio.NewWriter(out) // which keeps the first error
	for _, f := range c.Files {
		printStatus(w, f)
	}
	for _, e := range c.Estimates {
		verdict, measured := "ok", "of the variance of its output"
		if e.TooBig {
			verdict = "TOO BIG"
		}
		if e.DataFree {
			measured = "of the weight of a node"
		}
		fmt.Fprintf(w, "%s: %s: could lose %s of its parameters (%s → %s) and %s MACs, with at most %s %s lost at each of %d nodes\n",
			quote.Name(e.Path), verdict, report.Percent(e.Shrink), report.Count(e.Before.Params), report.Count(e.After.Params),
			report.Count(e.Before.MACs-e.After.MACs), report.Percent(e.Tolerance), measured, e.Factored)
	}
	return w.Flush()
}

// judge is an error where something is stale, could shrink, or is not known.
func (c *checked) judge(limit float64) error {
	all := statuses{Files: c.Files}
	err := all.judge()
	if stale, ok := errors.AsType[*verdict](err); ok {
		return &verdict{stale.code, stale.said + "; compress anew with onnx-compress convert"}
	}
	var big []string
	for _, e := range c.Estimates {
		if e.TooBig {
			big = append(big, e.Path)
		}
	}
	if len(big) > 0 {
		return &verdict{exitBound, fmt.Sprintf("could shrink by more than %s: %s; compress with onnx-compress convert, or raise --max-shrink", report.Percent(limit), strings.Join(big, ", "))}
	}
	return err
}
