package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Run the tests with -update to write the schema anew, and read the difference.
var update = flag.Bool("update", false, "write golden files anew")

// TestSchemaIsPublished: the schema in docs/ is that of the flags as they are declared.
func TestSchemaIsPublished(t *testing.T) {
	const path = "../../docs/onnx-compress.schema.json"
	got, err := configSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v; docs/onnx-compress.schema.json is not what `onnx-compress config --schema` prints; run the test with -update", err)
	}
}

// TestEveryFlagIsExplained: what goes into the schema, completion and the manual is there.
func TestEveryFlagIsExplained(t *testing.T) {
	for _, c := range commands() {
		f, err := declared(c)
		if err != nil {
			t.Fatal(err)
		}
		f.VisitAll(func(flag *pflag.Flag) {
			text := explained(c.name, flag.Name)
			if text.summary() == "" && c.name != "setup" {
				t.Errorf("%s: help does not explain --%s", c.name, flag.Name)
			}
			if (text.argument == "") != (flag.Value.Type() == "bool") && text.summary() != "" {
				t.Errorf("%s: --%s is a %s, and has the argument %q in the help", c.name, flag.Name, flag.Value.Type(), text.argument)
			}
			if text.short != flag.Shorthand && text.summary() != "" {
				t.Errorf("%s: --%s has the short form %q, in the help %q", c.name, flag.Name, flag.Shorthand, text.short)
			}
		})
	}
}

func TestFlagTexts(t *testing.T) {
	got := flagTexts("x [flags]\n\nExamples:\n  x --one 1 \\\n      --two 2\n\nFlags:\n  -o, --output FILE     where\n                        it goes\n                          deep  er\n" +
		"      --long-one NAME=1x3\n                        below\n      --json[=FILE]     as JSON\n  -q, --quiet           no text\nEnd --not\n      --late X text\n")
	want := []flagText{
		{"o", "output", "FILE", []string{"where", "it goes", "  deep  er"}, 7, 10},
		{"", "long-one", "NAME=1x3", []string{"below"}, 10, 12},
		{"", "json", "[=FILE]", []string{"as JSON"}, 12, 13},
		{"q", "quiet", "", []string{"no text"}, 13, 14},
		{"", "late", "X", []string{"text"}, 15, 16},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, g := range got {
		w := want[i]
		if g.short != w.short || g.long != w.long || g.argument != w.argument || !slices.Equal(g.lines, w.lines) || g.from != w.from || g.to != w.to {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
	if s := got[0].summary(); s != "where it goes" {
		t.Errorf("summary %q", s)
	}
}

// TestConfigRefused: each mistake is named with its line or place, and what was meant.
func TestConfigRefused(t *testing.T) {
	for text, want := range map[string]string{
		"compress:\n  target: macs=0.5\n  targt: x\n":    `line 3: compress has no flag "targt" (did you mean "target"?)`,
		"compres:\n  target: macs=0.5\n":                 `line 1: unknown command "compres" (did you mean "compress"?)`,
		"compress: [a]\n":                                "compress holds a sequence",
		"- compress\n":                                   "the file holds a sequence",
		"compress:\n  batch: many\n":                     "compress: batch: it is a string; want a integer",
		"compress:\n  batch: 1.5\n":                      "compress: batch: it is a number; want a integer",
		"compress:\n  seed: -1\n":                        "compress: seed: minimum",
		"compress:\n  no-refit: 1\n":                     "compress: no-refit: it is a number; want a boolean",
		"compress:\n  calib: true\n":                     "compress: calib: it is a boolean",
		"compress:\n  calib: [a, b]\n":                   "compress: calib: it is a array",
		"compress:\n  target: []\n":                      "compress: target: minItems",
		"compress:\n  calib: {a: b}\n":                   "line 2: compress: calib: a mapping; want a plain value",
		"compress:\n  calib:\n":                          "compress: calib: a null; want a plain value",
		"compress:\n  target: [[a]]\n":                   "a list in a list",
		"compress:\n  config: x\n":                       `compress has no flag "config"`,
		"compress:\n  print-config: true\n":              `compress has no flag "print-config"`,
		"compress:\n  calib: a\n  calib: b\n":            "no YAML",
		"compress: {\n":                                  "no YAML",
		"compress:\n  calib: a\n---\ncompress:\n":        "several documents",
		"help:\n  x: y\n":                                `unknown command "help"`,
		"verify:\n  data: a\ncompress:\n  data: b\n":     `line 4: compress has no flag "data"`,
		"compress:\n  calib: &a x\n  stats: *a\n":        "want a plain value",
		"compress:\n  \"batch\": 2\n  'force': \"no\"\n": "compress: force: it is a string; want a boolean",
	} {
		if _, err := parseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "compress:\n", "compress: {}\n", "null\n", "compress: {target: macs=0.5, json: true, crop: 224, calib: >\n  a\n}\n"} {
		if _, err := parseConfig([]byte(text)); err != nil && !strings.Contains(text, ">") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzConfig: whatever the text, a configuration or an error, and what is accepted can be
// set.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{"compress:\n  target: [macs=0.5]\n", "verify: {samples: 3}", "a: &x\n  b: *x", "? a\n: b", "compress:\n  seed: 0x1F\n", "!!set {a}", "compress: {? [a] : b}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := parseConfig([]byte(s))
		if err != nil {
			return
		}
		for _, c := range configurable() {
			flags, err := declared(c)
			if err != nil {
				t.Fatal(err)
			}
			_ = doc.apply(flags, "x") // may refuse a word, such as a number that is too large
		}
	})
}

// inFolder runs the program in a folder of its own that has a configuration.
func inFolder(t *testing.T, config string, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if config != "" {
		if err := os.WriteFile(configName, []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var o, e bytes.Buffer
	code = run(args, streams{out: &o, err: &e})
	return code, o.String(), e.String()
}

// TestPrintConfig: the command line goes before the configuration, whose own section goes
// before that of compress, and what is printed says the same again.
func TestPrintConfig(t *testing.T) {
	const config = "compress:\n  target: [macs=0.5, params=60%]\n  crop: 224\n  seed: 7\n  scale: 0.50\n  no-refit: true\n  json: true\n  output: s.onnx\nconvert:\n  seed: 8\nverify:\n  require: agree=99%\n"
	for _, c := range []struct {
		args string
		want string
	}{
		{"compress m.onnx --print-config", "compress:\n  output: s.onnx\n  target:\n  - macs=0.5\n  - params=60%\n  no-refit: true\n  crop: \"224\"\n  scale: 0.5\n  seed: 7\n  json: \"-\"\n"},
		{"m.onnx --print-config --target bytes=0.5 --seed 9", "compress:\n  output: s.onnx\n  target:\n  - bytes=0.5\n  no-refit: true\n  crop: \"224\"\n  scale: 0.5\n  seed: 9\n  json: \"-\"\n"},
		{"convert m.onnx --print-config -q", "convert:\n  quiet: true\n  target:\n  - macs=0.5\n  - params=60%\n  no-refit: true\n  crop: \"224\"\n  scale: 0.5\n  seed: 8\n"},
		{"verify --print-config", "verify:\n  require:\n  - agree=99%\n"},
		{"verify --print-config --no-config", "verify: {}\n"},
		{"inspect --print-config", "inspect: {}\n"},
	} {
		code, out, errs := inFolder(t, config, strings.Fields(c.args)...)
		if code != 0 || errs != "" || out != c.want {
			t.Errorf("%s: code %d, %q, printed\n%s\nwant\n%s", c.args, code, errs, out, c.want)
		}
		words := strings.Fields(c.args)
		if words[0] == "m.onnx" {
			words = append([]string{"compress"}, words...)
		}
		if _, again, errs := inFolder(t, out, words[0], "--print-config"); again != out {
			t.Errorf("%s: read again it prints\n%s%s\nwas\n%s", c.args, again, errs, out)
		}
	}
}

func TestConfigCommand(t *testing.T) {
	for _, c := range []struct {
		config, args string
		code         int
		out, err     string
	}{
		{"", "config", 0, "nothing is configured", ""},
		{"compress:\n  seed: 1\n  batch: 2\nverify:\n", "config", 0, "onnx-compress.yaml: ok, 2 values for 2 commands", ""},
		{"compress:\n  seedd: 1\n", "config", 2, "", `onnx-compress.yaml: line 2: compress has no flag "seedd" (did you mean "seed"?)`},
		{"compress:\n  seedd: 1\n", "inspect m.onnx", 2, "", `did you mean "seed"`},
		{"compress:\n  seedd: 1\n", "inspect none.onnx --no-config", 1, "", "none.onnx"},
		{"compress:\n  seed: 99999999999999999999999\n", "m.onnx", 2, "", "seed"},
		{"", "inspect m.onnx --config none.yaml", 2, "", "none.yaml"},
		{"", "inspect m.onnx --config a --no-config", 2, "", "exclude each other"},
		{"", "config --schema", 0, `"additionalProperties": false`, ""},
		{"", "config x", 2, "", "takes no arguments"},
	} {
		code, out, errs := inFolder(t, c.config, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) {
			t.Errorf("%q %s: code %d, %q, %q; want %d, %q, %q", c.config, c.args, code, out, errs, c.code, c.out, c.err)
		}
	}
}

// TestCandidates: what can stand next on a command line.
func TestCandidates(t *testing.T) {
	for line, want := range map[string]string{
		"": "compress explore inspect", "ver": "verify version :files", "verify --req": "--require", "help st": "status",
		"verify --require ag": "agree=", "verify --require = ag": "agree=", "m.onnx --require": "", "verify --require=cl": "--require=class-drop=",
		"m.onnx --targ": "--target", "m.onnx --target ": "macs= params= bytes=", "m.onnx --search la": "lagrange", "compress -o ": ":files",
		"m.onnx --force ": ":files", "status --norm": "--normalize", "status --normalize im": "imagenet", "m.onnx --seed ": "", "m.onnx --json=": ":files",
		"completion f": "fish", "methods sv": "svd", "inspect ": ":files", "nonsense --no-such ": ":files",
	} {
		words := strings.Split(line, " ")
		var got []string
		for _, c := range candidates(words) {
			got = append(got, c.word)
		}
		text := strings.Join(got, " ")
		if line == "" && strings.HasPrefix(text, want) || line == "methods sv" && strings.HasPrefix(text, want) {
			continue
		}
		if text != want {
			t.Errorf("%q can become %q, want %q", line, text, want)
		}
	}
}

// TestManual: the page has all commands and flags.
func TestManual(t *testing.T) {
	var b bytes.Buffer
	if err := writeManual(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, c := range commands() {
		if c.name != "help" && !strings.Contains(text, "\n.SH "+strings.ToUpper(c.name)+"\n") {
			t.Errorf("no section on %s", c.name)
		}
		help, err := helpTexts.ReadFile(filepath.ToSlash("help/" + c.name + ".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flagTexts(string(help)) {
			if !strings.Contains(text, `\fB\-\-`+roff(f.long)+`\fR`) {
				t.Errorf("%s: --%s is missing", c.name, f.long)
			}
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !slices.Contains([]string{".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".br", ".nf", ".fi"}, strings.Fields(line)[0]) {
			t.Errorf("a line that the formatter would take for its own: %q", line)
		}
	}
}
