package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// preCommit finds the program, in the environment for tests or on the PATH.
func preCommit(t *testing.T) string {
	t.Helper()
	if python := os.Getenv(provisiontest.EnvPython); python != "" {
		return need(t, filepath.Join(filepath.Dir(python), "pre-commit"))
	}
	if path := filepath.Join(moduleRoot(t), ".venv", "bin", "pre-commit"); exec.Command(path, "--version").Run() == nil {
		return path
	}
	return need(t, "pre-commit")
}

// repository is a git repository with a pre-commit configuration.
type repository struct {
	t      *testing.T
	folder string
	env    []string
}

// newRepository makes a repository in a folder.
func newRepository(t *testing.T, folder string, env ...string) *repository {
	t.Helper()
	need(t, "git")
	r := &repository{t, folder, append([]string{
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull, "HOME=" + t.TempDir(),
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.org", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.org",
	}, env...)}
	r.git("init", "-q", "-b", "main")
	return r
}

// git runs git and wants success.
func (r *repository) git(args ...string) string {
	r.t.Helper()
	code, out := runIn(r.t, r.folder, r.env, "git", args...)
	if code != 0 {
		r.t.Fatalf("git %s: %d\n%s", strings.Join(args, " "), code, out)
	}
	return strings.TrimSpace(out)
}

// commit tries to commit all changes to the files, and wants the hooks to let it, or to
// stop it with words.
func (r *repository) commit(passes bool, words string, files ...string) {
	r.t.Helper()
	r.git(append([]string{"add", "--"}, files...)...)
	code, out := runIn(r.t, r.folder, r.env, "git", "commit", "-q", "-m", "change")
	if (code == 0) != passes || !strings.Contains(out, words) {
		r.t.Fatalf("commit of %q: exit code %d, want success %v and %q\n%s", files, code, passes, words, out)
	}
}

// offline are the settings under which nothing may be fetched.
func offline(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command(need(t, "go"), "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	return []string{
		"GOMODCACHE=" + lines[0], "GOCACHE=" + lines[1], "GOPROXY=off", "GOFLAGS=-mod=mod -trimpath", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
		"PIP_NO_INDEX=1", "PRE_COMMIT_HOME=" + filepath.Join(scratch, "pre-commit"), "PRE_COMMIT_COLOR=never",
	}
}

// hookRepository is a repository with the files of this module as they are now.
func hookRepository(t *testing.T) (folder, revision string) {
	t.Helper()
	root := moduleRoot(t)
	folder = t.TempDir()
	r := newRepository(t, folder)
	code, out := runIn(t, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if code != 0 {
		t.Skipf("%s is no git repository, so its files are not known: %s", root, out)
	}
	for name := range strings.SplitSeq(strings.TrimRight(out, "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted, or a link to elsewhere
		}
		write(t, filepath.Join(folder, name), string(data))
	}
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "hooks")
	return folder, r.git("rev-parse", "HEAD")
}

// TestPreCommit goes through both hooks as pre-commit builds and runs them from a hook
// repository, without a network.
func TestPreCommit(t *testing.T) {
	t.Parallel()
	program := preCommit(t)
	bin(t)
	hooks, revision := hookRepository(t)
	r := newRepository(t, t.TempDir(), offline(t)...)
	config := `repos:
- repo: ` + hooks + `
  rev: ` + revision + `
  hooks:
  - id: onnx-compress-convert
    args: [--target, macs=0.8, --methods, svd, --calib, data.bin, --calib-samples, "16"]
    files: ^models/
  - id: onnx-compress-check
    args: [--max-shrink, 20%, --tolerance, 40%]
`
	write(t, filepath.Join(r.folder, ".pre-commit-config.yaml"), config)
	write(t, filepath.Join(r.folder, "data.bin"), strings.Repeat("\x01"+strings.Repeat("abcdefgh", 96), 20))
	if code, out := runIn(t, r.folder, r.env, program, "install"); code != 0 {
		t.Fatalf("pre-commit install: %d\n%s", code, out)
	}
	r.commit(true, "", ".pre-commit-config.yaml", "data.bin")

	model(t, "cnn", 1, filepath.Join(r.folder, "big.onnx"))
	r.commit(false, "big.onnx: TOO BIG", "big.onnx")
	r.git("rm", "-q", "--cached", "big.onnx")

	net := filepath.Join(r.folder, "models", "net.onnx")
	model(t, "cnn", 1, net)
	r.commit(false, "written anew: models/net.small.onnx", "models/net.onnx")
	r.commit(true, "Passed", "models")

	model(t, "cnn", 2, net)
	r.commit(false, "written anew: models/net.small.onnx", "models/net.onnx")
	r.commit(true, "Passed", "models")
	if out := r.git("status", "--porcelain", "--untracked-files=no"); out != "" {
		t.Errorf("left behind: %s", out)
	}
}

// TestPreCommitSystem: with the program on the PATH a hook of the kind system stops a
// commit whose compressed model is stale, by whichever of the files is in it.
func TestPreCommitSystem(t *testing.T) {
	t.Parallel()
	program := preCommit(t)
	env := append(offline(t), "PATH="+bin(t)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	r := newRepository(t, t.TempDir(), env...)
	write(t, filepath.Join(r.folder, ".pre-commit-config.yaml"), `repos:
- repo: local
  hooks:
  - id: onnx-compress-check
    name: ONNX models are small and fresh
    entry: onnx-compress check
    language: system
    files: \.onnx$
    require_serial: true
`)
	model(t, "cnn", 1, filepath.Join(r.folder, "net.onnx"))
	tool(t, r.folder, 0, "convert", "net.onnx", "--target", "macs=0.8", "--methods", "svd", "-q")
	if code, out := runIn(t, r.folder, r.env, program, "install"); code != 0 {
		t.Fatalf("pre-commit install: %d\n%s", code, out)
	}
	r.commit(true, "Passed", ".pre-commit-config.yaml", "net.onnx", "net.small.onnx")
	model(t, "cnn", 3, filepath.Join(r.folder, "net.onnx"))
	r.commit(false, "net.small.onnx: STALE: changed since it was made: source", "net.onnx")
	tool(t, r.folder, 0, "convert", "net.onnx", "--target", "macs=0.8", "--methods", "svd", "-q")
	r.commit(true, "Passed", "net.onnx", "net.small.onnx")
}

// TestHooksReadNoConfiguration: no hook takes its bounds from a configuration that merely lies there.
func TestHooksReadNoConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(moduleRoot(t), ".pre-commit-hooks.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct{ ID, Entry string }
	if err := yaml.Unmarshal(data, &hooks); err != nil {
		t.Fatal(err)
	}
	for _, h := range hooks {
		if !slices.Contains(strings.Fields(h.Entry), "--no-config") {
			t.Errorf("%s: %s", h.ID, h.Entry)
		}
	}
	if len(hooks) != 2 {
		t.Errorf("%d hooks", len(hooks))
	}
}
