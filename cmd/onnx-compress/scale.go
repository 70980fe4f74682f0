package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// scaleScripts are the scripts, one for each engine.
//
//go:embed scale/*.tmpl
var scaleScripts embed.FS

func newScale(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale make|slurm|kubernetes|ray",
		Short: "print a script that compresses in parts",
		Long: `Prints a script for an engine that runs jobs, which compresses a model in parts:
the units of ` + "`onnx-compress shard`" + ` in their order, which of them may run again
after a failure, and what memory they want. The model that it makes has the same
bytes as that of one command with the same flags. See docs/scale.md.`,
		Example: `
  onnx-compress scale make model.onnx --calib images/ --parts 4 > compress.mk
  make -j 4 -f compress.mk
  onnx-compress scale slurm model.onnx --calib images/ --parts 16 | sh`,
		Annotations: map[string]string{orderOf: "make slurm kubernetes ray"},
	}
	cmd.AddCommand(
		newScaleOf(s, "make", "a Makefile", "Prints a Makefile, for one machine, or for several with a make that has them."),
		newScaleOf(s, "slurm", "a script that submits jobs to Slurm", `Prints a shell script that submits the jobs to Slurm: arrays of jobs, each of
which waits until the one before is done (afterok).`),
		newScaleOf(s, "kubernetes", "Jobs of Kubernetes", `Prints the Jobs: indexed ones for the parts, with a policy that tells failures
that may come right another time from those that do not, by exit codes.`),
		newScaleOf(s, "ray", "a Python script for Ray", "Prints a Python script of tasks for a cluster of Ray."),
	)
	cmd.RunE = wantsOneOf(each(cmd.Commands(), (*cobra.Command).Name))
	return cmd
}

type scaleCommand struct {
	streams
	engine string
	parts  int
	how    compressCommand
}

func newScaleOf(s streams, engine, what, long string) *cobra.Command {
	c := &scaleCommand{streams: s, engine: engine}
	return declare(&cobra.Command{
		Use:   engine + " MODEL --calib SAMPLES --parts N [flags]",
		Short: "print " + what,
		Long: long + `
Paths are those that the jobs see, in the folder that they run in; model and
samples are looked at here, too. Jobs ask for the processors of --threads (4),
and for the memory and the time that are foretold for each of them: three times
as long as counted at ten billion multiply-adds a second and core.`,
		Example:           fmt.Sprintf("  onnx-compress scale %s model.onnx --calib images/ --target macs=0.5 \\\n      --parts 16", engine),
		ValidArgsFunction: ending("onnx").asked,
		RunE:              c.run,
	}, func(f *flagSet) {
		f.IntVar(&c.parts, "parts", 0, "`N` how many parts")
		f.group("What is compressed, and how")
		f.row("as `onnx-compress help compress` explains them", c.how.declare)
	}, configFlags)
}

// scaled is what a script is made of.
type scaled struct {
	Model, Output string
	Folder        string // of what the units write
	Name          string // of the model, as a label
	Parts         int
	Indices       []int
	Unit, Whole   []string // flags of the parts, and of the last command
	Log           []string // flags of what lines of logs look like, which the others have too
	CPUs          int
	Rate          string // what times are counted by
	Jobs          []scaledJob
}

// Of returns a step.
func (p *scaled) Of(step string) scaledJob {
	return p.Jobs[slices.IndexFunc(p.Jobs, func(j scaledJob) bool { return j.Step == step })]
}

// scaledJob is a step of the work.
type scaledJob struct {
	Step    string
	Indexed bool // there is one for each part
	Command string
	MiB     int64 // of memory that each unit asks for
	Minutes int64 // that each may take
}

// Seconds is what a unit may take.
func (j scaledJob) Seconds() int64 { return 60 * j.Minutes }

// rate is how many multiply-adds a core is taken to do in a second, and slack how many times as long as that a unit may take, beside so many
// minutes to start and to read.
const (
	rate         = 10_000_000_000
	slack        = 3
	leastMinutes = 10
)

// asks turns what a unit needs into what is asked for.
func (j *scaledJob) asks(need compress.UnitNeed, cores int) {
	j.MiB = (need.Memory + 1<<20 - 1) >> 20
	j.Minutes = leastMinutes + int64(math.Ceil(slack*need.Work/rate/float64(cores)/60))
}

func (c *scaleCommand) run(cmd *cobra.Command, args []string) error {
	f := cmd.Flags()
	path, err := oneModel(cmd, args, &c.how.out)
	if err != nil {
		return err
	}
	if c.parts < 1 {
		return usagef("--parts %d: say in how many parts, at least 1", c.parts)
	}
	if c.how.calib == "" {
		return usagef("there is nothing to calibrate on; name the samples with --calib")
	}
	if err := c.how.read(f); err != nil {
		return err
	}
	if err := c.how.prepared(); err != nil {
		return err
	}
	if c.how.tune {
		c.how.opts.Descent = &c.how.tuning.options
	}
	p, err := c.scaled(cmd.Context(), f, path)
	if err != nil {
		return err
	}
	if c.engine == "make" {
		for _, path := range []string{p.Model, p.Output} {
			if !plainPath().MatchString(path) {
				return usagef("make wants paths of letters, digits and ./_+,@- alone, and there is %q", path)
			}
		}
	}
	script, err := template.New(c.engine+".tmpl").Funcs(template.FuncMap{
		"shell": quote.Shell, "quoted": twice, "make": forMake, "python": forPython, "said": quote.Name,
	}).ParseFS(scaleScripts, "scale/"+c.engine+".tmpl")
	if err != nil {
		return err
	}
	return script.Execute(c.out, p)
}

// plainPath matches what means itself in a Makefile.
func plainPath() *regexp.Regexp { return regexp.MustCompile(`^[\pL\d._+,@/-]+$`) }

// scaled works out what the script is made of. What would hang on the machine is said.
func (c *scaleCommand) scaled(ctx context.Context, f *pflag.FlagSet, path string) (*scaled, error) {
	if c.how.env.Threads == 0 {
		c.how.env.Threads = 4
	}
	needs, err := c.foresee(ctx, path)
	if err != nil {
		return nil, err
	}
	for flag, value := range map[string]string{"threads": fmt.Sprint(c.how.env.Threads), "memory": wholeSize(c.how.opts.Memory)} {
		if err := f.Set(flag, value); err != nil {
			return nil, err
		}
	}
	p := &scaled{
		Model: path, Output: c.how.opts.Output, Folder: strings.TrimSuffix(path, filepath.Ext(path)) + ".parts", Parts: c.parts,
		Log: []string{}, CPUs: c.how.env.Threads, Rate: fmt.Sprint(rate / 1_000_000_000),
	}
	if p.Output == "" {
		p.Output = defaultPattern.of(path)
	}
	p.Name = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))), "-"), "-")
	p.Name = strings.TrimRight(("model-" + p.Name)[:min(len("model-"+p.Name), 40)], "-")
	for k := range c.parts {
		p.Indices = append(p.Indices, k+1)
	}
	unit := flagNames(settable(newShardCalibrate(streams{}).Flags()))
	plain := func(word string) string { return word }
	not := []string{"parts", "output", "force", "stats", "quiet"}
	p.Whole = given(f, plain, not...)
	p.Unit = slices.DeleteFunc(slices.Clone(p.Whole), func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		return !slices.Contains(unit, name)
	})
	p.Unit, p.Whole = append(p.Unit, unconfigured(f)...), append(p.Whole, unconfigured(f)...) // all is said here
	for _, word := range append([]string{p.Model, p.Output}, p.Whole...) {
		if strings.ContainsFunc(word, unicode.IsControl) {
			return nil, usagef("%q has a character that no script can have", word)
		}
	}
	if format := f.Lookup("log"); format.Changed {
		p.Log = []string{"--log=" + format.Value.String()}
	}
	p.Jobs = p.jobs()
	for i, need := range []compress.UnitNeed{needs.Calibrate, needs.Merge, needs.Factor, needs.Write} {
		p.Jobs[i].asks(need, p.CPUs)
	}
	return p, nil
}

// foresee foretells what the units need.
func (c *scaleCommand) foresee(ctx context.Context, path string) (f compress.Foresight, err error) {
	m, source, err := opened(path, c.how.calib, &c.how.samples)
	if err != nil {
		return f, err
	}
	defer m.Close()
	c.how.opts.Source = source
	external, err := onnxio.ExternalBytes(path)
	if err != nil {
		return f, err
	}
	return working(c.streams, c.how.env, true, func(env *compress.Environment) (compress.Foresight, error) {
		return compress.Foresee(ctx, env, m, c.how.opts.Options, c.parts, int64(m.Size())+external)
	})
}

// wholeSize is a number of bytes as --memory takes it, exactly.
func wholeSize(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%unit.size == 0 {
			return fmt.Sprint(n/unit.size, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// jobs are the steps as commands of a shell in which a part has its index, from 0.
func (p *scaled) jobs() []scaledJob {
	words := func(list ...string) string { return strings.Join(each(list, quote.Shell), " ") }
	folder := quote.Shell(p.Folder)
	part := fmt.Sprintf("k=$((JOB_COMPLETION_INDEX + 1)); mkdir -p %s; exec onnx-compress shard ", folder)
	unit, whole := words(p.Unit...), words(p.Whole...)
	return []scaledJob{
		{Step: "calibrate", Indexed: true, Command: fmt.Sprintf("%scalibrate %s %s --part $k/%d -o %s/stats-$k.ocs", part, quote.Shell(p.Model), unit, p.Parts, folder)},
		{Step: "merge", Command: fmt.Sprintf("exec onnx-compress shard merge %s/stats-*.ocs -o %s/stats.ocs%s", folder, folder, strings.Join(append([]string{""}, p.Log...), " "))},
		{Step: "factor", Indexed: true, Command: fmt.Sprintf("%sfactor %s %s --stats %s/stats.ocs --part $k/%d -o %s/offers-$k.oco", part, quote.Shell(p.Model), unit, folder, p.Parts, folder)},
		{Step: "write", Command: fmt.Sprintf("exec onnx-compress shard write %s %s/offers-*.oco %s --stats %s/stats.ocs -o %s --force", quote.Shell(p.Model), folder, whole, folder, quote.Shell(p.Output))},
	}
}

// twice writes words for a shell whose output another shell reads.
func twice(v any) string {
	return strings.Join(each(wordsOf(v), func(word string) string { return quote.Shell(quote.Shell(word)) }), " ")
}

// forMake writes words for the recipes of a Makefile, from a variable of it.
func forMake(list []string) string {
	return strings.NewReplacer("$", "$$", "#", `\#`).Replace(strings.Join(each(list, quote.Shell), " "))
}

// forPython writes a word, or a list of words, as Python has it.
func forPython(v any) (string, error) {
	text, err := json.Marshal(v)
	return strings.ReplaceAll(string(text), `","`, `", "`), err
}

// wordsOf is a word, or a list of them, as a list.
func wordsOf(v any) []string {
	if word, one := v.(string); one {
		return []string{word}
	}
	list, _ := v.([]string)
	return list
}
