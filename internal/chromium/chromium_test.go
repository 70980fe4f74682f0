package chromium

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPage: what a page says, asks for and looks like is told, and keys reach it.
func TestPage(t *testing.T) {
	path, err := Find()
	if err != nil {
		t.Skip(err)
	}
	b, err := Start(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	file := filepath.Join(t.TempDir(), "page.html")
	const html = `<!DOCTYPE html><title>t</title><style>body{width:500px}@media(prefers-color-scheme:dark){body{width:700px}}</style>
<a id="first" href="#">a</a><details><summary id="second">b</summary>c</details><img src="nosuch.png">
<script>console.error("said", 7); null.thrown;</script>`
	if err := os.WriteFile(file, []byte(html), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, v := range []View{{360, 640, false}, {1280, 800, true}} {
		p, err := b.Open("file://"+file, v)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		faults := strings.Join(p.Faults(), "\n")
		for _, want := range []string{"console.error", "said", "exception", "nosuch.png"} {
			if !strings.Contains(faults+strings.Join(p.Requests(), " "), want) {
				t.Errorf("%+v: %q is not among %q and %q", v, want, faults, p.Requests())
			}
		}
		size, err := Eval[[]int](p, "[innerWidth, innerHeight, document.body.clientWidth]")
		if want := []int{v.Width, v.Height, map[bool]int{false: 500, true: 700}[v.Dark]}; err != nil || !slices.Equal(size, want) {
			t.Errorf("%+v: sizes %v, want %v; error %v", v, size, want, err)
		}
		for _, want := range []string{"first", "second"} {
			if err := p.Tab(); err != nil {
				t.Fatal(err)
			}
			if at, err := Eval[string](p, "document.activeElement.id"); err != nil || at != want {
				t.Errorf("%+v: focus on %q, want %q; error %v", v, at, want, err)
			}
		}
		if err := p.Enter(); err != nil {
			t.Fatal(err)
		}
		if open, err := Eval[bool](p, "Promise.resolve(document.querySelector('details').open)"); err != nil || !open {
			t.Errorf("%+v: the details are open: %v, error %v", v, open, err)
		}
		if png, err := p.PNG(); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
			t.Errorf("%+v: %d bytes of a picture, error %v", v, len(png), err)
		}
		if p.Load <= 0 {
			t.Errorf("%+v: loaded in %v", v, p.Load)
		}
	}
	if _, err := b.Open("file:///nosuch/page.html", View{100, 100, false}); err == nil {
		t.Error("a page that is not there opens")
	}
}
