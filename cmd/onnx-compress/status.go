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
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// statusSchema names the shape of statuses as JSON.
const statusSchema = "onnx-compress/status/1"

// statuses are what `onnx-compress status` found.
type statuses struct {
	Schema string              `json:"schema"`
	Files  []provenance.Status `json:"files"`
}

// wantFlags are those of compress, which say what is wanted of a compressed model, and
// where its source and samples are.
type wantFlags struct {
	compress compressCommand
	words    *pflag.FlagSet // of compress, whole
	source   string
	anyData  bool
}

// ownOutput names the flags of compress that say what becomes of one result; commands that
// only share its options leave them out.
func ownOutput() []string {
	return []string{"output", "plan", "time", "report", "force", "json", "quiet", "verbose", "log"}
}

// options declares the flags of compress that say how a model is compressed, under their own names.
func (w *wantFlags) options(f *flagSet, text string) {
	all := declare(&cobra.Command{Use: "compress"}, w.compress.declare)
	w.words = all.Flags()
	for _, flag := range flagsOf(w.words) {
		if slices.Contains(ownOutput(), flag.Name) {
			continue
		}
		annotate(flag, headingOf, f.heading)
		annotate(flag, rowOf, "and every other flag of compress "+text)
		annotate(flag, firstOf, "yes")
		f.AddFlag(flag)
	}
}

// files declares where a source is, and whether its calibration data matter.
func (w *wantFlags) files(f *flagSet) {
	f.StringVar(&w.source, "source", "", "`PATH` where the source is, if not where the record says; a folder is searched for the name in the record")
	f.BoolVar(&w.anyData, "any-data", false, "do not look at the calibration data")
}

// want turns the flags into what is wanted. Options are compared where one of them is given.
func (w *wantFlags) want(ctx context.Context) (provenance.Want, error) {
	out := provenance.Want{Source: w.source, Data: w.compress.calib, AnyData: w.anyData}
	given := false
	for _, flag := range flagsOf(w.words) {
		given = given || flag.Changed && flag.Name != "calib"
	}
	if !given {
		return out, nil
	}
	return w.wanted(ctx, out)
}

// targeted says whether the flags say what to reach, without which they are no options to
// compare.
func (w *wantFlags) targeted() bool {
	return w.words.Changed("target") || w.words.Changed("from-plan")
}

// wanted adds the options that are wanted.
func (w *wantFlags) wanted(ctx context.Context, out provenance.Want) (provenance.Want, error) {
	if err := w.compress.read(w.words); err != nil {
		return out, err
	}
	var err error
	if w.compress.opts.FromPlan, err = w.compress.plan.read(); err != nil {
		return out, err
	}
	if err := w.compress.prepared(); err != nil {
		return out, err
	}
	if w.compress.tune {
		a, err := samples.ParseAugment(w.compress.tuning.augment)
		if err != nil {
			return out, usagef("--augment: %w", err)
		}
		if a != (samples.Augment{}) {
			w.compress.tuning.options.Augment = &samples.Augmenter{Augment: a}
		}
		w.compress.opts.Descent = &w.compress.tuning.options
		out.TuneData = w.compress.tuneData
	}
	if out.Options, err = w.compress.opts.Recorded(); err == nil && w.compress.through != "" {
		out.Options[compress.ThroughKey], err = onnxio.Digest(ctx, w.compress.through)
	}
	return out, err
}

type statusCommand struct {
	streams
	want wantFlags
	out  outputFlags
}

func newStatus(s streams) *cobra.Command {
	c := &statusCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "status FILE... [flags]",
		Short: "say whether compressed models still fit their sources",
		Long: `Says of compressed models whether they still fit what they were made from. Each
has in its metadata the hashes of its source, of the calibration data and of the
options, and of its own weights; source, data and weights are read and hashed
again, wherever they lie. A file is fresh; or stale, with what changed: source,
data, options or weights; or a source that another one of the files was made
from; or unknown, where it has no record, or its source or data are not found.
Records of earlier versions have no hash of the weights, and it is said that a
change of these is unknown.`,
		Example: `
  onnx-compress status small.onnx
  onnx-compress status models/*.onnx --any-data
  onnx-compress status small.onnx --target macs=0.5 --calib images/ --crop 224`,
		Annotations:       map[string]string{notesOf: "Exit codes: 0 all are fresh, 4 one is stale, 1 none is, but one is unknown."},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, c.declare, configFlags)
}

func (c *statusCommand) declare(f *flagSet) {
	c.want.files(f)
	c.want.options(f, "that decides on the result: the options that are wanted now; without any of them options are not compared")
	f.describe("calib", "where the calibration data are, if not where the record says")
	c.out.declare(f, "as JSON", "no text", "where source and data lie, and which version was used")
}

func (c *statusCommand) run(cmd *cobra.Command, files []string) error {
	if len(files) == 0 {
		return usagef("which compressed models? for example: onnx-compress status small.onnx")
	}
	if err := writable(cmd.Flags(), append([]string{c.want.source, c.want.compress.calib}, files...), "json"); err != nil {
		return err
	}
	want, err := c.want.want(cmd.Context())
	if err != nil {
		return err
	}
	found, err := provenance.Check(cmd.Context(), files, func(string) provenance.Want { return want })
	if err != nil {
		return err
	}
	all := statuses{statusSchema, found}
	if err := c.out.write(c.streams.out, all, func(w io.Writer) error { return all.text(w, c.out.verbose) }); err != nil {
		return err
	}
	return all.judge()
}

// judge is an error unless all files are fresh.
func (s *statuses) judge() error {
	var stale, unknown []string
	for _, f := range s.Files {
		switch f.State {
		case provenance.Stale:
			stale = append(stale, f.Path)
		case provenance.Unknown:
			unknown = append(unknown, f.Path)
		}
	}
	switch {
	case len(stale) > 0:
		return &verdict{exitStale, "stale: " + strings.Join(stale, ", ")}
	case len(unknown) > 0:
		return errors.New("not known to be fresh: " + strings.Join(unknown, ", "))
	}
	return nil
}

// text writes the statuses for people.
func (s *statuses) text(out io.Writer, verbose bool) error {
	w := bufio.NewWriter(out) // which keeps the first error
	for _, f := range s.Files {
		printStatus(w, f)
		if verbose && f.State != provenance.Unknown && f.State != provenance.Original {
			fmt.Fprintf(w, "  source %s\n  data %s\n  made by onnx-compress %s\n", quote.Name(f.Source), quote.Name(orNone(f.Data)), quote.Name(f.Version))
		}
	}
	return w.Flush()
}

// printStatus writes how it is with one file, and the options that are others now. The writer keeps its first error.
func printStatus(w *bufio.Writer, f provenance.Status) {
	fmt.Fprintln(w, statusLine(f))
	for _, o := range f.Options {
		fmt.Fprintf(w, "  option %s: %s, was %s\n", quote.Name(o.Name), quote.Name(orNone(o.Now)), quote.Name(orNone(o.Was)))
	}
}

// statusLine says how it is with one file.
func statusLine(f provenance.Status) string {
	path := quote.Name(f.Path)
	switch f.State {
	case provenance.Stale:
		return fmt.Sprintf("%s: STALE: changed since it was made: %s", path, quote.Name(changes(f)))
	case provenance.Original:
		return fmt.Sprintf("%s: source: %s", path, quote.Name(f.Why))
	case provenance.Unknown:
		return fmt.Sprintf("%s: UNKNOWN: %s%s", path, quote.Name(f.Why), whereHint(f.Err))
	}
	if slices.Contains(f.Untold, provenance.Weights) {
		return path + ": fresh, but for its weights, of which that is unknown: the version that made it did not record their hash"
	}
	return path + ": fresh"
}

// changes names what changed, and where that lies.
func changes(f provenance.Status) string {
	var out []string
	for _, c := range f.Changed {
		switch path := map[string]string{provenance.Source: f.Source, provenance.Data: f.Data}[c]; {
		case path != "":
			out = append(out, c+" ("+path+")")
		case c == provenance.Data:
			out = append(out, "data (there are none now)")
		case c == provenance.Weights:
			out = append(out, "weights ("+f.Why+")")
		default:
			out = append(out, c)
		}
	}
	return strings.Join(out, ", ")
}

// whereHint names the flag that says where something missing is.
func whereHint(err error) string {
	missing := (*provenance.MissingError)(nil)
	if !errors.As(err, &missing) {
		return ""
	}
	if missing.What == provenance.Source {
		return "; say where it is with --source"
	}
	return "; say where they are with --calib, or pass --any-data"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
