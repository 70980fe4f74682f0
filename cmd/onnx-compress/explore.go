package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

type exploreCommand struct {
	streams
	how             compressCommand // by what means models are compressed, and who is told
	budgets         []string
	over            string
	models, picture string
	report          string
}

func newExplore(s streams) *cobra.Command {
	c := &exploreCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "explore MODEL [flags]",
		Short: "compress to several sizes at once, and show what each costs",
		Long: `Compresses a model to several sizes and shows what each of them costs. The model
is analysed, calibrated and factored once; for each budget ranks are chosen, the
model is refitted, written, and run on samples that calibration did not see. A
budget that is out of reach is a line that says why. Without --calib, or
without ONNX Runtime, only what is predicted can be told.`,
		Example: `
  onnx-compress explore model.onnx --calib images/
  onnx-compress explore model.onnx --calib images/ --budgets 0.8,0.6,0.4 \
      --models sizes/ --json=sizes.json --picture sizes.svg
  onnx-compress explore net.onnx --calib val/ --labels val.tsv --over bytes`,
		Annotations: map[string]string{notesOf: `
When it is interrupted, the models that are complete by then stay, and nothing
half-written does.

Exit codes: 0 done, 1 failed, 2 usage, 3 none of the budgets can be reached.`},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, c.declare, configFlags)
}

func (c *exploreCommand) declare(f *flagSet) {
	f.group("What to try")
	f.StringSliceVar(&c.budgets, "budgets", nil, "`LIST` shares of the original, by comma (about eight, from 0.9 down to the least that can be reached)")
	f.StringVar(&c.over, "over", string(compress.MACs), "`RESOURCE` what they are shares of: macs, params, bytes or latency (macs)")
	f.StringVar(&c.how.costs, "costs", "", "`FILE` what ranks cost in time, for budgets of latency, as for compress")
	f.completeWith("over", words(each(append(compress.Resources(), compress.RunTime), func(r compress.Resource) string { return string(r) })...))
	f.group("What to keep")
	f.StringVar(&c.models, "models", "", "`FOLDER` write the model of every budget, as in FOLDER/model.macs-0.50.onnx: the same bytes as compress writes there with --target macs=0.5")
	f.BoolVar(&c.how.opts.Overwrite, "force", false, "replace models that exist there")
	f.StringVar(&c.picture, "picture", "", "`FILE` draw the frontier as SVG")
	f.group("Samples, what may change, how to work")
	f.row("as `onnx-compress help compress` explains them", c.how.calibration, c.how.choice, c.how.work)
	f.describe("calib", "samples to calibrate on, and to judge by those that calibration leaves")
	f.group("What to say")
	reportFlag(f, &c.report, "a page for people: every point of the frontier opens what that model is, and the command that makes it")
	c.how.out.declare(f, "the frontier as JSON", "no text, no progress", "how each point came about: bound, refit, methods")
	c.logFlag(f)
}

// read turns the words into options; path is the model's.
func (c *exploreCommand) read(f *pflag.FlagSet, path string) (o compress.ExploreOptions, err error) {
	if err := c.how.readMeans(f); err != nil {
		return o, err
	}
	for _, flag := range []string{"models", "budgets"} {
		if f.Changed(flag) && f.Lookup(flag).Value.String() == "" {
			return o, usagef("--%s: want a value", flag)
		}
	}
	if err := c.how.prepared(); err != nil {
		return o, err
	}
	o = compress.ExploreOptions{
		Options: c.how.opts.Options, Data: c.how.opts.Data, Over: compress.Resource(c.over), Models: c.models, Overwrite: c.how.opts.Overwrite,
	}
	if err := checkResource(c.over); err != nil {
		return o, usagef("--over: %w", err)
	}
	for _, word := range c.budgets {
		share, err := parseBudget(word)
		if err != nil {
			return o, usagef("--budgets: %w", err)
		}
		o.Budgets = append(o.Budgets, share)
	}
	if o.Options.Costs, err = readCosts(c.how.costs); err != nil {
		return o, err
	}
	files := []string{path, c.how.calib, c.how.samples.labels, c.how.costs}
	return o, writable(f, files, "stats", "json", "report", "picture")
}

// checkResource refuses a word that is no resource.
func checkResource(word string) error {
	names := each(append(compress.Resources(), compress.RunTime), func(r compress.Resource) string { return string(r) })
	if slices.Contains(names, word) {
		return nil
	}
	return fmt.Errorf("unknown resource %q%s; want macs, params, bytes or latency", word, suggest.Phrase(word, names))
}

// parseBudget reads a share of the original.
func parseBudget(word string) (float64, error) {
	t, err := compress.ParseTarget(string(compress.MACs) + "=" + strings.TrimSpace(word))
	if err != nil || !t.Fraction {
		return 0, fmt.Errorf("%q is no share of the original; want for example --budgets 0.8,0.6,40%%", word)
	}
	return t.Value, nil
}

func (c *exploreCommand) run(cmd *cobra.Command, args []string) error {
	path, err := oneModel(cmd, args, &c.how.out)
	if err != nil {
		return err
	}
	o, err := c.read(cmd.Flags(), path)
	if err != nil {
		return err
	}
	m, source, err := opened(path, c.how.calib, &c.how.samples)
	if err != nil {
		return err
	}
	defer m.Close()
	o.Options.Source = source
	e, err := working(c.streams, c.how.env, c.how.out.quiet, func(env *compress.Environment) (*compress.Exploration, error) {
		return compress.Explore(cmd.Context(), env, m, o)
	})
	if err != nil {
		return unfinished(e, err)
	}
	e.Command = commandLine(cmd.CommandPath(), cmd.Flags(), args)
	for i := range e.Points {
		if p := &e.Points[i]; p.Why == "" {
			p.Command = c.alone(cmd.Flags(), e, p)
		}
	}
	draw := func(w io.Writer) error {
		svg, err := report.ExplorationPicture(e, nil)
		if err == nil {
			_, err = w.Write(svg)
		}
		return err
	}
	if err := writeNamed("picture", c.picture, draw); err != nil {
		return err
	}
	if err := writeNamed("report", c.report, inFlags(func(w io.Writer) error { return page.Exploration(w, e) })); err != nil {
		return err
	}
	return c.how.out.write(c.streams.out, e, func(w io.Writer) error { return report.Exploration(w, e, c.how.out.verbose) })
}

// alone is the command that makes the model of a point, to the same bytes.
func (c *exploreCommand) alone(f *pflag.FlagSet, e *compress.Exploration, p *compress.Point) string {
	output := filepath.Join(filepath.Dir(e.Input.Path), compress.ModelName(e.Input.Path, e.Over, p.Budget))
	words := []string{"onnx-compress", "compress", quote.Shell(e.Input.Path), "--target=" + report.BudgetText(e, p), "--output=" + quote.Shell(cmp.Or(p.Path, output))}
	if c.how.calib == "" {
		words = append(words, "--accept-damage") // as explore does, which only predicts then
	}
	if p.Path != "" && !c.how.opts.Overwrite {
		words = append(words, "--force") // it is there
	}
	words = append(words, given(f, quote.Shell, "budgets", "over", "models", "picture", "report", "json", "quiet", "verbose", "log")...)
	return strings.Join(append(words, unconfigured(f)...), " ")
}

// unfinished adds to an error which models were complete before it.
func unfinished(e *compress.Exploration, err error) error {
	var complete []string
	if e != nil {
		for _, p := range e.Points {
			if p.Path != "" {
				complete = append(complete, p.Path)
			}
		}
	}
	switch {
	case len(complete) == 0:
		return err
	case errors.Is(err, context.Canceled):
		return &verdict{exitInterrupted, "interrupted; complete, and kept: " + strings.Join(complete, ", ")}
	}
	return fmt.Errorf("%w; complete, and kept: %s", err, strings.Join(complete, ", "))
}
