package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/onnxio"
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

// shrinkError says that models could be smaller than they may.
type shrinkError struct{ said string }

func (e *shrinkError) Error() string { return e.said }

func runCheck(ctx context.Context, args []string, s streams) error {
	var (
		w                       wantFlags
		out                     outputFlags
		pattern, most, tolerant string
	)
	f := newFlags("check")
	f.StringVar(&pattern, "compressed", string(defaultPattern), "")
	f.StringVar(&most, "max-shrink", "30%", "")
	f.StringVar(&tolerant, "tolerance", "1%", "")
	w.add(f)
	out.add(f, "quiet")
	files, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("which models? for example: onnx-compress check models/*.onnx")
	}
	if err := namePattern(pattern).check("--compressed", files); err != nil {
		return err
	}
	limit, err := parseShare("max-shrink", most)
	if err != nil {
		return err
	}
	tolerance, err := parseShare("tolerance", tolerant)
	if err != nil {
		return err
	}
	if err := out.check(files...); err != nil {
		return err
	}
	want := provenance.Want{Source: w.source, Data: w.compress.calib, AnyData: w.anyData}
	if w.targeted() {
		if want, err = w.options(want); err != nil {
			return err
		}
	}
	results, sources, err := sortOut(files, namePattern(pattern))
	if err != nil {
		return err
	}
	c := checked{Schema: checkSchema, Files: []provenance.Status{}, Estimates: []estimated{}}
	if c.Files, err = provenance.Check(ctx, results, func(string) provenance.Want { return want }); err != nil {
		return err
	}
	for _, path := range sources {
		e, err := w.estimate(ctx, path, tolerance)
		if err != nil {
			return err
		}
		c.Estimates = append(c.Estimates, estimated{*e, e.Shrink(), e.Shrink() > limit})
	}
	if err := out.write(s.out, c, c.text); err != nil {
		return err
	}
	return c.judge(limit)
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
	m, err := onnxio.Read(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	o := w.compress.opts.Options
	if o.Memory, err = byteSize(w.compress.memory); err != nil {
		return nil, err
	}
	if o.InputShapes, err = inputShapes(w.compress.shapes); err != nil {
		return nil, err
	}
	if w.compress.calib != "" {
		if o.Source, err = openSamples(m, w.compress.calib, &w.compress.samples); err != nil {
			return nil, err
		}
	}
	env, err := compress.Open(w.compress.env)
	if err != nil {
		return nil, err
	}
	defer env.Close()
	return compress.EstimateShrink(ctx, env, m, o, tolerance)
}

// parseShare reads 0.3 or 30%.
func parseShare(flag, s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, usagef("--%s %q: want a share such as 0.3 or 30%%", flag, s)
	}
	return v, nil
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
			e.Path, verdict, report.Percent(e.Shrink), report.Count(e.Before.Params), report.Count(e.After.Params),
			report.Count(e.Before.MACs-e.After.MACs), report.Percent(e.Tolerance), measured, e.Factored)
	}
	return w.Flush()
}

// judge is an error where something is stale, could shrink, or is not known.
func (c *checked) judge(limit float64) error {
	all := statuses{Files: c.Files}
	err := all.judge()
	if stale := (*staleError)(nil); errors.As(err, &stale) {
		return &staleError{stale.said + "; compress anew with onnx-compress convert"}
	}
	var big []string
	for _, e := range c.Estimates {
		if e.TooBig {
			big = append(big, e.Path)
		}
	}
	if len(big) > 0 {
		return &shrinkError{fmt.Sprintf("could shrink by more than %s: %s; compress with onnx-compress convert, or raise --max-shrink", report.Percent(limit), strings.Join(big, ", "))}
	}
	return err
}
