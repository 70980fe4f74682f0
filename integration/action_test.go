package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// action is the part of an action's definition that is tested.
type action struct {
	Inputs map[string]struct {
		Description string
		Required    bool
		Default     *string
	}
	Runs struct {
		Using string
		Steps []struct {
			Name, Uses, Shell, Run string
			Env                    map[string]string
		}
	}
}

// TestAction runs the steps of action.yml as a runner would: with the inputs in the
// environment, in the folder of the workflow.
func TestAction(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	data, err := os.ReadFile(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var a action
	if err := yaml.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 4 {
		t.Fatalf("%+v", a.Runs)
	}
	bash := need(t, "bash")
	folder := t.TempDir()
	fashion(t, folder)
	tool(t, folder, 0, "net.onnx", "-o", "small.onnx", "--target", "macs=0.9", "--methods", "svd", "--accept-damage", "-q")
	write(t, filepath.Join(folder, "onnx-compress.yaml"), "broken: [") // which nobody has named
	for _, c := range []struct {
		name    string
		inputs  map[string]string
		code    int
		summary string
		pull    string // request that the workflow is about
	}{
		{"holds", map[string]string{"compressed": "small.onnx", "require": "agree=1%\n\ncosine=0.1\n"}, 0, "✅ passed", ""},
		{"comments", map[string]string{"compressed": "small.onnx", "require": "agree=1%", "comment": "true"}, 0, "✅ passed", "7"},
		{"has no request to comment on", map[string]string{"compressed": "small.onnx", "require": "agree=1%", "comment": "true"}, 0, "✅ passed", ""},
		{"fails", map[string]string{"compressed": "small.onnx", "require": "snr=200dB", "flags": "--samples=20\n--quiet"}, 5, "1 of 2 checks failed", "8"},
		{"hostile", map[string]string{"compressed": "$(touch stolen).onnx", "require": "`touch stolen`"}, 2, "", ""},
	} {
		inputs := map[string]string{"original": "net.onnx", "data": "fashion.bin"}
		for name, in := range a.Inputs {
			if in.Default != nil && inputs[name] == "" {
				inputs[name] = *in.Default
			}
			if in.Description == "" || !in.Required && in.Default == nil {
				t.Errorf("input %s needs a description, and a default or to be required", name)
			}
		}
		for name, v := range c.inputs {
			inputs[name] = v
		}
		temp, code := t.TempDir(), 0
		summary, commented := filepath.Join(temp, "summary"), filepath.Join(temp, "commented")
		if err := os.WriteFile(filepath.Join(temp, "gh"), []byte("#!/bin/sh\nprintf '%s ' \"$@\" >"+commented+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, step := range a.Runs.Steps {
			if step.Run == "" {
				continue
			}
			if strings.Contains(step.Run, "${{") {
				t.Errorf("step %s: an expression in a script lets an input become code", step.Name)
			}
			env := []string{"RUNNER_TEMP=" + temp, "GITHUB_STEP_SUMMARY=" + summary, "GITHUB_REPOSITORY=o/r", "PATH=" + temp + ":" + os.Getenv("PATH")}
			for name, v := range step.Env {
				env = append(env, name+"="+expand(t, v, inputs, root, c.pull))
			}
			var out string
			if code, out = runIn(t, folder, env, bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run); code != 0 {
				t.Logf("%s: step %s: %d\n%s", c.name, step.Name, code, out)
				break
			}
		}
		text, _ := os.ReadFile(summary) // which is not there where nothing was compared
		if code != c.code || !strings.Contains(string(text), c.summary) {
			t.Errorf("%s: exit code %d, want %d; summary %q, want %q", c.name, code, c.code, text, c.summary)
		}
		said, _ := os.ReadFile(commented) // which is not there where nothing was said
		if want := c.inputs["comment"] == "true" && c.pull != ""; want != strings.HasPrefix(string(said), "pr comment "+c.pull+" --repo o/r --body-file ") || !want && len(said) > 0 {
			t.Errorf("%s: commented %q", c.name, said)
		}
		if _, err := os.Stat(filepath.Join(folder, "stolen")); err == nil {
			t.Error("an input was run as code")
		}
	}
}

var expression = regexp.MustCompile(`\$\{\{ *([a-z_.]+) *\}\}`)

// expand evaluates the expressions that action.yml uses.
func expand(t *testing.T, text string, inputs map[string]string, root, pull string) string {
	t.Helper()
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		name := expression.FindStringSubmatch(e)[1]
		if input, ok := strings.CutPrefix(name, "inputs."); ok {
			if v, ok := inputs[input]; ok {
				return v
			}
		}
		if v, ok := map[string]string{"github.action_path": root, "github.event.pull_request.number": pull, "github.token": "secret"}[name]; ok {
			return v
		}
		t.Fatalf("unknown expression %q", e)
		return ""
	})
}
