package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// initCommand has the flags of init, each the answer to a question.
type initCommand struct {
	streams
	in      io.Reader // whoever answers, nil where nobody is asked
	samples sampleFlags
	output  string
	force   bool
}

func newInit(s streams) *cobra.Command {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return newInitOf(s, os.Stdin)
	}
	return newInitOf(s, nil)
}

// newInitOf is the command for whoever answers at in.
func newInitOf(s streams, in io.Reader) *cobra.Command {
	c := &initCommand{streams: s, in: in}
	return declare(&cobra.Command{
		Use:   "init MODEL [flags]",
		Short: "ask five questions, and write onnx-compress.yaml",
		Long: `Asks where samples are, how they are prepared, what the model gives, what to
reach and what for, and writes a commented onnx-compress.yaml, with which
` + "`onnx-compress MODEL`" + ` is the whole command. What is suggested follows from the
model and from what lies in the current folder. A flag answers its question;
away from a terminal nothing is asked, and what would be suggested holds.`,
		Example: `
  onnx-compress init model.onnx
  onnx-compress init model.onnx --calib photos/ --target agree=99.5%`,
		Annotations:       map[string]string{notesOf: "Exit codes: 0 done, 1 failed, 2 usage."},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}, func(f *flagSet) {
		f.group("Answers")
		f.String("calib", "", "`PATH` samples, in the forms that compress takes; - for none")
		f.row(asForCompress, c.samples.declare)
		shapeFlag(f, new([]string), "the shape of an input that the model leaves open")
		f.StringArray("kind", nil, "`OUTPUT=KIND` what an output is, as for compress")
		f.StringArray("target", nil, "`KIND=VALUE` what to reach, as for compress; may be repeated")
		f.String("for", "", "`PURPOSE` what the model is made for, as for compress")
		f.completeWith("target", kinds(targetWords()...))
		f.completeWith("for", words(each(compress.Purposes(), func(p compress.Purpose) string { return string(p) })...))
		f.group("The configuration")
		f.StringVarP(&c.output, "output", "o", configName, "`FILE` where it goes ("+configName+")")
		f.BoolVar(&c.force, "force", false, "replace it if it exists")
	})
}

// subject is the model that a configuration is made for.
type subject struct {
	path    string
	inputs  []samples.InputSpec
	takes   map[string]compress.InputKind // by input
	outputs []compress.OutputInspection
	open    map[string][]int // suggested shapes of inputs whose sizes are open, beyond the batch
	text    string
}

func (c *initCommand) run(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("which model? for example: onnx-compress init model.onnx")
	}
	if _, err := os.Lstat(c.output); err == nil && !c.force {
		return fmt.Errorf("%s: %w; it stays as it is", c.output, fs.ErrExist)
	}
	if err := canWrite("--output "+c.output, c.output, args[0]); err != nil {
		return err
	}
	m, err := onnxio.Read(args[0])
	if err != nil {
		return mistyped(args[0], err)
	}
	defer m.Close()
	about, err := subjectOf(m)
	if err != nil {
		return err
	}
	a := answers{}
	if err := a.take(cmd.Flags()); err != nil {
		return err
	}
	if err := c.ask(cmd.Context(), about, a); err != nil {
		return err
	}
	if a["calib"] == nil {
		if err := c.samples.needs(cmd.Flags(), "calib", ""); err != nil {
			return err
		}
	}
	text, err := configFor(about, a)
	if err != nil {
		return err
	}
	if err := writeFile(c.output, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		return err
	}
	_, err = io.WriteString(c.out, c.next(cmd.Flags(), about, a))
	return err
}

// subjectOf looks at a model.
func subjectOf(m *onnxio.Model) (*subject, error) {
	list, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	found, err := compress.Inspect(m, nil, compress.Selection{})
	if err != nil {
		return nil, err
	}
	s := &subject{path: m.Path, inputs: list, takes: map[string]compress.InputKind{}, open: found.Suggested}
	var takes, gives []string
	for _, in := range list {
		takes = append(takes, quote.Name(in.String()))
	}
	for _, in := range found.Inputs {
		s.takes[in.Name] = in.Kind
	}
	for _, o := range found.Outputs {
		gives = append(gives, quote.Name(o.Name)+": "+string(o.Kind))
		if !slices.Contains([]verify.Kind{"state", "opaque"}, o.Kind) {
			s.outputs = append(s.outputs, o)
		}
	}
	work := ""
	if found.MACs > 0 {
		work = ", " + report.Count(found.MACs) + " multiply-adds"
	}
	s.text = fmt.Sprintf("%s has %s parameters%s, takes %s, and gives %s.", quote.Name(m.Path), report.Count(found.Params), work, strings.Join(takes, ", "), strings.Join(gives, ", "))
	return s, nil
}

// answers are the values of flags of compress, as words.
type answers map[string][]string

// prepares are the flags that say how images are prepared, and answerable all that are answers, in the order of the configuration.
var (
	prepares   = []string{"resize", "crop", "normalize", "mean", "std", "scale", "layout", "order"}
	answerable = slices.Concat([]string{"calib", "labels"}, prepares, []string{"input-shape", "kind", "target", "for"})
)

// take reads those that stand on the command line.
func (a answers) take(f *pflag.FlagSet) error {
	main := newCompress(streams{}).Flags()
	for _, name := range answerable {
		flag := f.Lookup(name)
		if !flag.Changed {
			continue
		}
		a[name] = []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			a[name] = list.GetSlice()
		}
		for _, word := range a[name] {
			if err := checkWord("compress", main.Lookup(name), word); err != nil {
				return usagef("--%s %s: %w", name, word, err)
			}
		}
	}
	return nil
}

// errEnded ends the questions where the answers end.
var errEnded = errors.New("the answers ended; nothing was written")

// ask asks what the command line does not say; where there is nobody to ask, what would be suggested holds.
func (c *initCommand) ask(ctx context.Context, about *subject, a answers) error {
	d := &dialogue{ctx: ctx, in: c.in, out: c.out}
	d.say(about.text + "\n")
	if c.in != nil {
		d.say("Enter takes what stands in brackets, and - is none.\n")
	}
	for _, q := range about.questions() {
		if slices.ContainsFunc(q.flags, func(name string) bool { return a[name] != nil }) || q.passed(a) {
			continue
		}
		if err := d.put(q, a); err != nil {
			return err
		}
	}
	for name, words := range a {
		if len(words) == 0 || len(words) == 1 && (words[0] == "" || words[0] == none) {
			delete(a, name)
		}
	}
	return d.err
}

// next says what there is to do with the configuration.
func (c *initCommand) next(f *pflag.FlagSet, about *subject, a answers) string {
	run := "onnx-compress " + quote.Shell(about.path)
	outside := slices.ContainsFunc(insideOnly, func(name string) bool { return a[name] != nil && !inside(a[name][0]) })
	if c.output != configName || outside {
		run += " --config " + quote.Shell(c.output)
	}
	if a["calib"] != nil {
		return fmt.Sprintf("%s is written. Next:\n  %s\n", quote.Name(c.output), run)
	}
	way, again := about.doors()[0], "onnx-compress init "+quote.Shell(about.path)
	if way.made == "" {
		again += " " + way.flags
	}
	for _, word := range given(f, quote.Shell) { // as it was answered, but for what samples say themselves
		if name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "="); !slices.Contains([]string{"calib", "input-shape", "force"}, name) {
			again += " " + word
		}
	}
	return fmt.Sprintf("%s is written, without samples: nothing real will judge the result. A few hundred make it far better.\n%s\n  %s --force\nWithout them:\n  %s\n",
		quote.Name(c.output), way, again, run)
}
