//go:build unix

package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// resultsFile is where sections are recorded, from the root of the repository.
const resultsFile = "bench/RESULTS.md"

// preamble opens the results.
const preamble = `# Results

The line under a heading says by which command of the bench the section was measured, with which version of the program, when and
where; ` + "`DIR`" + ` is the folder of models and data, and ` + "`PYTHON`" + ` an interpreter with requirements/bench.txt. Where that line
begins with "Recorded", the section is older than this rule, and the line tells what the history still knows; the machine was an AMD EPYC
with 2 cores, linux/amd64, go1.26.8. Every figure stands under the command that gave it. Times are of whole processes, medians of the runs
where timed (3 unless ` + "`-runs`" + ` says otherwise); other work shared the machine, at times much more of it than it has cores, so read
ratios. A test holds what README.md and docs/ quote against these sections.
`

// recorded matches the line under a heading, as the bench writes it and as it stands over what is older.
var recorded = regexp.MustCompile("^(" +
	`Measured \d{4}-\d\d-\d\d with onnx-compress [0-9a-f]{7,} on .+: ` + "`go run ./bench -data DIR[^`]* -only [a-z0-9-]+`" +
	`|Recorded \d{4}-\d\d-\d\d by commit [0-9a-f]{7,}.*` + `)\.$`)

// results are the recorded sections by title: all that stands under the heading.
type results map[string]string

// parseResults splits a file at its headings.
func parseResults(text string) (results, []string) {
	r, titles := results{}, []string{}
	for _, part := range strings.Split("\n"+text, "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		r[title], titles = strings.TrimSpace(body), append(titles, title)
	}
	return r, titles
}

// format writes sections in the order of the bench. A section that it does not know is left out.
func (r results) format(order []section) string {
	var out strings.Builder
	out.WriteString(preamble)
	for _, s := range order {
		if body, ok := r[s.title]; ok {
			fmt.Fprintf(&out, "\n## %s\n\n%s\n", s.title, body)
		}
	}
	return out.String()
}

// record puts a section that has just been measured in its place in the file.
func (b *bench) record(s section, body string) error {
	text, err := os.ReadFile(resultsFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r, _ := parseResults(string(text))
	r[s.title] = b.measured(s.name) + "\n\n" + strings.TrimSpace(body)
	return os.WriteFile(resultsFile, []byte(r.format(sections())), 0o644)
}

// measured is the line under a heading.
func (b *bench) measured(name string) string {
	command := "go run ./bench -data DIR"
	if b.python != "" {
		command += " -python PYTHON"
	}
	if b.runs != defaultRuns {
		command += fmt.Sprintf(" -runs %d", b.runs)
	}
	return fmt.Sprintf("Measured %s with onnx-compress %s on %s: `%s -only %s`.", b.day, b.version, machine(), command, name)
}

// version is the commit that a program was built from. What is measured must be found again, so changes that are not committed are an error;
// those of texts and of the bench itself are not in the program.
func version(program string) (string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	commit := setting(info, "vcs.revision")
	if commit == "" {
		return "", fmt.Errorf("%s does not know the commit that it was built from: figures are recorded in a clone with git", program)
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)bench", ":(exclude)*.md").Output()
	if err != nil {
		return "", fmt.Errorf("git status: %w", err)
	}
	if len(changed) > 0 {
		return "", fmt.Errorf("the program has changes that are not committed, so what is measured could not be found again; commit them first:\n%s", changed)
	}
	return commit[:7], nil
}

// setting is what a program was built with, "" where it does not say.
func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// errUnmet is that a section fell short of what is wanted. It is recorded all the same.
var errUnmet = errors.New("a bound is not met")

func unmet(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUnmet, fmt.Sprintf(format, args...))
}

// errLeftOut is that a section lacks what it needs. What was recorded stays.
var errLeftOut = errors.New("left out")
