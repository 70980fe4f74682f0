package main

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
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

// TestEveryFlagIsExplained: what goes into help, the schema, completion and the manual is there.
func TestEveryFlagIsExplained(t *testing.T) {
	for _, c := range configurable() {
		for _, flag := range flagsOf(c.Flags()) {
			if summary(flag) == "" || strings.Contains(summary(flag), "\n") || annotation(flag, headingOf) == "" {
				t.Errorf("%s: --%s is not explained", c.Name(), flag.Name)
			}
			if (annotation(flag, valueOf) == "") != (flag.Value.Type() == "bool") {
				t.Errorf("%s: --%s is a %s, and its value is called %q", c.Name(), flag.Name, flag.Value.Type(), annotation(flag, valueOf))
			}
		}
		if c.Short == "" || c.Long == "" || c.ValidArgsFunction == nil && c.Args == nil {
			t.Errorf("%s is not explained, or says nothing of its arguments", c.Name())
		}
	}
}

// TestConfigRefused: each mistake is named with its line or place, and what was meant.
func TestConfigRefused(t *testing.T) {
	for text, want := range map[string]string{
		"compress:\n  target: macs=0.5\n  targt: x\n":    `line 3: compress has no flag "targt" (did you mean "target"?)`,
		"compres:\n  target: macs=0.5\n":                 `line 1: unknown command "compres" (did you mean "compress"?)`,
		"compress: [a]\n":                                "compress holds a sequence",
		"- compress\n":                                   "the file holds a sequence",
		"compress:\n  batch: many\n":                     "compress: batch: it is a string; want an integer",
		"compress:\n  batch: 1.5\n":                      "compress: batch: it is a number; want an integer",
		"compress:\n  seed: -1\n":                        "compress: seed: it is -1; want at least 0",
		"compress:\n  no-refit: 1\n":                     "compress: no-refit: it is an integer; want a boolean",
		"compress:\n  calib: true\n":                     "compress: calib: it is a boolean",
		"compress:\n  calib: [a, b]\n":                   "compress: calib: it is an array; want a string or a number",
		"compress:\n  target: []\n":                      "compress: target: the list is empty; want at least 1 value",
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

// TestSchemaIsKept: what the program takes of values is what the published schema does.
func TestSchemaIsKept(t *testing.T) {
	data, err := configSchema()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaID, parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{"x", "3", "-3", "0", "2.5", "2.0", "1e30", "true", "false", "\"7\"", "[]", "[a]", "[1, b, 2.5]", "[true]", "[null]", "null", "{a: b}"}
	refused := 0
	for _, command := range configurable() {
		for _, flag := range settable(command.Flags()) {
			for _, value := range values {
				var doc any
				if err := yaml.Unmarshal([]byte(command.Name()+":\n  "+flag.Name+": "+value+"\n"), &doc); err != nil {
					t.Fatal(err)
				}
				got, want := fits(flagSchema(flag), doc.(object)[command.Name()].(object)[flag.Name]), schema.Validate(doc)
				if (got == nil) != (want == nil) {
					t.Errorf("%s: %s: %s: %v, and by the schema %v", command.Name(), flag.Name, value, got, want)
				}
				if got != nil {
					refused++
				}
			}
		}
	}
	if refused == 0 {
		t.Error("nothing is refused")
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
			_ = doc.apply(c.Flags(), "x", false) // may refuse a word, such as a number that is too large
		}
	})
}

// inFolder runs the program in a folder of its own that has a configuration.
func inFolder(t *testing.T, config string, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Chdir(t.TempDir())
	return inThisFolder(t, config, args...)
}

// inThisFolder runs it in the current folder.
func inThisFolder(t *testing.T, config string, args ...string) (code int, out, errs string) {
	t.Helper()
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
		args := strings.Fields(c.args)
		if !strings.Contains(c.args, "--no-config") {
			args = append(args, "--config", configName) // else it could not say where things go
		}
		code, out, errs := inFolder(t, config, args...)
		if code != 0 || errs != "" || out != c.want {
			t.Errorf("%s: code %d, %q, printed\n%s\nwant\n%s", c.args, code, errs, out, c.want)
		}
		words := strings.Fields(c.args)
		if words[0] == "m.onnx" {
			words = append([]string{"compress"}, words...)
		}
		if _, again, errs := inFolder(t, out, words[0], "--print-config", "--config", configName); again != out {
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
		{"", "inspect m.onnx --config a --no-config", 2, "", "open a"},
		{"", "config --schema", 0, `"additionalProperties": false`, ""},
		{"", "config x", 2, "", "takes no arguments"},
	} {
		code, out, errs := inFolder(t, c.config, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) {
			t.Errorf("%q %s: code %d, %q, %q; want %d, %q, %q", c.config, c.args, code, out, errs, c.code, c.out, c.err)
		}
	}
}

// TestCompletion: what can stand next on a command line, and what the shell adds to it.
func TestCompletion(t *testing.T) {
	const all = "compress init explore inspect tune report verify bench time status check convert shard scale methods setup doctor config completion man help version"
	for line, want := range map[string]string{
		"":    "compress init explore inspect tune report verify bench time status check convert shard scale methods setup doctor config completion man help version :0",
		"ver": "verify version :0", "verify --req": "--require :4", "help st": all + " :4",
		"verify --require ag":   "agree= boxes= cer= class-drop= cosine= drop= iou= kl= max-error= mean-error= ppl= recall= snr= :6",
		"verify --require=cl":   "agree= boxes= cer= class-drop= cosine= drop= iou= kl= max-error= mean-error= ppl= recall= snr= :6",
		"m.onnx --require ":     ":0",
		"m.onnx --targ":         "--target :4",
		"m.onnx --target ":      "agree= boxes= bytes= cer= cosine= drop= iou= kl= latency= macs= params= ppl= snr= :6",
		"m.onnx --search la":    "composite lagrange rene :4",
		"compress -o ":          ":0",
		"m.onnx --force ":       "onnx :8",
		"m.onnx --from-plan ":   "json :8",
		"explore --models ":     ":16",
		"explore --over ":       "bytes latency macs params :4",
		"status --norm":         "--normalize :4",
		"status --normalize im": "cifar10 cifar100 half imagenet raw :4",
		"status --target ":      "agree= boxes= bytes= cer= cosine= drop= iou= kl= latency= macs= params= ppl= snr= :6",
		"m.onnx --seed ":        ":4",
		"m.onnx --json=":        ":0",
		"setup --with ":         "npm pip :4",
		"verify --config ":      "yaml yml :8",
		"completion f":          "fish :4",
		"inspect ":              "onnx :8",
		"report ":               "json :8",
		"man ":                  ":16",
	} {
		var out, errs bytes.Buffer
		run(append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(line, " ")...), streams{out: &out, err: &errs})
		got, wanted := strings.Fields(out.String()), strings.Fields(want)
		slices.Sort(got)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			t.Errorf("%q can become %q, want %q", line, got, wanted)
		}
	}
	var out, errs bytes.Buffer
	run([]string{cobra.ShellCompRequestCmd, "methods", "sv"}, streams{out: &out, err: &errs})
	if !strings.HasPrefix(out.String(), "svd\t") {
		t.Errorf("methods have no titles: %q", &out)
	}
}

// TestManual: there is a page for every command, with all of its flags and words that the
// formatter does not take for its own.
func TestManual(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	var out, errs bytes.Buffer
	if code := run([]string{"man", folder}, streams{out: &out, err: &errs}); code != exitDone || out.Len()+errs.Len() > 0 {
		t.Fatalf("code %d, %q, %q", code, &out, &errs)
	}
	page := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name+".1"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := page("onnx-compress"); !strings.Contains(text, "a bound that was required does not hold") {
		t.Error("the page of the program lacks the exit codes")
	}
	for _, c := range configurable() {
		text := page("onnx-compress-" + c.Name())
		for _, flag := range flagsOf(c.Flags()) {
			if name := `\fB--` + flag.Name + `\fP`; !strings.Contains(strings.ReplaceAll(text, `\-`, "-"), name) {
				t.Errorf("the page of %s lacks %s", c.Name(), name)
			}
		}
	}
	for page, words := range map[string][]string{
		page("onnx-compress-compress"): {"--output\\fP=FILE", "*/conv1", "test_data_set_*", "NAME<TAB>CLASS", "Exit codes: 0 done"},
		page("onnx-compress-config"):   {"onnx-compress.yaml", "print the flags that hold"},
		page("onnx-compress-verify"):   {"class-drop  largest loss", "--json\\fP[=FILE]"},
	} {
		for _, word := range words {
			if !strings.Contains(strings.ReplaceAll(page, `\-`, "-"), word) {
				t.Errorf("a page lacks %q:\n%s", word, page)
			}
		}
	}
}

// TestFoundConfig: what came with a folder has no say in what is loaded or written, in paths elsewhere, or against a bound that
// was asked for; what --config names has.
func TestFoundConfig(t *testing.T) {
	elsewhere := t.TempDir()
	for _, c := range []struct{ config, args, why string }{
		{"compress: {ort: ./evil.so}", "m.onnx", "line 1: compress: ort is not for a configuration that is merely found"},
		{"compress: {ort: ./evil.so}", "status m.onnx", "ort is not for"},
		{"compress:\n  seed: 1\n  output: x.onnx", "m.onnx", "line 3: compress: output is not for"},
		{"compress: {report: x.html}", "m.onnx", "report is not for"},
		{"compress: {json: x.json}", "m.onnx", "json is not for"},
		{"compress: {plan: x.json}", "m.onnx", "plan is not for"},
		{"compress: {stats: x}", "m.onnx", "stats is not for"},
		{"compress: {checkpoint: x}", "m.onnx", "checkpoint is not for"},
		{"compress: {force: true}", "m.onnx", "force is not for"},
		{"convert: {output: '%.onnx'}", "convert m.onnx", "output is not for"},
		{"explore: {models: x}", "explore m.onnx", "models is not for"},
		{"verify: {junit: x.xml}", "verify a b", "junit is not for"},
		{"verify: {markdown: x.md}", "verify a b", "markdown is not for"},
		{"compress: {calib: ../x}", "m.onnx", "calib ../x leads out of the folder"},
		{"compress: {calib: " + elsewhere + "}", "m.onnx", "leads out of the folder"},
		{"compress: {calib: link/x}", "m.onnx", "leads out of the folder"},
		{"verify: {samples: 1}", "verify a b --require agree=99%", "samples would ease what --require asks for"},
		{"verify: {weight: y=0}", "verify a b --require snr=40dB", "weight would ease what --require asks for"},
		{"compress: {classes: none}", "m.onnx -o s.onnx --target agree=99%", "classes would ease what --target asks for"},
		{"check: {max-shrink: 99%}", "check m.onnx --tolerance 1%", "max-shrink would ease"},
		{"compress: {keep: '*'}", "check m.onnx --max-shrink 1%", "keep would ease"},
		{"status: {any-data: true}", "status m.onnx --calib x", "any-data would ease"},
	} {
		args := append(strings.Fields(c.args), "--print-config")
		link := func() {
			if err := os.Mkdir(filepath.Join(elsewhere, "x"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, "link"); err != nil {
				t.Skip(err)
			}
		}
		run := func(more ...string) (int, string, string) {
			t.Chdir(t.TempDir())
			link()
			return inThisFolder(t, c.config, append(args, more...)...)
		}
		if code, out, errs := run(); code != exitUsage || !strings.Contains(errs, c.why) || out != "" {
			t.Errorf("%s, %s: code %d, %q, %q; want %q", c.config, c.args, code, out, errs, c.why)
		}
		if code, _, errs := run("--config", configName); code != 0 {
			t.Errorf("%s, %s, by hand: code %d, %q", c.config, c.args, code, errs)
		}
		if code, out, errs := run("--no-config"); code != 0 || strings.Contains(out, "evil") {
			t.Errorf("%s, %s, without it: code %d, %q, %q", c.config, c.args, code, out, errs)
		}
	}
	// What it says is left aside where the command line says it, and what is computed it may say.
	if code, out, errs := inFolder(t, "compress: {output: x.onnx, seed: 3, calib: images}", "m.onnx", "-o", "y.onnx", "--print-config"); code != 0 || !strings.Contains(out, "output: y.onnx") || !strings.Contains(out, "seed: 3") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
}
