//go:build unix

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Every section says how old it is, stands in the order of the bench, and the file is what the bench would write of it.
func TestResults(t *testing.T) {
	text, err := os.ReadFile("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	r, titles := parseResults(string(text))
	var want []string
	for _, s := range sections() {
		if _, ok := r[s.title]; ok {
			want = append(want, s.title)
		}
	}
	if !slices.Equal(titles, want) {
		t.Errorf("RESULTS.md has the sections\n%q, the bench knows them as\n%q", titles, want)
	}
	if got := r.format(sections()); got != string(text) {
		t.Error("RESULTS.md is not as the bench writes it: let the bench record what it measures, and do not write into the file")
	}
	for title, body := range r {
		line, _, _ := strings.Cut(body, "\n")
		if !recorded.MatchString(line) {
			t.Errorf("%s: the line %q does not say when it was measured, and with what", title, line)
		}
	}
}

// A section that is measured again replaces the old one alone, with a line that says its age.
func TestRecord(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("bench", 0o755); err != nil {
		t.Fatal(err)
	}
	b := &bench{day: "2026-01-02", version: "0123abc", python: "python3", runs: defaultRuns}
	all := sections()
	for _, step := range []struct {
		s    section
		body string
	}{{all[3], "third\n"}, {all[0], "old"}, {all[0], "new"}} {
		if err := b.record(step.s, step.body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	r, titles := parseResults(string(text))
	if !slices.Equal(titles, []string{all[0].title, all[3].title}) {
		t.Errorf("sections %q", titles)
	}
	line, body, _ := strings.Cut(r[all[0].title], "\n")
	if strings.TrimSpace(body) != "new" || !recorded.MatchString(line) || !strings.Contains(line, "with onnx-compress 0123abc on") ||
		!strings.HasSuffix(line, "`go run ./bench -data DIR -python PYTHON -only "+all[0].name+"`.") {
		t.Errorf("%s\n%s", line, body)
	}
	if !strings.HasPrefix(string(text), preamble) {
		t.Errorf("the file begins with %.100q", text)
	}
}

func TestNamed(t *testing.T) {
	got, err := named("models,resnet20")
	if err != nil || len(got) != 2 || got[0].name != "models" || got[1].name != "resnet20" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := named("resnet"); err == nil || !strings.Contains(err.Error(), `no section "resnet"; there are resnet20, times,`) {
		t.Errorf("%v", err)
	}
}
