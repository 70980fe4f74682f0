package integration

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateDocuments = flag.Bool("update", false, "write into the documents what their commands print now")

// document is a text for readers, with its blocks.
type document struct {
	name   string // relative to the root
	text   string
	blocks []block
}

// documents are all that are run.
func documents(t testing.TB) []document {
	t.Helper()
	root := moduleRoot(t)
	var names []string
	for _, folder := range []string{"docs", "docs/ways"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*.md"))
		if err != nil || len(found) == 0 {
			t.Fatal("no documents", err)
		}
		names = append(names, found...)
	}
	var out []document
	for _, name := range append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")}, names...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		short, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		d := document{name: filepath.ToSlash(short), text: string(text)}
		if d.blocks, err = parseBlocks(d.name, d.text); err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// fromClone says whether a document's reader sits in a clone of this repository; all others
// have a project of their own, and the program on the PATH.
func fromClone(name string) bool {
	return slices.Contains([]string{"README.md", "CONTRIBUTING.md", "docs/tutorial.md", "docs/ways/go.md"}, name)
}

// withWheel says whether a document's reader has installed the wheel.
func withWheel(name string) bool {
	return name == "docs/python.md" || strings.HasPrefix(name, "docs/ways/") && !fromClone(name)
}

// TestDocuments runs every block of every document.
func TestDocuments(t *testing.T) {
	program := bin(t)
	for _, d := range documents(t) {
		if !slices.ContainsFunc(d.blocks, func(b block) bool { return b.marks["left out"] == "" }) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			folder, path := t.TempDir(), []string{python(t), program}
			if withWheel(d.name) {
				path = []string{filepath.Dir(pythonDoor(t)), path[0]}
			}
			if fromClone(d.name) {
				folder, _ = hookRepository(t)
				path = path[:1] // the document says how the program comes there
			}
			pictures(t, folder)
			if strings.HasPrefix(d.name, "docs/ways/") && !fromClone(d.name) {
				beginning(t, folder, strings.TrimSuffix(strings.TrimPrefix(d.name, "docs/ways/"), ".md"))
			}
			if d.name == "docs/accuracy.md" { // whose reader has compressed already
				tool(t, folder, 0, "model.onnx", "-o", "small.onnx", "--methods", "svd", "--target", "macs=0.7", "--accept-damage", "-q")
			}
			s := newSession(t, folder, path...)
			var changes []change
			if *updateDocuments {
				s.update = func(b block, c command, got []string) {
					if lines, ok := shown(c.want, got); ok {
						changes = append(changes, change{b.line + c.from, len(c.want), lines})
					} else {
						t.Logf("%s: to be written by hand, as lines are left out:\n$ %s\n%s", b, c.text, strings.Join(got, "\n"))
					}
				}
			}
			for _, b := range d.blocks {
				if way := b.marks["way"]; way != "" && way != "clone" {
					continue
				}
				if !t.Run(b.String()[strings.LastIndex(b.String(), ":")+1:], func(t *testing.T) { s.run(t, b) }) {
					t.Fatalf("%s failed, and what follows may need it", b)
				}
			}
			rewriteDocument(t, d, changes)
		})
	}
}

// change puts other lines in the place of some of a document's; from counts from 0.
type change struct {
	from, lines int
	text        []string
}

// rewriteDocument writes what -update found.
func rewriteDocument(t *testing.T, d document, changes []change) {
	t.Helper()
	if len(changes) == 0 {
		return
	}
	lines := strings.Split(d.text, "\n")
	for _, c := range slices.Backward(changes) {
		lines = slices.Replace(lines, c.from, c.from+c.lines, c.text...)
	}
	write(t, filepath.Join(moduleRoot(t), filepath.FromSlash(d.name)), strings.Join(lines, "\n"))
}

// TestLeftOut lists the blocks that are not run, with the reasons that stand beside them.
func TestLeftOut(t *testing.T) {
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if why := b.marks["left out"]; why != "" {
				t.Logf("%s: left out: %s", b, why)
			}
		}
	}
}

var (
	codeSpan = regexp.MustCompile("`[^`\n]+`")
	flagName = regexp.MustCompile(`(?:^|[\s(\[])(--[A-Za-z][A-Za-z-]*)`)
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestDocumentsNameWhatIsThere: commands and flags in the texts exist, and links lead
// somewhere.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	folder := t.TempDir()
	commands := regexp.MustCompile(`(?m)^  ([a-z]+) +\S`).FindAllStringSubmatch(tool(t, folder, 0, "help"), -1)
	known, flags := []string{}, []string{}
	for _, c := range commands {
		known = append(known, c[1])
		for _, f := range flagName.FindAllStringSubmatch(tool(t, folder, 0, "help", c[1]), -1) {
			flags = append(flags, f[1])
		}
	}
	for _, d := range documents(t) {
		ours := strings.Join(codeSpan.FindAllString(d.text, -1), "\n")
		for _, span := range codeSpan.FindAllString(d.text, -1) {
			words := strings.Fields(strings.Trim(span, "`"))
			if len(words) > 1 && words[0] == "onnx-compress" && regexp.MustCompile(`^[a-z]+$`).MatchString(words[1]) && !slices.Contains(known, words[1]) {
				t.Errorf("%s: %s: there is no command %q", d.name, span, words[1])
			}
		}
		for _, f := range flagName.FindAllStringSubmatch(strings.ReplaceAll(ours, "`", " "), -1) {
			if !slices.Contains(flags, f[1]) && !slices.Contains(foreignFlags(), f[1]) {
				t.Errorf("%s: no command has the flag %s", d.name, f[1])
			}
		}
		checkLinks(t, d)
	}
}

// foreignFlags are those of other programs that the documents name.
func foreignFlags() []string {
	return []string{"--length", "--useCudaGraph", "--exportProfile", "--profilingVerbosity"}
}

// checkLinks wants every link within the repository to lead to a file, and to a heading in
// it where one is named.
func checkLinks(t *testing.T, d document) {
	t.Helper()
	root := moduleRoot(t)
	for _, l := range link.FindAllStringSubmatch(d.text, -1) {
		if strings.Contains(l[1], "://") {
			continue
		}
		file, anchor, _ := strings.Cut(l[1], "#")
		path := filepath.Join(root, filepath.Dir(filepath.FromSlash(d.name)), filepath.FromSlash(file))
		if file == "" {
			path = filepath.Join(root, filepath.FromSlash(d.name))
		}
		text, err := os.ReadFile(path)
		if err != nil {
			if info, statErr := os.Stat(path); statErr != nil || !info.IsDir() {
				t.Errorf("%s: %s: %v", d.name, l[1], err)
			}
			continue
		}
		if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
			t.Errorf("%s: %s: no heading of that name", d.name, l[1])
		}
	}
}

// anchors are the names by which a document's headings are linked.
func anchors(text string) []string {
	var out []string
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}
