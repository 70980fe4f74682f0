package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// session runs a document's blocks one after the other, as somebody would who reads it: in
// one folder, with one shell's directory and variables.
type session struct {
	folder string // where the reader begins
	state  string // where directory and variables wait between blocks
	env    []string
	bash   string
	update func(b block, c command, got []string) // rewrites what a document shows, where set
}

// newSession begins in a folder, with these folders before all others on the PATH. The
// reader has a home of his own, and the libraries that `onnx-compress setup` once fetched.
func newSession(t *testing.T, folder string, path ...string) *session {
	t.Helper()
	s := &session{folder: folder, state: t.TempDir(), bash: need(t, "bash")}
	home := t.TempDir()
	cache, err := provision.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(home, "cache")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(cache, "lib"), filepath.Join(own, "lib")); err != nil {
		t.Fatal(err)
	}
	gobin := filepath.Join(home, "bin")
	path = append(append([]string{gobin}, path...), os.Getenv("PATH"))
	goEnv, err := exec.Command(need(t, "go"), "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(goEnv))
	s.env = append(os.Environ(),
		"HOME="+home, "GOBIN="+gobin, "GOMODCACHE="+caches[0], "GOCACHE="+caches[1],
		"PATH="+strings.Join(path, string(filepath.ListSeparator)), "LC_ALL=C.UTF-8", "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=",
		provision.EnvCache+"="+own, provision.ONNXRuntime.Env()+"=", provision.OpenBLAS.Env()+"=", "VIRTUAL_ENV=",
		"PRE_COMMIT_HOME="+filepath.Join(scratch, "pre-commit"), "PRE_COMMIT_COLOR=never",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=R", "GIT_AUTHOR_EMAIL=r@example.org", "GIT_COMMITTER_NAME=R", "GIT_COMMITTER_EMAIL=r@example.org",
	)
	return s
}

// script runs lines in the session's shell, and returns what they said.
func (s *session) script(lines string) (int, string, error) {
	cmd := exec.Command(s.bash, "--noprofile", "--norc", "-c", `trap 'pwd > "$STATE/pwd"; export -p > "$STATE/env"' EXIT
if [ -e "$STATE/env" ]; then . "$STATE/env"; cd "$(cat "$STATE/pwd")"; fi
`+lines)
	cmd.Dir, cmd.Env = s.folder, append(s.env, "STATE="+s.state)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}

// here is the shell's directory.
func (s *session) here() string {
	dir, err := os.ReadFile(filepath.Join(s.state, "pwd"))
	if err != nil {
		return s.folder // nothing has run yet
	}
	return strings.TrimSpace(string(dir))
}

// run does with a block what a reader would.
func (s *session) run(t *testing.T, b block) {
	t.Helper()
	if why := b.marks["left out"]; why != "" {
		t.Logf("%s: left out: %s", b, why)
		return
	}
	if name := b.marks["file"]; name != "" {
		write(t, filepath.Join(s.here(), name), b.text)
	}
	switch {
	case b.language == "sh":
		if code, out, err := s.script("set -e -o pipefail\n" + b.text); code != 0 || err != nil {
			t.Fatalf("%s: exit code %d, %v\n%s%s", b, code, err, b.text, out)
		}
	case b.language == "console":
		s.console(t, b)
	case b.language == "yaml":
		s.yaml(t, b)
	case b.marks["file"] == "":
		t.Fatalf("%s: nothing is known of the language %q: let it be sh, console or yaml, or mark the block as a file or as left out", b, b.language)
	}
}

// ended is what the shell prints behind each command: its exit code between control characters.
var ended = regexp.MustCompile(`\n?\x1e(\d+)\x1e\n`)

// onTheWay are the lines that say each half minute how far the work is, on machines that are slow or busy.
var onTheWay = regexp.MustCompile(`^[a-z][a-z0-9 /()%]*(: .+)?, after [0-9hms]+(, [0-9hms]+ left)?(, \d+ MiB)?$`)

// console runs a block's commands and compares what they print and how they end.
func (s *session) console(t *testing.T, b block) {
	t.Helper()
	commands, err := b.commands()
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&script, "%s\n__code=$?; printf '\\n\\036%%d\\036\\n' $__code; (exit $__code)\n", c.text)
	}
	_, out, err := s.script(script.String() + "true\n")
	if err != nil {
		t.Fatal(err)
	}
	ends := ended.FindAllStringSubmatchIndex(out, -1)
	if len(ends) != len(commands) {
		t.Fatalf("%s: %d of %d commands ended\n%s", b, len(ends), len(commands), out)
	}
	at := 0
	for i, c := range commands {
		said, code := out[at:ends[i][0]], out[ends[i][2]:ends[i][3]]
		at = ends[i][1]
		if asked := i+1 < len(commands) && commands[i+1].text == "echo $?"; code != "0" && !asked {
			t.Fatalf("%s: %s: exit code %s\n%s", b, c.text, code, said)
		}
		var got []string
		if said = strings.TrimRight(said, "\n"); said != "" {
			got = slices.DeleteFunc(strings.Split(said, "\n"), onTheWay.MatchString)
		}
		if err := matchLines(c.want, got); err != nil {
			if s.update != nil {
				s.update(b, c, got)
				continue
			}
			t.Errorf("%s: %s: %v\n%s", b, c.text, err, said)
		}
	}
}

// yaml checks a block by what it is: a configuration of ours, one of pre-commit, or steps
// with our action.
func (s *session) yaml(t *testing.T, b block) {
	t.Helper()
	var content any
	if err := yaml.Unmarshal([]byte(b.text), &content); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	file := filepath.Join(t.TempDir(), "block.yaml")
	write(t, file, b.text)
	check := ""
	switch content := content.(type) {
	case map[string]any:
		if _, ok := content["repos"]; ok {
			check = "pre-commit validate-config " + file
		} else {
			check = "onnx-compress config --config " + file
		}
	case []any:
		checkSteps(t, b, content)
		return
	}
	if code, out, err := s.script(check); code != 0 || err != nil {
		t.Fatalf("%s: %s: exit code %d, %v\n%s", b, check, code, err, out)
	}
}

// checkSteps holds the steps of a workflow, or the hooks of a configuration, against what
// this repository offers.
func checkSteps(t *testing.T, b block, steps []any) {
	t.Helper()
	root := moduleRoot(t)
	var a action
	var hooks []struct{ ID string }
	for name, into := range map[string]any{"action.yml": &a, ".pre-commit-hooks.yaml": &hooks} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range steps {
		step, _ := step.(map[string]any)
		known := false
		for _, h := range hooks {
			known = known || step["id"] == h.ID
		}
		if uses, _ := step["uses"].(string); strings.HasPrefix(uses, "onnx-compress/onnx-compress@") {
			known = true
			with, _ := step["with"].(map[string]any)
			for name := range with {
				if _, ok := a.Inputs[name]; !ok {
					t.Errorf("%s: action.yml has no input %q", b, name)
				}
			}
		}
		if !known {
			t.Errorf("%s: %v is neither a step with our action nor one of our hooks", b, step)
		}
	}
}

// python is the folder of the interpreter for tests, which has ONNX Runtime and NumPy.
func python(t *testing.T) string {
	t.Helper()
	return filepath.Dir(provisiontest.Python(t, "onnxruntime", "numpy"))
}
