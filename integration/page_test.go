package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/chromium"
	"github.com/onnx-compress/onnx-compress/internal/report/page/pagetest"
)

// What a page may take.
const (
	pageLoad  = time.Second
	pageBytes = 2_000_000
)

// TestPages opens pages in Chromium, small and large, light and dark: nothing may be wrong
// with them that axe-core finds, nothing may stand out of a narrow screen, and whatever
// there is to open or to scroll must be within reach of the keyboard.
func TestPages(t *testing.T) {
	program, err := chromium.Find()
	if err != nil {
		t.Skip(err)
	}
	axe, err := os.ReadFile(filepath.Join(moduleRoot(t), "build", "browser", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Skipf("axe-core is not installed (make build/browser/made): %v", err)
	}
	pages := pagesOf(t)
	b, err := chromium.Start(context.Background(), program)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, path := range pages {
		name := strings.TrimSuffix(filepath.Base(path), ".html")
		if info, err := os.Stat(path); err != nil || info.Size() > pageBytes {
			t.Fatalf("%s: error %v, or %d bytes, want at most %d", name, err, info.Size(), pageBytes)
		}
		for _, dark := range []bool{false, true} {
			for _, width := range []int{360, 768, 1280, 1920} {
				t.Run(fmt.Sprintf("%s/%d/dark=%v", name, width, dark), func(t *testing.T) {
					p := opened(t, b, path, chromium.View{Width: width, Height: 800, Dark: dark})
					defer p.Close()
					checkLayout(t, p)
					if width == 360 || width == 1280 {
						checkAxe(t, p, string(axe))
					}
					if width == 360 && !dark {
						checkKeyboard(t, p)
						if name == "sizes" {
							checkChoice(t, p)
						}
					}
					if faults := p.Faults(); len(faults) > 0 {
						t.Errorf("on the console: %q", faults)
					}
					inside := func(url string) bool { return strings.HasPrefix(url, "data:") }
					if asked := slices.DeleteFunc(p.Requests(), inside); len(asked) != 1 {
						t.Errorf("the page asks for %q", asked)
					}
				})
			}
		}
	}
}

// pagesOf makes pages by the program: of a real model, of a tuning, and of results with
// everything that a run can say and with next to nothing.
func pagesOf(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	fashion(t, folder)
	tool(t, folder, 0, "net.onnx", "-o", "small.onnx", "--calib", "fashion.bin", "--calib-samples", "64", "--verify-samples", "200",
		"--methods", "svd,spatial", "--target", "macs=0.6", "--report", "real.html", "-q")
	tool(t, folder, 0, "tune", "net.onnx", "small.onnx", "-o", "tuned.onnx", "--data", "fashion.bin", "--samples", "128", "--epochs", "2", "--report", "tuned.html", "-q")
	bare := &compress.Result{Schema: compress.ResultSchema, Unverified: "ONNX Runtime was not found", Input: compress.File{Path: "net.onnx"}, Output: compress.File{Path: "small.onnx"}}
	paths := []string{filepath.Join(folder, "real.html"), filepath.Join(folder, "tuned.html")}
	for name, r := range map[string]any{"everything": pagetest.Full(30, 1000), "little": bare, "sizes": pagetest.Exploration()} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name+".json"), string(data))
		tool(t, folder, 0, "report", name+".json", "-o", name+".html")
		paths = append(paths, filepath.Join(folder, name+".html"))
	}
	other := pagetest.Full(60, 10)
	other.Output.Path, other.Sites = "other.onnx", other.Sites[2:]
	data, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "other.json"), string(data))
	tool(t, folder, 0, "report", "everything.json", "other.json", "-o", "both.html")
	return append(paths, filepath.Join(folder, "both.html"))
}

// opened opens a page, which must be there at once: in one of three attempts, since other
// tests run meanwhile.
func opened(t *testing.T, b *chromium.Browser, path string, v chromium.View) *chromium.Page {
	t.Helper()
	var took []time.Duration
	for range 3 {
		p, err := b.Open("file://"+filepath.ToSlash(path), v)
		if err != nil {
			t.Fatal(err)
		}
		if p.Load <= pageLoad {
			return p
		}
		took = append(took, p.Load)
		p.Close()
	}
	t.Fatalf("the page takes %v to load, want at most %v", took, pageLoad)
	return nil
}

// evaluated is what an expression gives in the page.
func evaluated[T any](t *testing.T, p *chromium.Page, expression string) T {
	t.Helper()
	v, err := chromium.Eval[T](p, expression)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wide lists what is wider than the screen, and what scrolls but cannot have the focus.
const wide = `(() => {
	const out = [];
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) out.push("the page is " + root.scrollWidth + " wide on " + root.clientWidth);
	for (const e of document.querySelectorAll("body *")) {
		const at = e.getBoundingClientRect();
		if (at.right > root.clientWidth + 1 && !e.closest(".scroll")) out.push(e.outerHTML.slice(0, 100) + " ends at " + at.right);
		if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "auto" && e.tabIndex < 0) out.push(e.outerHTML.slice(0, 100) + " scrolls out of reach");
	}
	return out;
})()`

// checkLayout looks at the page as it comes, and with all details open.
func checkLayout(t *testing.T, p *chromium.Page) {
	t.Helper()
	for _, open := range []bool{true, false} {
		if faults := evaluated[[]string](t, p, fmt.Sprintf(`document.querySelectorAll("details").forEach(d => d.open = %v); `, open)+wide); len(faults) > 0 {
			t.Errorf("details open: %v: %q", open, faults)
		}
	}
}

// checkAxe runs axe-core's rules on the page with all details open.
func checkAxe(t *testing.T, p *chromium.Page, axe string) {
	t.Helper()
	if _, err := chromium.Eval[struct{}](p, axe); err != nil {
		t.Fatal(err)
	}
	type violation struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	found := evaluated[struct {
		Violations []violation
		Passes     []struct{ ID string }
	}](t, p, `(async () => {
		document.querySelectorAll("details").forEach(d => d.open = true);
		const r = await axe.run(document, {resultTypes: ["violations", "passes"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]});
		document.querySelectorAll("details").forEach(d => d.open = false);
		return {Violations: r.violations.map(v => ({ID: v.id, Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))})),
			Passes: r.passes.map(v => ({ID: v.id}))};
	})()`)
	for _, v := range found.Violations {
		t.Errorf("%s: %s\n%q", v.ID, v.Help, v.Nodes)
	}
	passed := map[string]bool{}
	for _, v := range found.Passes {
		passed[v.ID] = true
	}
	for _, rule := range []string{"color-contrast", "document-title", "heading-order", "landmark-unique", "html-has-lang"} {
		if !passed[rule] {
			t.Errorf("the rule %s found nothing to check", rule)
		}
	}
}

// checkKeyboard walks through the page by the tabulator key, opens whatever can be opened,
// and must have come by everything that can be opened, followed or scrolled.
func checkKeyboard(t *testing.T, p *chromium.Page) {
	t.Helper()
	const targets = `a[href], summary, [role=region]`
	total := evaluated[int](t, p, `(() => { document.activeElement.blur(); window.seen = new Set(); return document.querySelectorAll("`+targets+`").length; })()`)
	for range 2*total + 5 {
		if err := p.Tab(); err != nil {
			t.Fatal(err)
		}
		at := evaluated[string](t, p, `(() => { const e = document.activeElement; if (seen.has(e)) return "again"; seen.add(e); return e.localName; })()`)
		if at == "again" || at == "body" {
			break
		}
		if at == "summary" {
			if err := p.Enter(); err != nil {
				t.Fatal(err)
			}
		}
	}
	missed := evaluated[[]string](t, p, `[...document.querySelectorAll("`+targets+`")].filter(e => !seen.has(e)).map(e => e.outerHTML.slice(0, 100))`)
	if len(missed) > 0 {
		t.Errorf("out of the keyboard's reach are %d of %d: %q", len(missed), total, missed[:min(3, len(missed))])
	}
	if closed := evaluated[int](t, p, `document.querySelectorAll("details:not([open])").length`); closed > 0 {
		t.Errorf("%d details did not open", closed)
	}
}

// checkChoice follows a point of an exploration's picture by the keyboard: what it is opens, and nothing else.
func checkChoice(t *testing.T, p *chromium.Page) {
	t.Helper()
	const open = `[...document.querySelectorAll("details[open].choice > div")].map(d => d.id)`
	links := evaluated[int](t, p, `(() => {
		document.querySelectorAll("details").forEach(d => d.open = false);
		const links = document.querySelectorAll("svg a");
		links[1].focus();
		return links.length;
	})()`)
	if links != 4 {
		t.Fatalf("%d points to follow", links)
	}
	if err := p.Enter(); err != nil {
		t.Fatal(err)
	}
	if got := evaluated[[]string](t, p, open); !slices.Equal(got, []string{"choice-2"}) {
		t.Errorf("open are %q", got)
	}
}
