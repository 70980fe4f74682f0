package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestConfigValues: a configuration is refused for a value that no command could work with, with its line.
func TestConfigValues(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"compress:\n  target: 0.6\n", "line 2: compress: target 0.6: "},
		{"compress:\n  target: [macs=0.5, mcas=0.5]\n", `did you mean "macs"?`},
		{"compress:\n  normalize: imagnet\n", `line 2: compress: normalize imagnet: unknown normalization "imagnet" (did you mean "imagenet"?)`},
		{"compress:\n  methods: [svd, tuker2]\n", `did you mean "tucker2"?`},
		{"compress:\n  methods: svd,spatal\n", `did you mean "spatial"?`},
		{"compress:\n  search: compsite\n", `did you mean "composite"?`},
		{"compress:\n  layout: nhcw\n", `unknown layout "nhcw" (did you mean`},
		{"compress:\n  order: rbg\n", `did you mean "rgb"?`},
		{"compress:\n  crop: 0\n", `"0" is no image size`},
		{"compress:\n  memory: 2GBs\n", "want a size such as 512MiB"},
		{"compress:\n  batch: 0\n", "batch 0: want a whole number from 1"},
		{"compress:\n  probes: -1\n", "want a whole number from 0"},
		{"compress:\n  input-shape: x=1xa\n", `"a" is not a positive size`},
		{"compress:\n  tune-only: factor\n", `did you mean "factors"?`},
		{"compress:\n  tune-loss: y=cosin\n", `did you mean "cosine"?`},
		{"compress:\n  tune-lr: 0\n", "want a positive number"},
		{"compress:\n  tune-clip: nine\n", `or none (did you mean "none"?)`},
		{"explore:\n  over: parms\n", `did you mean "params"?`},
		{"explore:\n  budgets: [0.5, 2M]\n", `"2M" is no share`},
		{"tune:\n  augment: flip,miror\n", `did you mean "mirror"?`},
		{"tune:\n  weight: y\n", "want OUTPUT=NUMBER"},
		{"tune:\n  optimizer: adem\n", `did you mean "adam"?`},
		{"verify:\n  require: agre=99%\n", `did you mean "agree"?`},
		{"check:\n  max-shrink: 20pct\n", "want a share"},
		{"compress:\n  only: '*/fc'\n  target: [macs=0.5, agree=99%]\n  crop: 224\n  mean: 0.5,0.5,0.5\n  tune-clip: none\n  json: false\n", ""},
		{"tune:\n  only: reachable\n  patience: 0\n  lambda: 0\n", ""},
	} {
		_, err := parseConfig([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// TestConfigOfWindows reads a configuration with a byte-order mark, and one in UTF-16.
func TestConfigOfWindows(t *testing.T) {
	wide := "\xff\xfe"
	for _, r := range "compress:\r\n  target: macs=0.6\r\n" {
		wide += string([]byte{byte(r), 0})
	}
	for _, text := range []string{"\ufeffcompress:\r\n  target: [macs=0.6]\r\n", wide} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, doc, err := readConfig(path); err != nil || len(doc.sections) != 1 || doc.sections[0].values[0].words[0] != "macs=0.6" {
			t.Errorf("%q: %+v, %v", text, doc, err)
		}
	}
}

// TestMistypedFile suggests the file beside it that was meant.
func TestMistypedFile(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"modle.onnx": true, "model.onnx": false, "other.bin": false, filepath.Join("none", "model.onnx"): false} {
		_, _, err := opened(filepath.Join(folder, name), "", nil)
		if err == nil || strings.Contains(err.Error(), `(did you mean "model.onnx"?)`) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryWordIsChecked: a flag of words either has a check or is free text.
func TestEveryWordIsChecked(t *testing.T) {
	free := strings.Fields(`also calib checkpoint classes compressed costs data from-plan int8 json junit keep labels layers markdown models only ort output picture plan profile report source stats
		data through with`)
	for _, c := range configurable() {
		for _, flag := range settable(c.Flags()) {
			name := strings.TrimPrefix(flag.Name, "tune-")
			_, list := flag.Value.(pflag.SliceValue)
			if slices.Contains([]string{"bool", "int", "uint64", "float64"}, flag.Value.Type()) && !list || slices.Contains(free, name) {
				continue
			}
			if wordChecks()[name] == nil {
				t.Errorf("%s --%s takes any word in a configuration", c.Name(), flag.Name)
			}
		}
	}
}
