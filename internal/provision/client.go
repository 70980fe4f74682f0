package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// clientTimeout bounds the question whether a client works at all.
const clientTimeout = 30 * time.Second

// command is how a package client is called on this machine.
type command struct {
	client client
	argv   []string
}

func (c command) String() string { return strings.Join(c.argv, " ") }

// findClient returns the first working way to call a client, or why each way fails.
func findClient(ctx context.Context, c client, getenv func(string) string) (command, error) {
	ways := [][]string{{"npm"}}
	if c == pip {
		ways = [][]string{{"python3", "-m", "pip"}, {"python", "-m", "pip"}, {"pip3"}, {"pip"}}
		if runtime.GOOS == "windows" {
			ways = append(ways, []string{"py", "-m", "pip"})
		}
		if venv := getenv("VIRTUAL_ENV"); venv != "" {
			ways = append([][]string{{venvPython(runtime.GOOS, venv), "-m", "pip"}}, ways...)
		}
	}
	var errs []error
	for _, argv := range ways {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		way := command{c, append([]string{path}, argv[1:]...)}
		asked, cancel := context.WithTimeout(ctx, clientTimeout)
		_, err = way.run(asked, "", "--version")
		cancel()
		if err == nil {
			return way, nil
		}
		if ctx.Err() != nil {
			return command{}, ctx.Err()
		}
		errs = append(errs, err)
	}
	return command{}, errors.Join(errs...)
}

// run calls the client in a folder. An error carries the end of what the client printed.
func (c command) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.argv[0], append(c.argv[1:len(c.argv):len(c.argv)], args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 2 * time.Second
	// Nothing is installed, so a setting that asks for a virtual environment does not apply.
	cmd.Env = append(os.Environ(), "PIP_REQUIRE_VIRTUALENV=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "NO_UPDATE_NOTIFIER=1")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w%s", c, args[0], err, lastLines(string(out), 6))
	}
	return string(out), nil
}

// lastLines returns the end of a text, indented to stand below an error message.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var b strings.Builder
	for _, line := range lines[max(0, len(lines)-n):] {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString("\n    " + line)
		}
	}
	return b.String()
}

// fetch downloads a pin's archive into an empty folder and returns its path. Nothing of the
// package is executed: pip gets wheels only, and npm pack runs no scripts of a package.
func (c command) fetch(ctx context.Context, p pin, dir string) (string, error) {
	var err error
	switch c.client {
	case pip:
		list := filepath.Join(dir, "requirements.txt")
		line := fmt.Sprintf("%s==%s --hash=sha256:%s\n", p.name, p.version, p.archive)
		if err = os.WriteFile(list, []byte(line), 0o600); err != nil {
			return "", err
		}
		args := []string{
			"download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes",
			// Fixed tags: the wheel does not depend on the Python that happens to be there.
			"--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--abi", "none",
		}
		for _, tag := range p.tags {
			args = append(args, "--platform", tag)
		}
		_, err = c.run(ctx, dir, append(args, "--dest", dir, "--requirement", list)...)
	case npm:
		_, err = c.run(ctx, dir, "pack", "--silent", p.name+"@"+p.version)
	}
	if err != nil {
		return "", err
	}
	hits := append(files(filepath.Join(dir, "*.whl")), files(filepath.Join(dir, "*.tgz"))...)
	if len(hits) != 1 {
		return "", fmt.Errorf("%s left %d archives of %s, wanted one", c, len(hits), p.name)
	}
	return hits[0], nil
}
