package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// stage is one of a Dockerfile: its base, its name, and its instructions in order.
type stage struct {
	base, name   string
	instructions [][2]string // the word and what follows it
}

var from = regexp.MustCompile(`^(\S+)(?: AS (\S+))?$`)

// dockerfile reads the stages of the one in the root.
func dockerfile(t *testing.T) []stage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var out []stage
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			m := from.FindStringSubmatch(rest)
			out = append(out, stage{base: m[1], name: m[2]})
			continue
		}
		last := &out[len(out)-1]
		last.instructions = append(last.instructions, [2]string{word, rest})
	}
	return out
}

// TestDockerfile holds the Dockerfile against hadolint, and against what an image should be.
func TestDockerfile(t *testing.T) {
	root := moduleRoot(t)
	stages := dockerfile(t)
	last := stages[len(stages)-1].instructions
	for _, want := range [][2]string{{"USER", "65532:65532"}, {"ENTRYPOINT", `["onnx-compress"]`}} {
		if !slices.Contains(last, want) {
			t.Errorf("the last stage lacks %s", want)
		}
	}
	program := filepath.Join(filepath.Dir(provisiontest.Python(t)), "hadolint")
	if _, err := os.Stat(program); err != nil {
		program = need(t, "hadolint")
	}
	if code, out := runIn(t, root, nil, program, "Dockerfile"); code != 0 {
		t.Errorf("hadolint: %d\n%s", code, out)
	}
}

// TestImageSteps does what the Dockerfile does without the images that it begins from: builds
// the program from nothing but the files that .dockerignore lets through, and asks it in an
// empty place for the libraries that setup fetched.
func TestImageSteps(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skipf("the image is one of Linux, this is %s", runtime.GOOS)
	}
	bash := need(t, "bash")
	context, out := buildContext(t), t.TempDir()
	built := false
	for _, step := range dockerfile(t)[0].instructions {
		if step[0] != "RUN" || step[1] == "go mod download" { // which the module cache here has done
			continue
		}
		lines := strings.ReplaceAll(step[1], "/out/", out+"/")
		if code, said := runIn(t, context, nil, bash, "-c", lines); code != 0 {
			t.Fatalf("%s: %d\n%s", lines, code, said)
		}
		built = built || strings.Contains(lines, out)
	}
	if !built {
		t.Fatal("no step builds the program")
	}
	provisiontest.Need(t, provision.ONNXRuntime)
	cache, err := provision.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	doctor := exec.Command(filepath.Join(out, "onnx-compress"), "doctor")
	doctor.Dir, doctor.Env = t.TempDir(), []string{provision.EnvCache + "=" + cache, "PATH=/nothing"}
	if said, err := doctor.CombinedOutput(); err != nil || !strings.Contains(string(said), "ONNX Runtime  ok") {
		t.Errorf("doctor: %v\n%s", err, said)
	}
}

// buildContext copies the files that a builder gets.
func buildContext(t *testing.T) string {
	t.Helper()
	rules, err := os.ReadFile(filepath.Join(moduleRoot(t), ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	source, _ := hookRepository(t)
	folder := t.TempDir()
	code, names := runIn(t, source, nil, "git", "ls-files", "-z")
	if code != 0 {
		t.Fatal(names)
	}
	copied := 0
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		if ignored(string(rules), name) {
			continue
		}
		copied++
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name), string(data))
	}
	t.Logf("%d files", copied)
	return folder
}

// ignored tells whether a file is, by rules that are names of folders in the root, or a
// pattern for one part of a path behind **/.
func ignored(rules, name string) bool {
	parts := strings.Split(name, "/")
	for rule := range strings.Lines(rules) {
		rule = strings.TrimSpace(rule)
		if rule == "" || rule[0] == '#' {
			continue
		}
		pattern, anywhere := strings.CutPrefix(rule, "**/")
		for i, part := range parts {
			if matches, err := filepath.Match(pattern, part); err == nil && matches && (anywhere || i == 0) {
				return true
			}
		}
	}
	return false
}

// TestImage builds the image where there is a Docker that runs and can fetch the images it
// begins from.
func TestImage(t *testing.T) {
	t.Parallel()
	docker := need(t, "docker")
	if out, err := exec.Command(docker, "info").CombinedOutput(); err != nil {
		t.Skipf("docker does not run here, so no image is built: %s", lastLine(out))
	}
	for _, s := range dockerfile(t) {
		if out, err := exec.Command(docker, "pull", "--quiet", s.base).CombinedOutput(); err != nil {
			t.Skipf("the base image %s cannot be fetched here: %s", s.base, lastLine(out))
		}
	}
	if code, out := runIn(t, moduleRoot(t), nil, docker, "build", "--quiet", "--tag", "onnx-compress-test", "."); code != 0 {
		t.Fatalf("docker build: %d\n%s", code, out)
	}
	if code, out := runIn(t, t.TempDir(), nil, docker, "run", "--rm", "onnx-compress-test", "doctor"); code != 0 {
		t.Errorf("doctor: %d\n%s", code, out)
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
