package main

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/spf13/cobra"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/tune"
)

func TestByteSize(t *testing.T) {
	for word, want := range map[string]int64{
		"1": 1, "4096": 4096, "512MiB": 512 << 20, "512mib": 512 << 20, "2GiB": 2 << 30, "2G": 2e9, "2GB": 2e9, "1.5k": 1500,
		"64 KiB": 64 << 10, "7b": 7, "1e3": 1000, "0.001kB": 1, "1000000000GiB": 1e9 * (1 << 30),
	} {
		got, err := byteSize(word)
		if err != nil || got != want {
			t.Errorf("byteSize(%q) = %d, %v; want %d", word, got, err, want)
		}
	}
	for _, word := range []string{"", "much", "MiB", "-1", "0", "0.5", "NaN", "inf", "1e30", "2GiBs", "2 3", "1TiB!", "0x10Q", "9e18GiB"} {
		if got, err := byteSize(word); err == nil || !strings.Contains(err.Error(), "512MiB") {
			t.Errorf("byteSize(%q) = %d, %v; want an error with an example", word, got, err)
		}
	}
}

// TestSizesAgree: a size means the same bytes for every flag that takes one.
func TestSizesAgree(t *testing.T) {
	for word, want := range map[string]int64{
		"2G": 2e9, "2g": 2e9, "2GB": 2e9, "2GiB": 2 << 30, "512M": 512e6, "512MB": 512e6, "512MiB": 512 << 20, "300k": 300e3, "300kB": 300e3, "300KiB": 300 << 10,
		"1T": 1e12, "1TiB": 1 << 40, "4096": 4096, "1.5G": 15e8,
	} {
		memory, err := byteSize(word)
		if err != nil || memory != want {
			t.Errorf("--memory %s is %d, %v; want %d", word, memory, err, want)
		}
		target, err := compress.ParseTarget("bytes=" + word)
		if err != nil || target.Fraction || target.Value != float64(want) {
			t.Errorf("--target bytes=%s is %v, %v; want %d", word, target, err, want)
		}
	}
	for _, word := range []string{"2Gi", "2P", "G", "2GG", ""} {
		if n, err := byteSize(word); err == nil {
			t.Errorf("--memory %s is %d", word, n)
		}
		if target, err := compress.ParseTarget("bytes=" + word); err == nil {
			t.Errorf("--target bytes=%s is %v", word, target)
		}
	}
}

// FuzzByteSize: whatever is accepted is a size that memory can have.
func FuzzByteSize(f *testing.F) {
	for _, s := range []string{"2GiB", "1e3", "-0", "0x1p4", "9223372036854775807", "1_000", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := byteSize(s); err == nil && (n < 1 || n > 1<<60) {
			t.Errorf("byteSize(%q) = %d", s, n)
		}
	})
}

func TestInputShapes(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want map[string][]int
	}{
		{nil, map[string][]int{}},
		{[]string{"x=1x3x224x224"}, map[string][]int{"x": {1, 3, 224, 224}}},
		{[]string{"a=5", "b=2,3", "c=4×5"}, map[string][]int{"a": {5}, "b": {2, 3}, "c": {4, 5}}},
		{[]string{"scope/x:0=1x2"}, map[string][]int{"scope/x:0": {1, 2}}},
		{[]string{"a=b=7"}, map[string][]int{"a=b": {7}}},
		{[]string{"x:1,64", "y:1x3x224x224", "z=[1, 3]"}, map[string][]int{"x": {1, 64}, "y": {1, 3, 224, 224}, "z": {1, 3}}},
		{[]string{"x:0:1x2"}, map[string][]int{"x:0": {1, 2}}},
		{[]string{"past=1x1x0x64"}, map[string][]int{"past": {1, 1, 0, 64}}},
	} {
		got, err := inputShapes(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("inputShapes(%q) = %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"x", "want NAME="},
		{"=1x3", "want NAME="},
		{"x=", "has no sizes"},
		{"x=x", "has no sizes"},
		{"x=1x-3", `"-3" is not a positive size`},
		{"x:y", `"y" is not a positive size`},
		{"x=1x3.5", `"3.5" is not a positive size`},
		{"x=1x4294967296", "not a positive size"},
		{"x=1x?", `"?" is not a positive size`},
	} {
		if got, err := inputShapes([]string{c.in}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("inputShapes(%q) = %v, %v; want an error with %q", c.in, got, err, c.want)
		}
	}
	if _, err := inputShapes([]string{"x=1", "x=1"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a shape given twice: %v", err)
	}
}

func FuzzInputShapes(f *testing.F) {
	for _, s := range []string{"x=1x3", "a=b=2", "=", "x=1xx2", "x=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shapes, err := inputShapes([]string{s})
		if err != nil {
			return
		}
		for name, shape := range shapes {
			if len(shapes) != 1 || !strings.HasPrefix(s, name+"=") && !strings.HasPrefix(s, name+":") || len(shape) == 0 || slices.Min(shape) < 0 || slices.Max(shape) > math.MaxInt32 {
				t.Errorf("inputShapes(%q) = %v", s, shapes)
			}
		}
	})
}

// helpOf is what help says of a command.
func helpOf(t *testing.T, name string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(append([]string{"help"}, strings.Fields(name)...), streams{out: &out, err: &errs}); code != exitDone || errs.Len() > 0 {
		t.Fatalf("help %s: code %d, %s", name, code, &errs)
	}
	return out.String()
}

// everyCommand lists the commands by what follows the program's name, those below others too, but for cobra's own.
func everyCommand() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, c := range newRoot(streams{}).Commands() {
		all[c.Name()] = c
		if c.Name() == "completion" {
			continue
		}
		for _, below := range c.Commands() {
			all[c.Name()+" "+below.Name()] = below
		}
	}
	return all
}

// TestHelpNamesTheFlags: every flag that a help text names exists, in that command or the
// main one, and every flag of a command is named, or stands in a row that says where it is.
func TestHelpNamesTheFlags(t *testing.T) {
	main := newCompress(streams{}).Flags()
	for name, c := range everyCommand() {
		named := map[string]bool{}
		for _, m := range regexp.MustCompile(`--([a-z][a-z0-9-]*)`).FindAllStringSubmatch(helpOf(t, name), -1) {
			named[m[1]] = true
			below := slices.ContainsFunc(c.Commands(), func(c *cobra.Command) bool { return c.Flags().Lookup(m[1]) != nil })
			if c.Flags().Lookup(m[1]) == nil && main.Lookup(m[1]) == nil && !below {
				t.Errorf("help %s names --%s", name, m[1])
			}
		}
		for _, flag := range flagsOf(c.Flags()) {
			if !named[flag.Name] && annotation(flag, firstOf) == "" {
				t.Errorf("help %s does not name --%s", name, flag.Name)
			}
		}
		if c.Name() == "compress" && len(named) < 20 {
			t.Errorf("only %d flags were found in the text", len(named))
		}
	}
}

// TestHelpFits: help is read in terminals of 80 columns.
func TestHelpFits(t *testing.T) {
	for name := range everyCommand() {
		for i, line := range strings.Split(helpOf(t, name), "\n") {
			if len([]rune(line)) > 80 || strings.TrimRight(line, " ") != line || strings.Contains(line, "\t") {
				t.Errorf("help %s, line %d: %q", name, i+1, line)
			}
		}
	}
}

// TestFirstScreen: the first help shows targets of every kind, each of which can be pasted, and is no longer than a screen.
func TestFirstScreen(t *testing.T) {
	var out bytes.Buffer
	if code := run([]string{"--help"}, streams{out: &out, err: &out}); code != exitDone {
		t.Fatal(out.String())
	}
	if n := strings.Count(out.String(), "\n"); n > 50 {
		t.Errorf("it has %d lines", n)
	}
	_, after, _ := strings.Cut(out.String(), "\nTargets (")
	section, _, _ := strings.Cut(after, "\n\n")
	for _, kind := range targetWords() {
		at := strings.Index(section, " "+kind)
		if at < 0 {
			t.Errorf("%s is not among %q", kind, section)
			continue
		}
		o := compress.Options{}
		if err := o.AddTarget(strings.Fields(section[at:])[0]); err != nil {
			t.Error(err)
		}
	}
}

// TestWriteFlags: headings, rows, tables and long names each have their place.
func TestWriteFlags(t *testing.T) {
	cmd := declare(&cobra.Command{}, func(f *flagSet) {
		f.group("What to do")
		f.StringP("output", "o", "", "`FILE` where it goes, or else "+strings.Repeat("long ", 12)+"text\n  a  one\n  b  two\nand more")
		f.BoolP("quiet", "q", false, "no text")
		f.String("long-one", "", "`NAME=1x3` below")
		f.String("json", "", "`[=FILE]` as JSON")
		f.group("How to do it")
		f.row("as for others", func(f *flagSet) {
			for i := range 6 {
				f.Int(fmt.Sprintf("number-%d", i), 0, "`N` a number")
			}
		})
		f.describe("number-2", "a number of its own")
	})
	var b bytes.Buffer
	writeFlags(&b, cmd.Flags())
	const want = `
What to do:
  -o, --output FILE       where it goes, or else long long long long long long
                          long long long long long long text
                            a  one
                            b  two
                          and more
  -q, --quiet             no text
      --long-one NAME=1x3 below
      --json[=FILE]       as JSON

How to do it:
      --number-0 N, --number-1 N, --number-3 N, --number-4 N, --number-5 N
                          as for others
      --number-2 N        a number of its own
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	if got := summary(cmd.Flags().Lookup("output")); !strings.HasSuffix(got, "long text") {
		t.Errorf("summary %q", got)
	}
}

// TestFieldFlags: every option that texts name has its flag; what is no option stays.
func TestFieldFlags(t *testing.T) {
	flags := newCompress(streams{}).Flags()
	for _, o := range compress.OptionNames() {
		if flag := fieldFlags()[o]; flags.Lookup(flag) == nil {
			t.Errorf("%s: there is no flag --%s", o, flag)
		}
	}
	for text, want := range map[string]string{
		"lower Options.CalibSamples, or raise Options.VerifySamples": "lower --calib-samples, or raise --verify-samples",
		"Options.Select.Only \"x\" and Options.Select.Keep":          "--only \"x\" and --keep",
		"Conv InputShapes, Keep, ONNX Runtime":                       "Conv InputShapes, Keep, ONNX Runtime",
	} {
		if got := withFlags(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// said are options with their defaults, and nothing for what is empty.
func said(o compress.Options) compress.Options {
	o = o.WithDefaults()
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); (f.Kind() == reflect.Slice || f.Kind() == reflect.Map) && f.Len() == 0 {
			f.SetZero()
		}
	}
	return o
}

// TestZeroOptions: what a command line without flags asks for is what the zero options mean.
func TestZeroOptions(t *testing.T) {
	zero := said(compress.Options{})
	one := &compressCommand{}
	cmd := declare(&cobra.Command{}, one.declare)
	if err := one.readMeans(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	if got := said(one.opts.Options); !reflect.DeepEqual(got, zero) {
		t.Errorf("compress: %+v\nthe zero options are %+v", got, zero)
	}
	if one.opts.Overwrite || one.env.Threads != 0 || one.env.Runtime != "" {
		t.Errorf("compress: %+v, %+v", one.opts, one.env)
	}
	if err := one.tuning.read(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	if got, want := one.tuning.options.String(), (&tune.Options{}).String(); got != want {
		t.Errorf("compress --tune: %s\nthe zero options are %s", got, want)
	}
	many := &exploreCommand{}
	cmd = declare(&cobra.Command{}, many.declare)
	o, err := many.read(cmd.Flags(), "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if got := said(o.Options); !reflect.DeepEqual(got, zero) || o.Over != compress.MACs || o.Budgets != nil {
		t.Errorf("explore: %+v\nthe zero options are %+v", o, zero)
	}
	look := &inspectCommand{}
	cmd = declare(&cobra.Command{}, look.declare)
	if err := look.read(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	if got := said(look.opts); !reflect.DeepEqual(got, zero) {
		t.Errorf("inspect: %+v\nthe zero options are %+v", got, zero)
	}
	alone := &tuneCommand{}
	cmd = declare(&cobra.Command{}, alone.declare)
	if err := alone.tuning.read(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	if got, want := alone.tuning.options.String(), (&tune.Options{}).String(); got != want {
		t.Errorf("tune: %s\nthe zero options are %s", got, want)
	}
}

func TestAtLeastOne(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--batch=1", "--rank-multiple=8"}, ""},
		{[]string{"--batch=0"}, "--batch 0: want at least 1"},
		{[]string{"--calib-samples=-3"}, "--calib-samples -3"},
	} {
		f := newCompress(streams{}).Flags()
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		err := atLeastOne(f, "calib-samples", "rank-multiple", "batch")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

// TestSampleFlags: words about samples become options, and each mistake names its flag.
func TestSampleFlags(t *testing.T) {
	good := sampleFlags{
		labels: "l.txt", resize: "40x50", crop: "32", normalize: "half", mean: "1,2,3", std: "4", layout: "nhwc", order: "bgr", scale: 0.5,
	}
	o, err := good.options()
	if err != nil {
		t.Fatal(err)
	}
	if o.Labels != "l.txt" || o.Scale != 0.5 || !slices.Equal(o.Mean, []float64{1, 2, 3}) || !slices.Equal(o.Std, []float64{4}) ||
		o.Crop.Height != 32 || o.Resize.Exact.Width != 50 || o.Layout != "nhwc" || o.Order != "bgr" {
		t.Errorf("%+v", o)
	}
	for flag, bad := range map[string]sampleFlags{
		"--resize": {resize: "big"}, "--crop": {crop: "-1"}, "--normalize": {normalize: "imagenets"}, "--mean": {mean: "a"},
		"--std": {std: "1,,2"}, "--layout": {layout: "chwn"}, "--order": {order: "gbr"}, "--scale": {scale: math.Inf(1)},
	} {
		if _, err := bad.options(); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

// TestCommandsAreForgotten: nothing keeps the commands of a run that is over, as cobra does with what it is told of completions.
func TestCommandsAreForgotten(t *testing.T) {
	flag := weak.Make(newCompress(streams{}).Flags().Lookup("target"))
	runtime.GC()
	if flag.Value() != nil {
		t.Error("a flag is kept")
	}
}
