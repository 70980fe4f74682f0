package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// exploreFlags are the words of `onnx-compress explore`.
type exploreFlags struct {
	how             compressFlags // its means, --force, and who is told
	budgets         []string
	over            string
	models, picture string
	page            pageFlags
}

func (x *exploreFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&x.budgets, "budgets", nil, "")
	f.StringVar(&x.over, "over", string(compress.MACs), "")
	f.StringVar(&x.models, "models", "", "")
	f.StringVar(&x.picture, "picture", "", "")
	x.page.add(f)
	f.BoolVar(&x.how.opts.Overwrite, "force", false, "")
	x.how.addMeans(f)
	x.how.out.add(f, "quiet", "verbose")
}

// read turns the words into options; path is the model's.
func (x *exploreFlags) read(f *pflag.FlagSet, path string) (o compress.ExploreOptions, err error) {
	if err := x.how.readMeans(f); err != nil {
		return o, err
	}
	for _, flag := range []string{"models", "picture", "budgets"} {
		if f.Changed(flag) && f.Lookup(flag).Value.String() == "" {
			return o, usagef("--%s: want a value", flag)
		}
	}
	if err := x.how.prepared(); err != nil {
		return o, err
	}
	o = compress.ExploreOptions{
		Options: x.how.opts.Options, Data: x.how.opts.Data, Over: compress.Resource(x.over), Models: x.models, Overwrite: x.how.opts.Overwrite,
	}
	if !slices.Contains(compress.Resources(), o.Over) {
		return o, usagef("--over %s: want macs, params or bytes", x.over)
	}
	for _, word := range x.budgets {
		t, err := compress.ParseTarget(x.over + "=" + strings.TrimSpace(word))
		if err != nil || !t.Fraction {
			return o, usagef("--budgets: %q is no share of the original; want for example --budgets 0.8,0.6,40%%", word)
		}
		o.Budgets = append(o.Budgets, t.Value)
	}
	return o, x.check(f, path)
}

// check refuses files that cannot be written, before the work begins.
func (x *exploreFlags) check(f *pflag.FlagSet, path string) error {
	files := []string{path, x.how.calib, x.how.samples.labels, x.how.opts.Stats}
	if err := x.how.out.check(append(files, x.picture)...); err != nil {
		return err
	}
	if x.how.opts.Stats != "" {
		if err := canWrite("--stats "+x.how.opts.Stats, x.how.opts.Stats, files[:3]...); err != nil {
			return err
		}
	}
	if err := x.page.check(f, append(files, x.picture, string(x.how.out.json))...); err != nil {
		return err
	}
	if x.picture == "" {
		return nil
	}
	return canWrite("--picture "+x.picture, x.picture, files...)
}

func runExplore(ctx context.Context, args []string, s streams) error {
	var x exploreFlags
	f := newFlags("explore")
	x.add(f)
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	path, err := oneModel(rest, &x.how.out)
	if err != nil {
		return err
	}
	o, err := x.read(f, path)
	if err != nil {
		return err
	}
	m, err := onnxio.Read(path)
	if err != nil {
		return err
	}
	defer m.Close()
	if x.how.calib != "" {
		if o.Options.Source, err = openSamples(m, x.how.calib, &x.how.samples); err != nil {
			return err
		}
	}
	env, end, err := s.open(x.how.env, x.how.out.quiet)
	if err != nil {
		return err
	}
	e, err := compress.Explore(ctx, env, m, o)
	end()
	if err != nil {
		return unfinished(e, err)
	}
	if err := x.draw(e); err != nil {
		return err
	}
	if err := x.page.write(func(w io.Writer) error { return page.Exploration(w, e) }); err != nil {
		return err
	}
	return x.how.out.write(s.out, e, func(w io.Writer) error { return report.Exploration(w, e, x.how.out.verbose) })
}

// draw writes the picture that was asked for.
func (x *exploreFlags) draw(e *compress.Exploration) error {
	if x.picture == "" {
		return nil
	}
	svg, err := report.ExplorationPicture(e)
	if err == nil {
		err = writeFile(x.picture, func(w io.Writer) error { _, err := w.Write(svg); return err })
	}
	if err != nil {
		return fmt.Errorf("--picture %s: %w", x.picture, err)
	}
	return nil
}

// unfinished adds to an error which models were complete before it.
func unfinished(e *compress.Exploration, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (--force)", err)
	}
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
		return &interruptedError{"complete, and kept: " + strings.Join(complete, ", ")}
	}
	return fmt.Errorf("%w; complete, and kept: %s", err, strings.Join(complete, ", "))
}
